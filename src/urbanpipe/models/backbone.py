"""timm backbones at any input size, with a common interface for pooled features and tokens."""

import difflib
import sys
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.hooks import RemovableHandle

from urbanpipe.errors import RecipeError, WeightsError
from urbanpipe.models.config import ModelConfig
from urbanpipe.models.hub_files import check_connection


class Backbone(nn.Module):
    """A timm network without its classifier.

    Args:
        config: name and options. Weights are loaded separately.
        image_size: width and height of the inputs; backbones with a fixed grid (Swin, ViT) are built for it.

    Attributes:
        pooled_width: channels of `pooled`.
        token_width: channels of `tokens`.
        mean: normalisation mean of inputs in [0, 1], from the backbone's own configuration.
        std: normalisation standard deviation, from the same place.
        layers: number of feature maps that `pooled` describes; 0 for features pooled as in pretraining.

    Raises:
        RecipeError: the name or an option is unknown to timm, or the patches of the network do not fill its input.
    """

    layers: int = 0

    def __init__(self, config: ModelConfig, image_size: tuple[int, int]) -> None:
        super().__init__()
        self.net = _create(config, image_size)
        self.pooled_width: int = self.net.head_hidden_size
        self.token_width: int = self.net.num_features
        self.mean: tuple[float, ...] = tuple(self.net.pretrained_cfg["mean"])
        self.std: tuple[float, ...] = tuple(self.net.pretrained_cfg["std"])
        self._handles: list[RemovableHandle] = []
        self._channels_last_map = getattr(self.net, "output_fmt", "NCHW") == "NHWC"

    def pooled(self, images: Tensor) -> Tensor:
        """Return features (batch, pooled_width) of normalised images (batch, 3, height, width).

        They are pooled as in pretraining: the mean over the positions for convolutional networks, Hiera, EVA-02 and
        DINOv3, the class token for DINOv2, attention pooling for SigLIP.
        """
        features: Tensor = self.net.forward_head(self.net.forward_features(images), pre_logits=True)
        return features

    def tokens(self, images: Tensor) -> Tensor:
        """Return features (batch, positions, token_width), row by row; class and register tokens stay first."""
        features: Tensor = self.net.forward_features(images)
        if features.ndim == 3:
            return features
        return features.flatten(1, 2) if self._channels_last_map else features.flatten(2).transpose(1, 2)

    def checkpoint_activations(self, enable: bool) -> None:
        """Recompute activations in the backward pass: less memory, about a third more time, the same result.

        Raises:
            RecipeError: the backbone does not support it.
        """
        try:
            self.net.set_grad_checkpointing(enable)
        except (AssertionError, AttributeError):
            raise RecipeError(
                f"training.checkpointing = true: timm does not support it for {type(self.net).__name__}"
            ) from None
        for handle in self._handles:
            handle.remove()
        self._handles = _count_batches_once(self.net) if enable else []

    def fetch(self, name: str) -> dict[str, Tensor]:
        """Return timm's pretrained weights by name, from its cache or over the network.

        Raises:
            ConnectionError: they are not in the cache, and there is no network.
        """
        check_connection(name)
        state: dict[str, Tensor] = timm.create_model(name, pretrained=True, num_classes=0).state_dict()
        return state

    def published(self, name: str) -> str:
        """Return where the weights that `fetch` reads are published."""
        published = timm.get_pretrained_cfg(name)
        if published is None or not published.hf_hub_id:
            return f"{getattr(published, 'url', '') or name}"
        return f"model.safetensors of https://huggingface.co/{published.hf_hub_id}"

    def adapt(self, state: dict[str, Tensor], source: str) -> dict[str, Tensor]:
        """Convert a published state dict to one of `net` by timm's rules: resize position tables, rename old keys.

        Args:
            state: tensors by name, without prefixes.
            source: the file or `hub`, for messages.

        Raises:
            WeightsError: the conversion fails, so the weights belong to another network.
        """
        convert = getattr(sys.modules[type(self.net).__module__], "checkpoint_filter_fn", None)
        if convert is None:
            return state
        try:
            return dict(convert(dict(state), self.net))
        except (KeyError, RuntimeError, AttributeError, IndexError, ValueError) as error:
            name = type(self.net).__name__
            raise WeightsError(f"{source}: these weights do not belong to {name} ({error!r})") from error


def _count_batches_once(net: nn.Module) -> list[RemovableHandle]:
    """Keep batch norm from updating its running statistics a second time when activations are recomputed."""
    norms = [module for module in net.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    return [
        handle
        for norm in norms
        for handle in (
            norm.register_forward_pre_hook(_hold_statistics),
            norm.register_forward_hook(_release_statistics, always_call=True),
        )
    ]


def _recomputes() -> bool:
    return bool(torch._C._current_graph_task_id() >= 0)  # inside a backward pass


def _hold_statistics(norm: _BatchNorm, _: Any) -> None:
    if _recomputes():
        vars(norm)["usual_momentum"], norm.momentum = norm.momentum, 0.0


def _release_statistics(norm: _BatchNorm, _: Any, __: Any) -> None:
    if _recomputes():
        norm.momentum = vars(norm).pop("usual_momentum")
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked.sub_(1)


def _create(config: ModelConfig, image_size: tuple[int, int]) -> Any:
    architecture = config.backbone.split(".")[0]
    if not timm.is_model(architecture):
        near = difflib.get_close_matches(architecture, timm.list_models(), n=3)
        hint = f"; similar names: {', '.join(near)}" if near else ""
        raise RecipeError(f"model.backbone = {config.backbone!r} is not a timm model{hint}")
    options: dict[str, Any] = dict(config.options)
    if config.drop_path:
        options["drop_path_rate"] = config.drop_path
    try:
        pretrained = timm.get_pretrained_cfg(config.backbone)
    except RuntimeError:
        tags = ", ".join(timm.list_pretrained(f"{architecture}.*")) or "none"
        raise RecipeError(f"model.backbone = {config.backbone!r}: timm has no such tag; it has {tags}") from None
    if pretrained is not None and pretrained.fixed_input_size:
        options.setdefault("img_size", image_size[::-1])
    try:
        net = timm.create_model(config.backbone, pretrained=False, num_classes=0, **options)
    except (TypeError, ValueError, AssertionError) as error:
        raise RecipeError(f"model.backbone = {config.backbone!r} with options {options}: {error}") from error
    _check_size(config.backbone, net, image_size)
    return net


def _check_size(backbone: str, net: nn.Module, image_size: tuple[int, int]) -> None:
    """Refuse inputs that the network's patches do not fill: timm would cut the rest off, or fail in the first pass."""
    step = _patch_size(net)
    if any(side % step for side in image_size):
        width, height = image_size
        raise RecipeError(
            f"{backbone}: width and height of its input must be multiples of {step} px, and are {width} x {height}; "
            "change input.size or input.tile of a recipe, or size of a pretraining"
        )


def _patch_size(net: Any) -> int:
    """Return the side in pixels of a Transformer's patch, or of Hiera's mask unit; 1 for networks that pad."""
    if hasattr(net, "mask_unit_size"):
        return int(net.patch_stride[0] * net.mask_unit_size[0])
    embed: Any = getattr(net, "patch_embed", None)
    padded = getattr(embed, "dynamic_img_pad", True)
    return 1 if padded else int(embed.patch_size[0])


class Normalise(nn.Module):
    """Convert uint8 images to a backbone's input range: (x / 255 - mean) / std, in float32."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1) * 255, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Normalise images (batch, 3, height, width) or clips (batch, 3, frames, height, width), values 0 to 255."""
        mean, std = (self.mean, self.std) if images.ndim == 4 else (self.mean.unsqueeze(2), self.std.unsqueeze(2))
        return (images.to(mean.dtype) - mean) / std
