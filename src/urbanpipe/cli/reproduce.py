"""`urbanpipe reproduce`."""

from pathlib import Path
from typing import Annotated, Literal

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
)
from urbanpipe.cli.output import show, show_text
from urbanpipe.cli.verb import Result


def command(
    what: Annotated[
        Literal["table1", "table2", "table3", "table4", "table5", "table6", "figure2", "figure3"],
        typer.Argument(help="Table or figure of the UrbanPipe report."),
    ],
    data: Annotated[Path, typer.Option("--data", help="Catalog from `urbanpipe scan`.")],
    out: Annotated[Path, typer.Option("--out", help="Output folder, shared by all tables; rerun to resume.")] = Path(
        "reproduced"
    ),
    scale: Annotated[
        Literal["small", "paper"], typer.Option(help="paper: the report's models; small: models for a laptop.")
    ] = "small",
    folds: FoldsOrFile = "5",
    only_fold: Annotated[list[int] | None, typer.Option(help="Train and evaluate only this fold; repeatable.")] = None,
    seeds: Annotated[int, typer.Option(help="Tables 4 and 5: number of seeds to train each model with.")] = 1,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=FILE",
            help="Initial weights of model KEY: a file, hub or random. Tables 4 and 5 use base (clips: video-base).",
        ),
    ] = None,
    test: Annotated[
        Path | None, typer.Option(help="Catalog of labelled test videos outside all folds, for table 4.")
    ] = None,
    override: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="[KEY:]SECTION.KEY=VALUE",
            help="Override a setting of all recipes, or of model KEY alone: base:training.epochs=8; repeatable. "
            "Without training.keep, the last epoch is kept.",
        ),
    ] = None,
    taxonomy: TaxonomyFile = None,
    device: Device = "auto",
    cache: FrameCacheFolder = None,
    cache_gb: FrameCacheGB = 20.0,
    logger: LoggerName = "tensorboard",
) -> Result:
    """Train the models of a table or figure of the report on your videos; write the results beside the report's."""
    from urbanpipe.reproduce.options import ReportOptions
    from urbanpipe.training.options import FoldOptions, RunOptions

    given, folds_or_file = _weights(weights or []), folds_given(folds)
    from urbanpipe.reproduce.reproduce import reproduce

    text = reproduce(
        what=what,
        data=data,
        out=out,
        taxonomy=taxonomy,
        report=ReportOptions(scale=scale, seeds=seeds, overrides=override or [], weights=given, test=test),
        split=FoldOptions(folds=folds_or_file, only=only_fold or []),
        options=RunOptions(device=device, cache=cache, cache_gb=cache_gb, logger=logger),
    )
    if prints():
        show_text(text)
        show(f"results: {out}")
    return Result({"results": out})


def _weights(pairs: list[str]) -> dict[str, str]:
    """Return the initial weights by model key."""
    from urbanpipe.errors import RecipeError

    if bad := [pair for pair in pairs if "=" not in pair]:
        raise RecipeError(
            f"--weights {bad[0]}: expected KEY=FILE, for example --weights base=mobilenetv2_100.safetensors"
        )
    keys = [pair.split("=", 1)[0] for pair in pairs]
    if twice := [key for key in keys if keys.count(key) > 1]:
        raise RecipeError(f"--weights {twice[0]} is given twice; give one file")
    return dict(pair.split("=", 1) for pair in pairs)
