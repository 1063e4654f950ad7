"""`urbanpipe crossval`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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

if TYPE_CHECKING:
    from urbanpipe.training.crossval import CrossvalResult


def command(
    data: Annotated[Path, typer.Argument(help="Catalog from `urbanpipe scan`, or a folder of videos with --labels.")],
    out: Annotated[
        Path, typer.Option("--out", help="Output folder for runs, tables and the ensemble; rerun to resume.")
    ],
    recipe: Annotated[
        list[str],
        typer.Option("--recipe", "-r", help="Recipe name or TOML file; repeatable.", autocompletion=recipe_names),
    ],
    labels: Annotated[Path | None, typer.Option(help="Label file, if DATA is a folder of videos.")] = None,
    taxonomy: TaxonomyFile = None,
    folds: FoldsOrFile = "5",
    group_by: Annotated[
        str, typer.Option(help="root, folder, none or a catalog column; a group stays in one fold.")
    ] = "root",
    seed: Annotated[int, typer.Option(help="Seed of the folds; the training seed is part of the recipe.")] = 0,
    override: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override a setting of all recipes: section.key=value; repeatable."),
    ] = None,
    only_fold: Annotated[list[int] | None, typer.Option(help="Train only this fold; repeatable.")] = None,
    device: Device = "auto",
    cache: FrameCacheFolder = None,
    cache_gb: FrameCacheGB = 20.0,
    logger: LoggerName = "tensorboard",
) -> Result:
    """Train recipes on every fold; write out-of-fold predictions, tables and an ensemble.

    On several GPUs: torchrun --nproc-per-node N -m urbanpipe.cli.main crossval ...
    """
    given = folds_given(folds)
    from urbanpipe.training.crossval import crossval
    from urbanpipe.training.options import FoldOptions, RunOptions

    experiment = crossval(
        data=data,
        recipes=recipe,
        out=out,
        labels=labels,
        taxonomy=taxonomy,
        overrides=override or [],
        split=FoldOptions(folds=given, group_by=group_by, seed=seed, only=only_fold or []),
        options=RunOptions(device=device, cache=cache, cache_gb=cache_gb, logger=logger),
    )
    if prints():
        _print(experiment)
    made: dict[str, object] = {"results": experiment.folder, "runs": experiment.runs, "ensemble": experiment.ensemble}
    return Result({**made, "tables": experiment.tables})


def _print(experiment: "CrossvalResult") -> None:
    for table in experiment.tables:
        show(table)
        show_text(f"\n{table.read_text(encoding='utf-8')}")
    if experiment.ensemble is None:
        show("some folds are not trained yet; rerun without --only-fold for tables and the ensemble")
    show(f"results: {experiment.folder}")
