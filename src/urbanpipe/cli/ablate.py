"""`urbanpipe ablate`."""

from pathlib import Path
from typing import Annotated

import typer

from urbanpipe.cli.options import (
    Device,
    FoldsOrFile,
    FrameCacheFolder,
    FrameCacheGB,
    LoggerName,
    TaxonomyFile,
    folds_given,
    prints,
    recipe_names,
)
from urbanpipe.cli.output import show, show_text
from urbanpipe.cli.verb import Result

Rows = Annotated[list[str] | None, typer.Option("--row", help="Include only this row; repeatable.")]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--change", help="Add a row: section.key=value, *=factor, +=value or -=value relative to the base; repeatable."
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a setting of the base recipe: section.key=value; repeatable."),
]


def command(
    data: Annotated[Path | None, typer.Argument(help="Catalog from `urbanpipe scan`.")] = None,
    recipe: Annotated[
        str | None, typer.Option("--recipe", "-r", help="Base recipe: name or TOML file.", autocompletion=recipe_names)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Output folder; trained models are kept for later calls, the table covers this call."
        ),
    ] = None,
    row: Rows = None,
    change: Changes = None,
    list_rows: Annotated[
        bool, typer.Option("--list", help="List the rows, with --recipe also what each changes.")
    ] = False,
    folds: FoldsOrFile = "5",
    only_fold: Annotated[list[int] | None, typer.Option(help="Train and evaluate only this fold; repeatable.")] = None,
    seeds: Annotated[int, typer.Option(help="Number of seeds to train each model with.")] = 1,
    test: Annotated[
        Path | None, typer.Option(help="Catalog of labelled test videos outside all folds, for the row fold-ensemble.")
    ] = None,
    override: Overrides = None,
    taxonomy: TaxonomyFile = None,
    device: Device = "auto",
    cache: FrameCacheFolder = None,
    cache_gb: FrameCacheGB = 20.0,
    logger: LoggerName = "tensorboard",
) -> Result:
    """Measure what each technique of the UrbanPipe report contributes on your data.

    Each row trains the recipe with and without one technique, on the same folds and seeds.
    """
    from urbanpipe.errors import RecipeError
    from urbanpipe.reproduce.options import AblationPlan
    from urbanpipe.training.options import FoldOptions, RunOptions

    if list_rows:
        from urbanpipe.reproduce.changes import listing

        text = listing(row or [], recipe, override or [], change or [])
        show_text(text)
        return Result({"listing": text.splitlines()})
    if data is None or recipe is None or out is None:
        raise RecipeError("ablate needs a catalog, --recipe and --out; `urbanpipe ablate --list` shows the rows")
    from urbanpipe.reproduce.ablate import ablate

    made = ablate(
        data=data,
        recipe=recipe,
        out=out,
        overrides=override or [],
        taxonomy=taxonomy,
        plan=AblationPlan(rows=row or [], changes=change or [], seeds=seeds, test=test),
        split=FoldOptions(folds=folds_given(folds), only=only_fold or []),
        options=RunOptions(device=device, cache=cache, cache_gb=cache_gb, logger=logger),
    )
    if prints():
        show_text(made.to_markdown())
        show(f"results: {out}")
    return Result({"results": out})
