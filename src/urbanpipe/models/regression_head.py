"""A linear head over the pooled features of a bag: the head of the frozen baseline."""

import torch
from torch import Tensor, nn

from urbanpipe.models.config import BagHeadConfig, BagPooling
from urbanpipe.models.pooling_heads import PoolingHead


def pool_bag(bag: Tensor, pooling: tuple[BagPooling, ...]) -> Tensor:
    """Return the pooled features (len(pooling) * features,) of a bag (frames, features), in the order of `pooling`.

    With `mean` every frame counts; with `max` a channel is decided by one frame, and with `top` by the mean of the
    quarter of the frames with its largest values, at least one.
    """
    parts = []
    for kind in pooling:
        if kind == "mean":
            parts.append(bag.mean(0))
        elif kind == "max":
            parts.append(bag.amax(0))
        else:
            parts.append(bag.topk((bag.shape[0] + 3) // 4, dim=0).values.mean(0))
    return torch.cat(parts)


class RegressionHead(PoolingHead):
    """Logistic regression on standardised pooled features. `learners.regression` fits it; it has no random weights.

    Args:
        features: width of a frame's feature.
        classes: number of classes.
        config: the pooling.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, features: int, classes: int, config: BagHeadConfig) -> None:
        super().__init__()
        self.pooling = config.pooling
        width = features * len(config.pooling)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.linear = nn.Linear(width, classes)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def pool(self, bag: Tensor) -> Tensor:
        """Return the pooled features of a bag (frames, features), before they are standardised; see `pool_bag`."""
        return pool_bag(bag, self.pooling)

    def forward(self, bag: Tensor) -> Tensor:
        """Return the logits (classes,) of a bag (frames, features)."""
        return self.of_pooled(self.pool(bag))

    def of_pooled(self, pooled: Tensor) -> Tensor:
        """Return the logits (..., classes) of pooled features (..., d)."""
        return self.linear((pooled - self.mean) / self.scale)  # type: ignore[no-any-return]

    def frame_logits(self, bag: Tensor) -> Tensor:
        """Return the logits (frames, classes) of each frame as a bag of its own."""
        pooled = bag.repeat(1, len(self.pooling))  # of a single frame, every pooling is the frame itself
        return self.of_pooled(pooled)
