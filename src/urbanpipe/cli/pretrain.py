"""`urbanpipe pretrain`."""

from pathlib import Path
from typing import Annotated

import typer

from urbanpipe.cli.options import Device, FrameCacheFolder, FrameCacheGB, LoggerName
from urbanpipe.cli.output import show
from urbanpipe.cli.verb import Result


def command(
    data: Annotated[Path, typer.Argument(help="Catalog from `urbanpipe scan`; its labels are not used.")],
    method: Annotated[str, typer.Option("--method", "-m", help="simclr (any backbone) or mae (plain ViT).")],
    backbone: Annotated[str, typer.Option("--backbone", "-b", help="timm model name, such as resnet50.")],
    out: Annotated[Path, typer.Option("--out", help="Output folder for weights.safetensors; rerun to resume.")],
    override: Annotated[
        list[str] | None, typer.Option("--set", help="Override a setting: key=value; repeatable.")
    ] = None,
    folds: Annotated[
        Path | None, typer.Option(help="CSV file with columns video,fold; requires --without-fold.")
    ] = None,
    without_fold: Annotated[int | None, typer.Option(help="Leave this fold's videos out, for evaluation.")] = None,
    device: Device = "auto",
    cache: FrameCacheFolder = None,
    cache_gb: FrameCacheGB = 20.0,
    logger: LoggerName = "tensorboard",
) -> Result:
    """Pretrain a backbone on the frames of your own videos, without labels; recipes load it with model.weights."""
    from urbanpipe.pretraining.pretrain import pretrain
    from urbanpipe.training.options import RunOptions

    folder = pretrain(
        data,
        method,
        backbone=backbone,
        out=out,
        overrides=override or [],
        folds=folds,
        without_fold=without_fold,
        options=RunOptions(device=device, cache=cache, cache_gb=cache_gb, logger=logger),
    )
    weights = folder / "weights.safetensors"
    show(f"results: {weights}")
    return Result({"results": weights})
