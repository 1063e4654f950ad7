"""`urbanpipe train`."""

from pathlib import Path
from typing import Annotated

import typer

from urbanpipe.cli.options import Device, FrameCacheFolder, FrameCacheGB, LoggerName, TaxonomyFile, prints, recipe_names
from urbanpipe.cli.output import show
from urbanpipe.cli.verb import Result


def command(
    data: Annotated[Path, typer.Argument(help="Catalog from `urbanpipe scan`.")],
    recipe: Annotated[
        str, typer.Option("--recipe", "-r", help="Recipe name or TOML file.", autocompletion=recipe_names)
    ],
    out: Annotated[Path, typer.Option("--out", help="Run folder; rerun to resume.")],
    taxonomy: TaxonomyFile = None,
    folds: Annotated[Path | None, typer.Option(help="CSV file with columns video,fold; requires --fold.")] = None,
    fold: Annotated[int | None, typer.Option(help="Validation fold; default: train on all videos.")] = None,
    override: Annotated[
        list[str] | None, typer.Option("--set", help="Override a setting: section.key=value; repeatable.")
    ] = None,
    device: Device = "auto",
    cache: FrameCacheFolder = None,
    cache_gb: FrameCacheGB = 20.0,
    logger: LoggerName = "tensorboard",
) -> Result:
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
        options=RunOptions(device=device, cache=cache, cache_gb=cache_gb, logger=logger),
    )
    if prints():
        show(f"results: {run}")
    return Result({"results": run})
