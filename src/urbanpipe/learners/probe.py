"""Fine-tuning that starts from a linear probe (LP-FT, Kumar et al., arXiv 2202.10054)."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

from urbanpipe.learners.features import encoded
from urbanpipe.learners.learner import LearnerContext
from urbanpipe.learners.logistic import choose_strength, fit_regression
from urbanpipe.models.classifier import SegmentClassifier
from urbanpipe.models.config import STRENGTHS
from urbanpipe.models.heads import LinearHead
from urbanpipe.models.network import Network

MAX_SEGMENTS = 8  # per video, so that long videos neither dominate the probe nor slow it down


class FeatureEncoder(Network):
    """The backbone of another network, which it shares, with the pooled features of a segment as its encoding.

    Args:
        network: network with the initial weights; it stays in evaluation mode.
    """

    frozen_encoder = True

    def __init__(self, network: SegmentClassifier) -> None:
        super().__init__()
        self.backbone, self.normalise = network.backbone.eval(), network.normalise

    def encode(self, images: Tensor, real: Tensor) -> Tensor:
        """Return the pooled features of each segment, (segments, features)."""
        del real
        return self.backbone.pooled(self.normalise(images))

    def aggregate(self, encoded: Tensor, seconds: Tensor) -> tuple[Tensor, Tensor]:
        """Return nothing: an encoder has no classes."""
        raise NotImplementedError

    def segment_logits(self, images: Tensor, real: Tensor) -> Tensor:
        """Return nothing: an encoder has no classes."""
        raise NotImplementedError


def start_from_probe(context: LearnerContext) -> None:
    """Set the linear head to a logistic regression on the features of the initial backbone, and copy it to the EMA.

    Each of at most eight segments per video, evenly spaced among the evaluated ones, is a row with the labels of its
    video. Features are stored in the cache like those of the bag method.

    Raises:
        VideoError: a video can no longer be read.
    """
    state, recipe, distributed = context.state, context.recipe, context.distributed
    assert isinstance(state.model, SegmentClassifier), "the method builds no other"
    assert isinstance(state.model.head, LinearHead), "the recipe is checked"
    own = [
        (index, spread(features))
        for index, features in encoded(FeatureEncoder(state.model), context.dataset, recipe, distributed)
    ]
    shares = distributed.gather(own)
    if distributed.is_main:
        rows = sorted((pair for share in shares for pair in share), key=lambda pair: pair[0])
        strength = _fit(state.model.head.linear, rows, context)
        distributed.log(f"{recipe.name}: the head starts as a regression on frozen features, C = {strength:g}")
    state.model.head.load_state_dict(distributed.from_main(state.model.head.state_dict()))
    if state.ema:
        state.ema.module.load_state_dict(state.model.state_dict())


def spread(features: Tensor) -> Tensor:
    """Return at most `MAX_SEGMENTS` rows, evenly spaced, of features (segments, width)."""
    count = min(len(features), MAX_SEGMENTS)
    return features[torch.linspace(0, len(features) - 1, count).round().long()]


def _fit(head: nn.Linear, rows: Iterable[tuple[int, Tensor]], context: LearnerContext) -> float:
    """Fit the head to the rows (index of the video, features (segments, width)); return the strength."""
    videos = [index for index, features in rows for _ in features]
    features = torch.cat([features for _, features in rows]).numpy()
    targets = context.targets[videos] > 0
    groups = [context.dataset.videos[index].group for index in videos]
    strength = choose_strength(features, targets, groups, STRENGTHS)
    weight, bias = fit_regression(features, targets, strength).linear()
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weight.astype(np.float32)))
        head.bias.copy_(torch.from_numpy(bias.astype(np.float32)))
    return strength
