"""`urbanpipe crossval`."""

import os
from pathlib import Path
from typing import Annotated

import typer


def command(
    data: Annotated[Path, typer.Argument(help="Catalog from `urbanpipe scan`, or a folder of videos with --labels.")],
    out: Annotated[
        Path, typer.Option("--out", help="Output folder for runs, tables and the ensemble; rerun to resume.")
    ],
    recipe: Annotated[list[str], typer.Option("--recipe", "-r", help="Recipe name or TOML file; repeatable.")],
    labels: Annotated[Path | None, typer.Option(help="Label file, if DATA is a folder of videos.")] = None,
    taxonomy: Annotated[
        Path | None, typer.Option(help="Your own classes (TOML); default: the 17 QV-Pipe classes.")
    ] = None,
    folds: Annotated[str, typer.Option(help="Number of folds, or a CSV file with columns video,fold.")] = "5",
    group_by: Annotated[str, typer.Option(help="root, none or a catalog column; a group stays in one fold.")] = "root",
    seed: Annotated[int, typer.Option(help="Seed of the folds; the training seed is part of the recipe.")] = 0,
    override: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override a setting of all recipes: section.key=value; repeatable."),
    ] = None,
    only_fold: Annotated[list[int] | None, typer.Option(help="Train only this fold; repeatable.")] = None,
    device: Annotated[str, typer.Option(help="Device: auto, cpu, cuda or cuda:N.")] = "auto",
    cache: Annotated[
        Path | None, typer.Option(help="Folder of the frame cache; default: one shared by all runs.")
    ] = None,
    cache_gb: Annotated[float, typer.Option(help="Maximum size of the frame cache in GB; 0 disables it.")] = 20.0,
) -> None:
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
        options=RunOptions(device=device, cache=cache, cache_gb=cache_gb),
    )
    if int(os.environ.get("RANK", 0)) != 0:  # only the main process prints
        return
    for table in experiment.tables:
        print(f"{table}\n\n{table.read_text(encoding='utf-8')}")
    if experiment.ensemble is None:
        print("some folds are not trained yet; rerun without --only-fold for tables and the ensemble")
    print(f"results: {experiment.folder}")


def folds_given(folds: str) -> int | Path:
    """Return the number or the file given as --folds."""
    from urbanpipe.errors import FoldError

    if folds.lstrip("-").isdecimal():
        return int(folds)
    if not Path(folds).is_file():
        raise FoldError(f"--folds {folds} is neither a number nor a file; give the number of folds or a CSV video,fold")
    return Path(folds)
