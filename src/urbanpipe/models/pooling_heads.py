"""Heads that pool frames or clips so that one moment can decide: log-sum-exp, gated attention, several queries."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from urbanpipe.models.config import BagHeadConfig
from urbanpipe.models.smooth_max import smooth_max


class PoolingHead(nn.Module, ABC):
    """A head whose logits of a single frame are those of a bag of that frame."""

    @abstractmethod
    def frame_logits(self, bag: Tensor) -> Tensor:
        """Return the logits (frames, classes) of each frame of a bag (frames, features) as a bag of its own."""

    def frame_scores(self, bag: Tensor, logits: Tensor) -> Tensor:
        """Return the probabilities (frames, classes), float64, of each frame as a bag of its own."""
        del logits
        return self.frame_logits(bag).double().sigmoid()


class LogSumExpHead(PoolingHead):
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

    def frame_logits(self, bag: Tensor) -> Tensor:
        """Return the logits (frames, classes) of each frame as a bag of its own."""
        return self.linear(bag)  # type: ignore[no-any-return]


class AttentionHead(PoolingHead):
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

    def frame_logits(self, bag: Tensor) -> Tensor:
        """Return the logits (frames, classes) of each frame as a bag of its own."""
        return self.linear(bag)  # type: ignore[no-any-return]


class MultiQueryHead(PoolingHead):
    """Several learned queries that attend to the frames (efficient probing, Psomas et al., arXiv 2506.10178).

    There is no projection of queries and keys: a query is compared with the frame's features, and pools its own share
    of the channels of the values. The features are normalised over their channels first.

    Args:
        features: width of a frame's feature.
        classes: number of classes.
        config: width of the values, number of queries (`heads`), and dropout.
    """

    def __init__(self, features: int, classes: int, config: BagHeadConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(features, elementwise_affine=False)
        self.queries = nn.Parameter(torch.randn(config.heads, features) * 0.02)
        self.value = nn.Linear(features, config.width, bias=False)
        self.dropout, self.linear = nn.Dropout(config.dropout), _linear(config.width, classes)

    def attention(self, bag: Tensor) -> Tensor:
        """Return the attention weights (frames, queries), which sum to 1 over the frames."""
        return self._attention(self.norm(bag))

    def _attention(self, normalised: Tensor) -> Tensor:
        scale = normalised.shape[-1] ** -0.5
        return (normalised @ self.queries.T * scale).float().softmax(0)  # type: ignore[no-any-return]

    def forward(self, bag: Tensor) -> Tensor:
        """Return the logits (classes,) of a bag (frames, features)."""
        normalised = self.norm(bag)
        values = self.value(normalised).unflatten(1, (len(self.queries), -1))
        pooled = (self._attention(normalised).unsqueeze(-1) * values).sum(0).flatten()
        return self.linear(self.dropout(pooled))  # type: ignore[no-any-return]

    def frame_logits(self, bag: Tensor) -> Tensor:
        """Return the logits (frames, classes) of each frame as a bag of its own, to which all queries attend."""
        return self.linear(self.value(self.norm(bag)))  # type: ignore[no-any-return]


def _linear(features: int, classes: int) -> nn.Linear:
    layer = nn.Linear(features, classes)
    nn.init.normal_(layer.weight, std=0.01)
    nn.init.zeros_(layer.bias)
    return layer
