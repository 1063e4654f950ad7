"""`urbanpipe train`."""

import os
from pathlib import Path
from typing import Annotated

import typer


def command(
    data: Annotated[Path, typer.Argument(help="Catalog, from `urbanpipe scan`.")],
    recipe: Annotated[str, typer.Option("--recipe", "-r", help="Recipe name or TOML file.")],
    out: Annotated[Path, typer.Option("--out", help="Run folder; run again, it goes on.")],
    taxonomy: Annotated[Path | None, typer.Option(help="Your own classes (TOML); the 17 of QV-Pipe without.")] = None,
    folds: Annotated[Path | None, typer.Option(help="CSV video,fold, together with --fold.")] = None,
    fold: Annotated[int | None, typer.Option(help="This fold judges; without, all videos train.")] = None,
    override: Annotated[list[str] | None, typer.Option("--set", help="section.key=value; may be given again.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    cache: Annotated[Path | None, typer.Option(help="Folder for decoded frames; one for all runs by default.")] = None,
    cache_gb: Annotated[float, typer.Option(help="Largest size of that folder in GB; 0: decode every time.")] = 20.0,
) -> None:
    """Train one model, on all labelled videos or on all but one fold."""
    from urbanpipe.training.train import train

    run = train(data, recipe, out, taxonomy, folds, fold, override or [], device, cache, cache_gb)
    if int(os.environ.get("RANK", 0)) == 0:
        print(f"results: {run}")
