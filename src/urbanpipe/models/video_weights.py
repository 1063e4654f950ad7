"""Conversion of published state dicts of video transformers to the state of a `VideoBackbone`."""

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.models.video import MViT_V2_S_Weights, Swin3D_B_Weights, Swin3D_S_Weights, Swin3D_T_Weights

from urbanpipe.errors import RecipeError, WeightsError
from urbanpipe.progress import draws_bars

if TYPE_CHECKING:
    from urbanpipe.models.video import VideoBackbone

_DEFAULTS: dict[str, Any] = {
    "swin3d_t": Swin3D_T_Weights.KINETICS400_V1,
    "swin3d_s": Swin3D_S_Weights.KINETICS400_V1,
    "swin3d_b": Swin3D_B_Weights.KINETICS400_IMAGENET22K_V1,
    "mvit_v2_s": MViT_V2_S_Weights.KINETICS400_V1,
}
_HEADS = ("head", "cls_head")
_BUILT = ("relative_position_index", "attn_mask")  # buffers that the module computes
_TABLE = "relative_position_bias_table"
_LARGEST_SIDE = 32  # largest side of a published window; Swin's largest is 24

Window = tuple[int, int, int]


def transforms(name: str) -> Any:
    """Return the frame transforms of the published weights, with `mean` and `std`.

    Args:
        name: a backbone, with or without a tag. A backbone without weights (`swin3d_nano`) gets ImageNet's mean and
            standard deviation, as Video Swin does.

    Raises:
        RecipeError: torchvision has no weights with this tag.
    """
    return (_published(name) or Swin3D_T_Weights.KINETICS400_V1).transforms()


def fetch(name: str) -> dict[str, Tensor]:
    """Return torchvision's pretrained weights by name, from its cache or over the network.

    Args:
        name: a backbone, optionally followed by a dot and a tag, for example `swin3d_b.KINETICS400_V1`. The default tag
            is `KINETICS400_IMAGENET22K_V1` for `swin3d_b`, as in the paper, and `KINETICS400_V1` for the others.

    Raises:
        RecipeError: torchvision has no weights with this tag.
        WeightsError: there are no published weights for this backbone.
    """
    weights = _published(name)
    if weights is None:
        raise WeightsError(f"there are no pretrained weights of {name}: set model.weights to `random` or a file")
    state: dict[str, Tensor] = weights.get_state_dict(progress=draws_bars(), check_hash=True, weights_only=True)
    return state


def published(name: str) -> str:
    """Return where the weights that `fetch` reads are published."""
    return str(getattr(_published(name), "url", name))


def adapt(state: dict[str, Tensor], backbone: "VideoBackbone", source: str) -> dict[str, Tensor]:
    """Convert a published state dict to one of `backbone.net`.

    Tensors are renamed, inflated and resized; the head and computed buffers are dropped.

    Names, with stage i and block j; names that are not listed stay the same:

    | torchvision, video | Video Swin's authors, Swin's authors | timm | torchvision, images |
    |---|---|---|---|
    | `patch_embed.proj`, `patch_embed.norm` | same | same | `features.0.0`, `features.0.2` |
    | `features.{2i}.{j}` | `layers.{i}.blocks.{j}` | same | `features.{2i+1}.{j}` |
    | `features.{2i}.{j}.mlp.0`, `.mlp.3` | `.mlp.fc1`, `.mlp.fc2` | same | same as video |
    | `features.{2i+1}.norm`, `.reduction` | `layers.{i}.downsample` | `layers.{i+1}.downsample` | `features.{2i+2}` |
    | `norm` | same; `norm3` from mmaction2 | same | same |
    | (dropped) | `cls_head` | `head.fc` | `head` |

    Weights of an image Swin are inflated as in the Video Swin paper (arXiv 2106.13230, section 3.4): the patch
    embedding is repeated over its frames and divided by their number, and the position biases are repeated over the
    time offsets. Position biases of another window are resized trilinearly over their grid (2 frames - 1, 2 height - 1,
    2 width - 1). MViT's position tables are resized linearly, as MViT itself does for another input size.

    Args:
        state: tensors by name, without prefixes, as returned by `models.weights.read_state`.
        backbone: the backbone to convert for.
        source: the file or `hub`, for messages.

    Returns:
        A new state dict. Tensors of other networks stay in it, so that the caller can report them.

    Raises:
        WeightsError: the weights belong to a Swin v2, whose blocks use the same names for different computations.
    """
    if any(key.endswith("logit_scale") for key in state):
        raise WeightsError(f"{source}: weights of a Swin v2; {type(backbone.net).__name__} takes those of a Swin v1")
    state, own = _renamed(state), backbone.net.state_dict()
    return {
        key: _fitted(key, state, backbone.net, own[key].shape) if key in own else state[key]
        for key in state
        if key.split(".")[0] not in _HEADS and not key.endswith(_BUILT)
    }


def _published(name: str) -> Any:
    architecture, _, tag = name.partition(".")
    default = _DEFAULTS.get(architecture)
    if not tag:
        return default
    members: dict[str, Any] = {} if default is None else {member.name: member for member in type(default)}
    if tag not in members:
        has = ", ".join(members) or "none"
        raise RecipeError(f"model.backbone = {name!r}: torchvision has no such weights; it has {has}")
    return members[tag]


def _renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    if any(key.startswith("layers.") for key in state):
        # timm merges patches at the start of a stage, all others at the end of the previous stage
        merge = 1 if "layers.0.downsample.reduction.weight" in state else -1
        return {_from_layers(key, merge): value for key, value in state.items()}
    first = state.get("features.0.0.weight")
    if first is not None and first.ndim == 4:
        return {_from_image_features(key): value for key, value in state.items()}
    return state


def _from_layers(key: str, merge: int) -> str:
    key = re.sub(r"^layers\.(\d+)\.blocks\.", lambda match: f"features.{2 * int(match[1])}.", key)
    key = re.sub(r"^layers\.(\d+)\.downsample\.", lambda match: f"features.{2 * int(match[1]) + merge}.", key)
    key = re.sub(r"^norm3\.", "norm.", key)
    return key.replace(".mlp.fc1.", ".mlp.0.").replace(".mlp.fc2.", ".mlp.3.")


def _from_image_features(key: str) -> str:
    key = re.sub(r"^features\.0\.0\.", "patch_embed.proj.", key)
    key = re.sub(r"^features\.0\.2\.", "patch_embed.norm.", key)
    return re.sub(r"^features\.(\d+)\.", lambda match: f"features.{int(match[1]) - 1}.", key)


def _fitted(key: str, state: dict[str, Tensor], net: Any, shape: torch.Size) -> Tensor:
    """Return a tensor in the shape of the network's where it can be converted, and unchanged otherwise."""
    value = state[key]
    if value.shape == shape:
        return value
    if key == "patch_embed.proj.weight" and value.shape == shape[:2] + shape[3:]:
        return value.unsqueeze(2).expand(shape) / shape[2]
    if key.endswith(_TABLE) and value.shape[1:] == shape[1:]:
        return _resize_biases(key, state, tuple(net.get_submodule(key.removesuffix(f".{_TABLE}")).window_size))
    if key.endswith(("rel_pos_h", "rel_pos_w", "rel_pos_t")) and value.shape[1:] == shape[1:]:
        return functional.interpolate(value.float().T[None], size=shape[0], mode="linear")[0].T
    return value


def _resize_biases(key: str, state: dict[str, Tensor], window: Window) -> Tensor:
    table, patches, index = state[key], state.get("patch_embed.proj.weight"), state.get(key.replace(_TABLE, _BUILT[0]))
    is_image = patches is not None and patches.ndim == 4
    theirs = _window_of(len(table), None if index is None else math.isqrt(index.numel()), window, is_image)
    if theirs is None:
        return table
    grid = table.float().T.reshape(1, -1, *_offsets(theirs))  # resizing repeats the table of a single frame
    return functional.interpolate(grid, size=_offsets(window), mode="trilinear")[0].flatten(1).T


def _window_of(rows: int, tokens: int | None, own: Window, is_image: bool) -> Window | None:
    """Return the window of a bias table: of one frame, or with `tokens` tokens, or with the sides of our own window."""
    sides: list[Sequence[int]] = [own[1:]]
    if is_image or tokens is not None:
        sides += [(side, side) for side in range(1, _LARGEST_SIDE + 1)]
    for height, width in sides:
        frames = 1 if is_image else (rows // ((2 * height - 1) * (2 * width - 1)) + 1) // 2
        window = (frames, height, width)
        if math.prod(_offsets(window)) == rows and tokens in (None, math.prod(window)):
            return window
    return None


def _offsets(window: Window) -> Window:
    frames, height, width = window
    return 2 * frames - 1, 2 * height - 1, 2 * width - 1
