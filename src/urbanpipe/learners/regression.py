"""Fitting the regression head of a bag: one logistic regression per class on standardised pooled features."""

import torch
from torch import Tensor
from torch.nn import functional

from urbanpipe.errors import RunError
from urbanpipe.inputs.reading import frame_timeline_of
from urbanpipe.learners.features import encoded
from urbanpipe.learners.learner import LearnerContext
from urbanpipe.learners.moment_rows import MomentFrames, moment_frames, moment_rows
from urbanpipe.learners.moment_targets import MomentTargets
from urbanpipe.learners.probe import fit_pooled
from urbanpipe.models.bag import BagClassifier
from urbanpipe.models.config import BagHeadConfig
from urbanpipe.models.regression_head import RegressionHead

_AT_ONCE = 512  # videos on the device


class RegressionFitter:
    """Fits the head of a bag, if it is a regression; see `learners.learner.Fitter`.

    Of each video it holds the pooled features alone, and single frames where there are moments.

    Args:
        config: the candidates of the regularisation strength.
        context: recipe, state, targets and training set.
    """

    def __init__(self, config: BagHeadConfig, context: LearnerContext) -> None:
        model, videos = context.state.model, context.dataset.videos
        assert isinstance(model, BagClassifier), "the method builds no other"
        assert isinstance(model.head, RegressionHead), "the method builds no other"
        self._model, self._head, self._strengths, self._context = model, model.head, config.strengths, context
        self._moments = MomentTargets(videos, context.targets, context.recipe.input.moment_window)

    def fit(self) -> float:
        """Fit the head; return the mean loss on the labels of the videos.

        Raises:
            RunError: features are not finite numbers.
        """
        context, distributed, moments = self._context, self._context.distributed, self._moments
        view, videos = context.dataset.view, context.dataset.videos
        pooled, near = list[tuple[int, Tensor]](), dict[int, MomentFrames]()
        for video, bag in encoded(self._model, context.dataset, context.recipe, distributed):
            if not bag.isfinite().all():
                raise RunError(
                    f"{videos[video].path}: its features are not finite numbers; set training.precision to bf16 or fp32"
                )
            pooled.append((video, self._head.pool(bag)))
            if moments.timed[video].any():
                timeline = frame_timeline_of(videos[video])
                seconds = timeline.spans(view.evaluation_sample(timeline).frames)
                near[video] = moment_frames(bag, seconds, moments, video)
        shares = distributed.gather((pooled, near))
        by_video = {video: row for rows, _ in shares for video, row in rows}
        loss = 0.0
        if distributed.is_main:
            features = torch.stack([by_video[video] for video in range(len(videos))])
            loss = self._fit(features, {video: rows for _, part in shares for video, rows in part.items()})
        self._head.load_state_dict(distributed.from_main(self._head.state_dict()))
        return distributed.from_main(loss)

    def _fit(self, pooled: Tensor, near: dict[int, MomentFrames]) -> float:
        """Fit the head to the pooled features (videos, d) and to frames; return the mean loss of the videos."""
        context, head = self._context, self._head
        groups, targets = [video.group for video in context.dataset.videos], torch.from_numpy(context.targets)
        rows = moment_rows(near, self._moments)
        strength = fit_pooled(head, pooled, context.targets > 0, groups, self._strengths, moments=rows)
        context.distributed.log(f"{context.recipe.name}: regression on {pooled.shape[1]} features, C = {strength:g}")
        return float(mean_loss(head, pooled, targets))

    def end_epoch(self) -> None:
        """Do nothing: the fit is complete."""

    def forget(self) -> None:
        """Do nothing: no file is written."""


@torch.no_grad()
def mean_loss(head: RegressionHead, pooled: Tensor, targets: Tensor) -> Tensor:
    """Return the mean binary cross-entropy (), on the CPU, of a head on any device.

    Args:
        head: the head.
        pooled: pooled features of each video, (videos, d), on the CPU.
        targets: labels, (videos, classes), float32, on the CPU.
    """
    device = head.linear.weight.device
    logits = torch.cat([head.of_pooled(part.to(device)).cpu() for part in torch.split(pooled, _AT_ONCE)])
    return functional.binary_cross_entropy_with_logits(logits, targets)
