"""The classifier of segments (super-images, single frames or clips): normalisation, backbone and head."""

from typing import Literal

from torch import Tensor, nn

from urbanpipe.models.backbone import Backbone, Normalise
from urbanpipe.models.config import ModelConfig
from urbanpipe.models.heads import LinearHead, MLDecoderHead
from urbanpipe.models.network import Network
from urbanpipe.models.video import VideoBackbone

Pooling = Literal["mean", "max", "median"]


class SegmentClassifier(Network):
    """Classifies segments; a video's probabilities are pooled from those of its segments.

    Args:
        config: config of the head; weights are loaded separately (`models.weights`).
        backbone: backbone for images or clips.
        classes: number of classes.
        pooling: how the probabilities of a video's segments are pooled.
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
        """Return logits (segments, classes).

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
        """Return the pooled probabilities and those of the segments."""
        del seconds
        probabilities = encoded.double().sigmoid()
        return pooled(probabilities, self.pooling), probabilities

    def segment_logits(self, images: Tensor, real: Tensor) -> Tensor:
        """Return the logits of each segment, (segments, classes)."""
        return self.encode(images, real)


def pooled(scores: Tensor, pooling: Pooling) -> Tensor:
    """Pool scores (..., segments, values) over the last but one axis to (..., values).

    The median of an even number of values is the mean of the middle two, as in numpy.
    """
    if pooling == "max":
        return scores.amax(-2)
    return scores.mean(-2) if pooling == "mean" else scores.quantile(0.5, dim=-2)


def image_classifier(config: ModelConfig, image_size: tuple[int, int], classes: int) -> SegmentClassifier:
    """Return a classifier of images of `image_size` (width, height)."""
    return SegmentClassifier(config, Backbone(config, image_size), classes)
