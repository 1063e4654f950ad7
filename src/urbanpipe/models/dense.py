"""The dense method's network: a clip encoder, and a video head over the features of all clips.

The closest published design is TALLFormer (arXiv 2204.01680). The queries of the head follow ML-Decoder (arXiv
2111.12933).
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from urbanpipe.models.backbone import Backbone, Normalise
from urbanpipe.models.config import BagHeadConfig, DenseHeadConfig
from urbanpipe.models.network import Network
from urbanpipe.models.pooling_heads import AttentionHead, LogSumExpHead, PoolingHead
from urbanpipe.models.regression_head import RegressionHead
from urbanpipe.models.smooth_max import smooth_max
from urbanpipe.models.video import VideoBackbone

POOLING_HEADS: dict[str, Callable[[int, int, BagHeadConfig], PoolingHead]] = {
    "regression": RegressionHead,
    "lse": LogSumExpHead,
    "attention": AttentionHead,
}
SLOWEST_SECONDS = 2000.0  # longest wavelength of the time code: more than half an hour
FASTEST_SECONDS = 0.5


def time_code(seconds: Tensor, width: int) -> Tensor:
    """Return sinusoids of time, as in Vaswani et al. (arXiv 1706.03762, section 3.5), with seconds as positions.

    Args:
        seconds: (...,) float.
        width: width of the code, even.

    Returns:
        (..., width), float32; half sines, half cosines of wavelengths from half a second to over half an hour.
    """
    half = width // 2
    steps = torch.arange(half, device=seconds.device, dtype=torch.float32) / max(1, half - 1)
    wavelengths = FASTEST_SECONDS * (SLOWEST_SECONDS / FASTEST_SECONDS) ** steps
    angles = seconds.float().unsqueeze(-1) * (2 * math.pi / wavelengths)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


class ClipEncoder(nn.Module):
    """Encodes each clip as one feature.

    Args:
        backbone: backbone for images (single frames, or all frames as tiles) or for clips.
        width: D, width of a feature.
        pooling: how an image backbone's features are pooled over the frames of a clip.
    """

    def __init__(self, backbone: Backbone | VideoBackbone, width: int, pooling: Literal["mean", "max"]) -> None:
        super().__init__()
        self.backbone = backbone
        self.normalise = Normalise(backbone.mean, backbone.std)
        self.pooling = pooling
        self.project = nn.Sequential(nn.Linear(backbone.pooled_width, width), nn.LayerNorm(width))

    def forward(self, clips: Tensor, real: Tensor) -> Tensor:
        """Return features (clips, width).

        Args:
            clips: (clips, 3, frames, height, width), or images (clips, 3, height, width) of their tiles; 0 to 255.
            real: number of frames of each clip that are not padding, (clips,); pooling over time ignores the others.
        """
        images = self.normalise(clips)
        if images.ndim == 4 or isinstance(self.backbone, VideoBackbone):
            return self.project(self.backbone.pooled(images))  # type: ignore[no-any-return]
        count, frames = images.shape[0], images.shape[2]
        features = self.backbone.pooled(images.transpose(1, 2).flatten(0, 1)).view(count, frames, -1)
        return self.project(self._over_time(features, real))  # type: ignore[no-any-return]

    def _over_time(self, features: Tensor, real: Tensor) -> Tensor:
        padding = torch.arange(features.shape[1], device=features.device) >= real.to(features.device).unsqueeze(1)
        if self.pooling == "max":
            return features.masked_fill(padding.unsqueeze(-1), -math.inf).amax(1)
        shares = (~padding).to(features.dtype) / (~padding).sum(1, keepdim=True)
        return (features * shares.unsqueeze(-1)).sum(1)


class VideoHead(nn.Module):
    """Computes logits of a video and of every clip from the features of the clips.

    The logits of a clip depend only on its own feature, so that they describe what is visible at that moment. A
    Transformer processes the clip features with a time code added. Then one query per class attends to its outputs, or
    a class token that passed through with the clips is classified. The video logit of a class is that of the query or
    token plus the smooth maximum of the clip logits, so that a decisive moment shows in the logits of its clip.

    Args:
        config: depth, widths and kind.
        classes: number of classes.
    """

    def __init__(self, config: DenseHeadConfig, classes: int) -> None:
        super().__init__()
        width = config.width
        layer = nn.TransformerEncoderLayer(
            width, config.heads, 2 * width, config.dropout, "gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.kind = config.kind
        queries = classes if config.kind == "queries" else 1
        self.queries = nn.Parameter(torch.randn(queries, width) * 0.02)
        if config.kind == "queries":
            self.attention = nn.MultiheadAttention(width, config.heads, batch_first=True)
        self.norm_clip = nn.LayerNorm(width)
        self.of_clip = nn.Linear(width, classes)
        self.of_video = nn.Parameter(torch.randn(classes, width) * 0.01)
        self.bias = nn.Parameter(torch.zeros(classes))
        nn.init.normal_(self.of_clip.weight, std=0.01)
        nn.init.zeros_(self.of_clip.bias)
        for block in self.layers.layers:  # attention dropout would materialise all weights: quadratic in clips
            block.self_attn.dropout = 0.0

    def forward(self, features: Tensor, seconds: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (classes,) of a video and (clips, classes) of its clips.

        Videos are processed one by one without padding, because attention without a mask needs no memory quadratic in
        the number of clips.

        Args:
            features: (clips, width), at least one clip.
            seconds: middle of each clip, (clips,).
        """
        x = (features + time_code(seconds, features.shape[-1]).to(features.dtype)).unsqueeze(0)
        queries = self.queries.unsqueeze(0).to(x.dtype)
        if self.kind == "token":
            asked = self.norm(self._transformed(torch.cat([queries, x], 1)))[:, :1]
        else:
            x = self.norm(self._transformed(x))
            asked = self.attention(queries, x, x, need_weights=False)[0]
        clips = self.of_clip(self.norm_clip(features))
        video = (asked[0] * self.of_video).sum(-1) + self.bias
        return video + smooth_max(clips), clips

    def _transformed(self, x: Tensor) -> Tensor:
        """Run the Transformer without torch's fast path for evaluation, which materialises all attention weights."""
        before = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            transformed: Tensor = self.layers(x)
        finally:
            torch.backends.mha.set_fastpath_enabled(before)
        return transformed


class PooledVideoHead(nn.Module):
    """Computes logits of a video by pooling its clips without a Transformer, and those of every clip alone.

    Args:
        pool: the head over the features of the clips.
    """

    def __init__(self, pool: PoolingHead) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, features: Tensor, seconds: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (classes,) of a video and (clips, classes) of its clips; see `VideoHead`."""
        del seconds
        return self.pool(features), self.pool.frame_logits(features)


class DenseClassifier(Network):
    """Clip encoder and video head.

    Args:
        backbone: backbone of the encoder.
        config: config of the head, and width of the features.
        classes: number of classes.
    """

    def __init__(self, backbone: Backbone | VideoBackbone, config: DenseHeadConfig, classes: int) -> None:
        super().__init__()
        self.encoder = ClipEncoder(backbone, config.width, config.pooling)
        bag_head = config.bag_head
        self.head: VideoHead | PooledVideoHead = (
            PooledVideoHead(POOLING_HEADS[bag_head.kind](config.width, classes, bag_head))
            if bag_head
            else VideoHead(config, classes)
        )

    @property
    def backbone(self) -> Backbone | VideoBackbone:  # type: ignore[override]
        """The encoder's backbone."""
        return self.encoder.backbone

    def forward(self, features: Tensor, seconds: Tensor) -> tuple[Tensor, Tensor]:
        """Run only the head; see `VideoHead`."""
        return self.head(features, seconds)  # type: ignore[no-any-return]

    def encode(self, images: Tensor, real: Tensor, at_once: int = 0) -> Tensor:
        """Return the features (clips, width) of clips; see `ClipEncoder`.

        Args:
            images: clips in the shape of the view.
            real: number of frames of each clip that are not padding, (clips,).
            at_once: clips per chunk when activations are recomputed in the backward pass; 0 keeps activations.
        """
        if not at_once:
            return self.encoder(images, real)  # type: ignore[no-any-return]
        parts = zip(torch.split(images, at_once), torch.split(real, at_once), strict=True)
        return torch.cat([checkpoint(self.encoder, *part, use_reentrant=False) for part in parts])

    def aggregate(self, encoded: Tensor, seconds: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities (classes,) of a video and (clips, classes) of its clips, from the features of all."""
        video, clips = self.head(encoded, seconds.to(encoded.device).mean(-1))
        return video.double().sigmoid(), clips.double().sigmoid()

    def segment_logits(self, images: Tensor, real: Tensor) -> Tensor:
        """Return the logits of each clip alone, (clips, classes)."""
        encoded = self.encode(images, real)
        return self(encoded, torch.zeros(len(encoded), device=encoded.device))[1]  # type: ignore[no-any-return]
