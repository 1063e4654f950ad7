"""`urbanpipe train`."""

import os
from pathlib import Path
from typing import Annotated

import typer


def command(
    data: Annotated[Path, typer.Argument(help="Catalog from `urbanpipe scan`.")],
    recipe: Annotated[str, typer.Option("--recipe", "-r", help="Recipe name or TOML file.")],
    out: Annotated[Path, typer.Option("--out", help="Run folder; rerun to resume.")],
    taxonomy: Annotated[
        Path | None, typer.Option(help="Your own classes (TOML); default: the 17 QV-Pipe classes.")
    ] = None,
    folds: Annotated[Path | None, typer.Option(help="CSV file with columns video,fold; requires --fold.")] = None,
    fold: Annotated[int | None, typer.Option(help="Validation fold; default: train on all videos.")] = None,
    override: Annotated[
        list[str] | None, typer.Option("--set", help="Override a setting: section.key=value; repeatable.")
    ] = None,
    device: Annotated[str, typer.Option(help="Device: auto, cpu, cuda or cuda:N.")] = "auto",
    cache: Annotated[
        Path | None, typer.Option(help="Folder of the frame cache; default: one shared by all runs.")
    ] = None,
    cache_gb: Annotated[float, typer.Option(help="Maximum size of the frame cache in GB; 0 disables it.")] = 20.0,
) -> None:
    """Train one model, on all labelled videos or on all but one fold."""
    from urbanpipe.training.options import RunOptions
    from urbanpipe.training.train import train

    run = train(
        data,
        recipe,
        out=out,
        taxonomy=taxonomy,
        folds=folds,
        fold=fold,
        overrides=override or [],
        options=RunOptions(device=device, cache=cache, cache_gb=cache_gb),
    )
    if int(os.environ.get("RANK", 0)) == 0:
        print(f"results: {run}")
