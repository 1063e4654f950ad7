"""Video transformers of torchvision at any number of frames, with the interface of `models.backbone`."""

import difflib
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torchvision.models.video.mvit import MSBlockConfig, MViT
from torchvision.models.video.swin_transformer import SwinTransformer3d

from urbanpipe.errors import RecipeError
from urbanpipe.models import video_weights
from urbanpipe.models.config import ModelConfig


class VideoBackbone(nn.Module):
    """A video transformer without its classifier.

    Args:
        config: name and options. Weights are loaded separately.
        frame_size: width and height of the frames. Video Swin accepts any size; MViT is built for this one.
        frames: frames per clip. Video Swin accepts any number; MViT is built for this one.

    Attributes:
        pooled_width: channels of `pooled`.
        token_width: channels of `tokens`.
        mean: normalisation mean of inputs in [0, 1], as in the training of the published weights.
        std: normalisation standard deviation, as in that training.
        layers: 0, because the features are pooled as in that training.

    Raises:
        RecipeError: the backbone, pretrained tag or option does not exist, or the backbone does not support the size.
    """

    layers: int = 0

    def __init__(self, config: ModelConfig, frame_size: tuple[int, int], frames: int) -> None:
        super().__init__()
        maker = _maker(config.backbone)
        transforms = video_weights.transforms(config.backbone)
        self.net = _create(maker, config, frame_size, frames)
        self.net.head = nn.Identity()
        self.pooled_width: int = self.net.norm.normalized_shape[0]
        self.token_width: int = self.pooled_width
        self.mean: tuple[float, ...] = tuple(transforms.mean)
        self.std: tuple[float, ...] = tuple(transforms.std)
        self._has_class_token = isinstance(self.net, MViT)
        self._recompute = False

    def pooled(self, clips: Tensor) -> Tensor:
        """Return features (batch, pooled_width) of normalised clips (batch, 3, frames, height, width)."""
        tokens = self.tokens(clips)
        return tokens[:, 0] if self._has_class_token else tokens.mean(1)

    def tokens(self, clips: Tensor) -> Tensor:
        """Return features (batch, positions, token_width), ordered by time, then rows; a class token stays first."""
        return self._mvit_tokens(clips) if self._has_class_token else self._swin_tokens(clips)

    def checkpoint_activations(self, enable: bool) -> None:
        """Recompute activations in the backward pass, block by block: less memory, about a third more time."""
        self._recompute = enable

    def fetch(self, name: str) -> dict[str, Tensor]:
        """Return torchvision's pretrained weights by name; see `models.video_weights.fetch`."""
        return video_weights.fetch(name)

    def published(self, name: str) -> str:
        """Return where the weights that `fetch` reads are published."""
        return video_weights.published(name)

    def adapt(self, state: dict[str, Tensor], source: str) -> dict[str, Tensor]:
        """Convert a published state dict to one of `net`; see `models.video_weights.adapt`."""
        return video_weights.adapt(state, self, source)

    def _swin_tokens(self, clips: Tensor) -> Tensor:
        x = self.net.pos_drop(self.net.patch_embed(clips))
        for stage in self.net.features:
            for block in stage if isinstance(stage, nn.Sequential) else (stage,):
                x = self._run(block, x)
        tokens: Tensor = self.net.norm(x).flatten(1, 3)
        return tokens

    def _mvit_tokens(self, clips: Tensor) -> Tensor:
        positions = self.net.pos_encoding
        x = positions(self.net.conv_proj(clips).flatten(2).transpose(1, 2))
        grid = (positions.temporal_size, *positions.spatial_size)
        for block in self.net.blocks:
            x, grid = self._run(block, x, grid)
        tokens: Tensor = self.net.norm(x)
        return tokens

    def _run(self, block: nn.Module, *inputs: Any) -> Any:
        if self._recompute and self.training:
            return checkpoint(block, *inputs, use_reentrant=False)
        return block(*inputs)


def is_video_backbone(name: str) -> bool:
    """Return whether `name`, with or without a pretrained tag, is a backbone of this module rather than of timm."""
    return name.split(".")[0] in _MAKERS


def _mvit_v2_s_blocks() -> list[Any]:
    """Return the blocks of MViTv2-S (arXiv 2112.01526, table 1): four stages, each twice as wide and half as large."""
    blocks, width = [], 96
    for stage, depth in enumerate((1, 2, 11, 2)):
        for position in range(depth):
            block = MSBlockConfig(
                num_heads=2**stage,
                input_channels=width,
                output_channels=96 * 2**stage,
                kernel_q=[3, 3, 3],
                kernel_kv=[3, 3, 3],
                stride_q=[1, 2, 2] if stage and position == 0 else [1, 1, 1],
                stride_kv=[1, 8 >> stage, 8 >> stage],
            )
            blocks.append(block)
            width = block.output_channels
    return blocks


# torchvision's classes instead of its builders, which fix the window, the drop rate and MViT's input size.
_SWIN = partial(SwinTransformer3d, patch_size=[2, 4, 4], window_size=[8, 7, 7])
_MAKERS: dict[str, partial[Any]] = {
    "swin3d_nano": partial(_SWIN, embed_dim=24, depths=[1, 2, 2, 1], num_heads=[2, 2, 4, 4], window_size=[4, 4, 4]),
    "swin3d_t": partial(_SWIN, embed_dim=96, depths=[2, 2, 6, 2], num_heads=[3, 6, 12, 24]),
    "swin3d_s": partial(_SWIN, embed_dim=96, depths=[2, 2, 18, 2], num_heads=[3, 6, 12, 24]),
    "swin3d_b": partial(_SWIN, embed_dim=128, depths=[2, 2, 18, 2], num_heads=[4, 8, 16, 32]),
    "mvit_v2_s": partial(
        MViT,
        block_setting=_mvit_v2_s_blocks(),
        residual_pool=True,
        residual_with_cls_embed=False,
        rel_pos_embed=True,
        proj_after_attn=True,
        stochastic_depth_prob=0.2,
    ),
}


def _maker(name: str) -> partial[Any]:
    architecture = name.split(".")[0]
    if architecture not in _MAKERS:
        near = difflib.get_close_matches(architecture, _MAKERS, n=3)
        hint = f"similar names: {', '.join(near)}" if near else f"the video backbones are {', '.join(_MAKERS)}"
        raise RecipeError(f"model.backbone = {name!r} is not a video backbone; {hint}")
    return _MAKERS[architecture]


def _create(maker: partial[Any], config: ModelConfig, frame_size: tuple[int, int], frames: int) -> Any:
    fixed = _mvit_size(frame_size, frames) if maker.func is MViT else {}
    options: dict[str, Any] = dict(config.options)
    if config.drop_path:
        options["stochastic_depth_prob"] = config.drop_path
    try:
        return maker(**options, **fixed)
    except (TypeError, ValueError, RuntimeError, ArithmeticError, LookupError) as error:
        reason = str(error).splitlines()[0]
        raise RecipeError(f"model.backbone = {config.backbone!r} with options {options}: {reason}") from error


def _mvit_size(frame_size: tuple[int, int], frames: int) -> dict[str, Any]:
    """Return the options for MViT's input size, which must be a multiple of its strides of 2 frames and 4 px."""
    width, height = frame_size
    if frames < 2 or frames % 2 or min(frame_size) < 32 or width % 4 or height % 4:
        raise RecipeError(
            "model.backbone = 'mvit_v2_s' takes an even number of frames, and a width and a height in multiples of 4 "
            f"from 32 px up; the input is {frames} frames of {width} x {height} px"
        )
    return {"temporal_size": frames, "spatial_size": (height, width)}
