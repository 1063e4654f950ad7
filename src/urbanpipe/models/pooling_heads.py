"""Linear heads that pool the frames of a bag so that one moment can decide: log-sum-exp and gated attention."""

import torch
from torch import Tensor, nn

from urbanpipe.models.config import BagHeadConfig
from urbanpipe.models.smooth_max import smooth_max


class LogSumExpHead(nn.Module):
    """One logit per frame and class, pooled by log-mean-exp: a smooth maximum, through which every frame is trained.

    Args:
        features: width of a frame's feature.
        classes: number of classes.
        config: dropout.
    """

    def __init__(self, features: int, classes: int, config: BagHeadConfig) -> None:
        super().__init__()
        self.dropout, self.linear = nn.Dropout(config.dropout), _linear(features, classes)

    def forward(self, bag: Tensor) -> Tensor:
        """Return the logits (classes,) of a bag (frames, features)."""
        return smooth_max(self.linear(self.dropout(bag)))

    def frame_scores(self, bag: Tensor, logits: Tensor) -> Tensor:
        """Return the probabilities (frames, classes), float64, of each frame as a bag of its own."""
        del logits
        return self.linear(bag).double().sigmoid()  # type: ignore[no-any-return]


class AttentionHead(nn.Module):
    """Gated attention (Ilse et al., arXiv 1802.04712), with weights of its own for each class, and one linear layer.

    Args:
        features: width of a frame's feature.
        classes: number of classes.
        config: hidden width of the attention, and dropout.
    """

    def __init__(self, features: int, classes: int, config: BagHeadConfig) -> None:
        super().__init__()
        self.value, self.gate = nn.Linear(features, config.width), nn.Linear(features, config.width)
        self.attend = nn.Linear(config.width, classes)
        self.dropout, self.linear = nn.Dropout(config.dropout), _linear(features, classes)

    def attention(self, bag: Tensor) -> Tensor:
        """Return the attention weights (frames, classes), which sum to 1 over the frames."""
        gated = torch.tanh(self.value(bag)) * torch.sigmoid(self.gate(bag))
        return self.attend(gated).float().softmax(0)  # type: ignore[no-any-return]

    def forward(self, bag: Tensor) -> Tensor:
        """Return the logits (classes,) of a bag (frames, features): those of its frames, weighted by the attention."""
        return (self.attention(bag) * self.linear(self.dropout(bag))).sum(0)  # type: ignore[no-any-return]

    def frame_scores(self, bag: Tensor, logits: Tensor) -> Tensor:
        """Return the probabilities (frames, classes), float64, of each frame as a bag of its own."""
        del logits
        return self.linear(bag).double().sigmoid()  # type: ignore[no-any-return]


def _linear(features: int, classes: int) -> nn.Linear:
    layer = nn.Linear(features, classes)
    nn.init.normal_(layer.weight, std=0.01)
    nn.init.zeros_(layer.bias)
    return layer
