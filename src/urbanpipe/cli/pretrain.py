"""`urbanpipe pretrain`."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    data: Annotated[Path, typer.Argument(help="Catalog, from `urbanpipe scan`; its labels are not read.")],
    method: Annotated[str, typer.Option("--method", "-m", help="simclr (any backbone) or mae (a plain ViT).")],
    backbone: Annotated[str, typer.Option("--backbone", "-b", help="A timm name, for example resnet50.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for weights.safetensors; run again, it goes on.")],
    override: Annotated[list[str] | None, typer.Option("--set", help="key=value; may be given again.")] = None,
    folds: Annotated[Path | None, typer.Option(help="CSV video,fold, together with --without-fold.")] = None,
    without_fold: Annotated[int | None, typer.Option(help="Leave this fold's videos out, so that they judge.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    cache: Annotated[Path | None, typer.Option(help="Folder for decoded frames; one for all runs by default.")] = None,
    cache_gb: Annotated[float, typer.Option(help="Largest size of that folder in GB; 0: decode every time.")] = 20.0,
) -> None:
    """Teach a backbone on the frames of your own videos, without labels; recipes take it as model.weights."""
    from urbanpipe.pretraining.pretrain import pretrain

    folder = pretrain(data, method, backbone, out, override or [], folds, without_fold, device, cache, cache_gb)
    print(f"results: {folder / 'weights.safetensors'}")
