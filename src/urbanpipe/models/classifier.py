"""A segment classifier: normalisation, backbone, head. Its segments are super-images, single frames, or clips."""

from typing import Literal

from torch import Tensor, nn

from urbanpipe.models.backbone import Backbone, Normalise
from urbanpipe.models.config import ModelConfig
from urbanpipe.models.heads import LinearHead, MLDecoderHead
from urbanpipe.models.network import Network
from urbanpipe.models.video import VideoBackbone

Pooling = Literal["mean", "max", "median"]


class SegmentClassifier(Network):
    """Logits of segments; a video's probabilities are the pool of those of its segments.

    Args:
        config: the head; weights are loaded separately (`models.weights`).
        backbone: of images or of clips.
        classes: number of classes.
        pooling: of a video's segments.
    """

    def __init__(
        self, config: ModelConfig, backbone: Backbone | VideoBackbone, classes: int, pooling: Pooling = "mean"
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.normalise = Normalise(backbone.mean, backbone.std)
        self.pooling = pooling
        self.on_tokens = config.head == "ml-decoder"
        self.head: nn.Module = (
            MLDecoderHead(backbone.token_width, classes, config)
            if self.on_tokens
            else LinearHead(backbone.pooled_width, classes, config.dropout)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Logits (segments, classes).

        Args:
            images: (segments, 3, height, width) or (segments, 3, frames, height, width), 0 to 255, uint8 or float.
        """
        images = self.normalise(images)
        features = self.backbone.tokens(images) if self.on_tokens else self.backbone.pooled(images)
        return self.head(features)  # type: ignore[no-any-return]

    def encode(self, images: Tensor, real: Tensor) -> Tensor:
        """Return the logits of each segment, (segments, classes)."""
        del real
        return self(images)  # type: ignore[no-any-return]

    def aggregate(self, encoded: Tensor, seconds: Tensor) -> tuple[Tensor, Tensor]:
        """Return the pool of the segments' probabilities, and these."""
        del seconds
        each = encoded.double().sigmoid()
        return pooled(each, self.pooling), each

    def segment_logits(self, images: Tensor, real: Tensor) -> Tensor:
        """Return the logits of each segment, (segments, classes)."""
        return self.encode(images, real)


def pooled(scores: Tensor, pooling: Pooling) -> Tensor:
    """The pool (..., values) over the last but one axis of scores (..., segments, values).

    The median of an even number is the mean of the middle two, as numpy's.
    """
    if pooling == "max":
        return scores.amax(-2)
    return scores.mean(-2) if pooling == "mean" else scores.quantile(0.5, dim=-2)


def image_classifier(config: ModelConfig, image_size: tuple[int, int], classes: int) -> SegmentClassifier:
    """A classifier of images of `image_size` (width, height)."""
    return SegmentClassifier(config, Backbone(config, image_size), classes)
