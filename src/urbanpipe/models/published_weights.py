"""The verb `weights`: which pretrained weights this machine has, and a file of them for one that has none."""

from dataclasses import dataclass
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file

from urbanpipe.errors import RecipeError
from urbanpipe.models.backbone import Backbone
from urbanpipe.models.config import ModelConfig
from urbanpipe.models.hub_files import is_cached
from urbanpipe.models.video import is_video_backbone
from urbanpipe.models.weights import hub_weights
from urbanpipe.models.weights_packages import installed_backbones, read_package_weights
from urbanpipe.outputs import whole_path

_ELSEWHERE = ", or run this command there and copy its file here"


@dataclass(frozen=True)
class LocalWeights:
    """Pretrained weights that need no network.

    Attributes:
        backbone: timm name of the network, as `model.backbone`.
        source: `package` or `hub`, as `model.weights`; those of the hub are in its cache.
    """

    backbone: str
    source: str


def local_weights() -> list[LocalWeights]:
    """Return the pretrained weights of installed packages and of the hub's cache."""
    packages = [LocalWeights(name, "package") for name in installed_backbones()]
    return [*packages, *(LocalWeights(name, "hub") for name in timm.list_pretrained() if is_cached(name))]


def save_weights(backbone: str, *, out: Path) -> str:
    """Save the pretrained weights of a timm network as a safetensors file for `model.weights`.

    Args:
        backbone: timm name of the network, as `model.backbone`.
        out: the file.

    Returns:
        Where they come from: `package` or `hub`.

    Raises:
        RecipeError: timm has no such network.
        WeightsError: no installed package has them, and the hub cannot be reached.
        OutputError: the file cannot be written.
    """
    if is_video_backbone(backbone):
        raise RecipeError(f"{backbone} is a network of torchvision; `weights` saves those of timm")
    in_package = backbone.split(".")[0] in installed_backbones()
    if in_package:
        state = read_package_weights(backbone)
    else:
        state = hub_weights(backbone, _without_values(backbone), advice=_ELSEWHERE)
    with whole_path(Path(out)) as temporary:
        save_file({key: value.contiguous() for key, value in state.items()}, temporary)
    return "package" if in_package else "hub"


def _without_values(backbone: str) -> Backbone:
    published = (
        timm.get_pretrained_cfg(backbone) if backbone in {*timm.list_models(), *timm.list_pretrained()} else None
    )
    size = published.input_size[1] if published else 224
    with torch.device("meta"):
        return Backbone(ModelConfig(backbone=backbone), (size, size))
