"""Heads that are fitted: as a frozen baseline, or as the start of fine-tuning (LP-FT, arXiv 2202.10054)."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from urbanpipe.learners.features import encoded
from urbanpipe.learners.learner import LearnerContext
from urbanpipe.learners.logistic import fit_chosen
from urbanpipe.learners.moment_rows import MomentRows
from urbanpipe.models.bag import BagNetwork
from urbanpipe.models.classifier import SegmentClassifier
from urbanpipe.models.config import STRENGTHS
from urbanpipe.models.heads import LinearHead
from urbanpipe.models.regression_head import RegressionHead

MAX_SEGMENTS = 8  # per video, so that long videos neither dominate the probe nor slow it down


class FeatureEncoder:
    """The initial backbone of a network, in evaluation mode, with its pooled features as the encoding of a segment.

    Args:
        network: the network, whose backbone is used and not changed.
    """

    def __init__(self, network: SegmentClassifier | BagNetwork) -> None:
        self.backbone, self._normalise = network.backbone.eval(), network.normalise

    def encode(self, images: Tensor, real: Tensor) -> Tensor:
        """Return the pooled features of each segment, (segments, features)."""
        del real
        return self.backbone.pooled(self._normalise(images))


def start_from_probe(context: LearnerContext) -> None:
    """Set the head to a logistic regression on the features of the initial backbone, and copy it to the EMA.

    For a head that pools features, a video is a row. Otherwise each of at most eight segments per video, evenly spaced
    among the evaluated ones, is a row with the labels of its video. Features are stored in the cache like those of the
    bag method.

    Raises:
        VideoError: a video can no longer be read.
    """
    model, distributed = context.state.model, context.distributed
    assert isinstance(model, SegmentClassifier | BagNetwork), "the recipe is checked"
    of_process = encoded(FeatureEncoder(model), context.dataset, context.recipe, distributed)
    shares = distributed.gather([(video, rows_of(model.head, features)) for video, features in of_process])
    of_videos = sorted((pair for share in shares for pair in share), key=_first)
    fit_head(model.head, [rows for _, rows in of_videos], context)


def fit_head(head: nn.Module, by_video: Iterable[Tensor], context: LearnerContext) -> None:
    """Set a head to a logistic regression on features, and copy the network to the EMA; see `start_from_probe`.

    Args:
        head: head of the network, the same in all processes; changed in place.
        by_video: what `rows_of` returns for each video of the training set; read in the first process only.
        context: recipe, state and training set.
    """
    state, recipe, distributed = context.state, context.recipe, context.distributed
    if distributed.is_main:
        groups = [video.group for video in context.dataset.videos]
        targets = context.targets > 0
        if isinstance(head, RegressionHead):
            strength = fit_pooled(head, torch.stack([*by_video]), targets, groups, STRENGTHS)
        else:
            assert isinstance(head, LinearHead), "the recipe is checked"
            strength = _fit_segments(head.linear, [*by_video], targets, groups)
        distributed.log(f"{recipe.name}: the head starts as a regression on frozen features, C = {strength:g}")
    head.load_state_dict(distributed.from_main(head.state_dict()))
    if state.ema:
        state.ema.module.load_state_dict(state.model.state_dict())


def _first(pair: tuple[int, Tensor]) -> int:
    return pair[0]


def rows_of(head: nn.Module, features: Tensor) -> Tensor:
    """Return what a head is fitted to of the features (segments, width) of a video.

    These are the pooled features of a head that pools, and at most `MAX_SEGMENTS` rows for others.
    """
    return head.pool(features) if isinstance(head, RegressionHead) else spread(features)


def spread(features: Tensor) -> Tensor:
    """Return at most `MAX_SEGMENTS` rows, evenly spaced, of features (segments, width)."""
    count = min(len(features), MAX_SEGMENTS)
    return features[torch.linspace(0, len(features) - 1, count).round().long()]


def fit_pooled(
    head: RegressionHead,
    pooled: Tensor,
    targets: NDArray[np.bool_],
    groups: Sequence[str],
    strengths: Sequence[float],
    *,
    moments: MomentRows | None = None,
) -> float:
    """Fit a regression head to pooled features; return the strength that inner folds of whole groups chose.

    Args:
        head: the head, changed in place.
        pooled: what the head pools of each video, (videos, d).
        targets: labels, (videos, classes).
        groups: group of each video.
        strengths: candidates of the inverse regularisation strength C.
        moments: frames that are also rows, each as a bag of its own. A class for which they suffice is fitted on them
            alone: in few videos, what differs between videos is the pipe rather than the defect.
    """
    features, weights = pooled.numpy(), np.ones(targets.shape)
    if moments:
        frames = torch.stack([head.pool(frame.unsqueeze(0)) for frame in moments.frames]).numpy()
        groups = [*groups, *(groups[video] for video in moments.videos)]
        features, targets = np.concatenate([features, frames]), np.concatenate([targets, moments.targets])
        weights = np.concatenate([weights * ~moments.suffices, moments.weights])
    fitted, strength = fit_chosen(features, targets, groups, strengths, weights=weights)
    values = {
        "mean": fitted.mean,
        "scale": fitted.scale,
        "linear.weight": fitted.weight,
        "linear.bias": fitted.bias,
    }
    head.load_state_dict({name: torch.from_numpy(value) for name, value in values.items()})
    return strength


def _fit_segments(
    head: nn.Linear, segments: Sequence[Tensor], targets: NDArray[np.bool_], groups: Sequence[str]
) -> float:
    """Fit a linear layer to the features (segments, width) of each video, as `fit_pooled` does for pooled ones."""
    videos = [index for index, rows in enumerate(segments) for _ in rows]
    features, wanted = torch.cat(list(segments)).numpy(), targets[videos]
    fitted, strength = fit_chosen(features, wanted, [groups[index] for index in videos], STRENGTHS)
    weight, bias = fitted.linear()
    head.load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)})
    return strength
