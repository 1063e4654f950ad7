"""`urbanpipe crossval`."""

import os
from pathlib import Path
from typing import Annotated

import typer


def command(
    data: Annotated[Path, typer.Argument(help="Catalog (from `scan`), or a folder of videos together with --labels.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for runs, tables and ensemble; run again, it goes on.")],
    recipe: Annotated[list[str], typer.Option("--recipe", "-r", help="Recipe name or TOML file; may be given again.")],
    labels: Annotated[Path | None, typer.Option(help="Label file, where DATA is a folder of videos.")] = None,
    taxonomy: Annotated[Path | None, typer.Option(help="Your own classes (TOML); the 17 of QV-Pipe without.")] = None,
    folds: Annotated[str, typer.Option(help="How many folds to make, or a CSV video,fold.")] = "5",
    group_by: Annotated[str, typer.Option(help="root, none, or a catalog column: a group stays in one fold.")] = "root",
    seed: Annotated[int, typer.Option(help="Seed of the folds; the seed of training is the recipe's.")] = 0,
    override: Annotated[list[str] | None, typer.Option("--set", help="section.key=value, for all recipes.")] = None,
    only_fold: Annotated[list[int] | None, typer.Option(help="Train this fold alone; may be given again.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    cache: Annotated[Path | None, typer.Option(help="Folder for decoded frames; one for all runs by default.")] = None,
    cache_gb: Annotated[float, typer.Option(help="Largest size of that folder in GB; 0: decode every time.")] = 20.0,
) -> None:
    """Train recipes on every fold; write out-of-fold predictions, tables and an ensemble.

    Several GPUs: torchrun --nproc-per-node N -m urbanpipe.cli.main crossval ...
    """
    given = folds_given(folds)
    from urbanpipe.training.crossval import crossval

    experiment = crossval(
        data=data,
        recipes=recipe,
        out=out,
        labels=labels,
        taxonomy=taxonomy,
        folds=given,
        group_by=group_by,
        seed=seed,
        overrides=override or [],
        only_folds=only_fold or [],
        device=device,
        cache=cache,
        cache_gb=cache_gb,
    )
    if int(os.environ.get("RANK", 0)) != 0:  # one process speaks for all
        return
    for table in experiment.tables:
        print(f"{table}\n\n{table.read_text(encoding='utf-8')}")
    if experiment.ensemble is None:
        print("some folds are still to be trained: run the command without --only-fold for tables and ensemble")
    print(f"results: {experiment.folder}")


def folds_given(folds: str) -> int | Path:
    """The number or the file that --folds gives."""
    from urbanpipe.errors import FoldError

    if folds.lstrip("-").isdecimal():
        return int(folds)
    if not Path(folds).is_file():
        raise FoldError(f"--folds {folds} is neither a number nor a file; give how many to make, or a CSV video,fold")
    return Path(folds)
