"""Learning from segments that have the labels of their video, or those of moments near them."""

from contextlib import nullcontext

import torch
from torch import Tensor

from urbanpipe.inputs.batches import Batch
from urbanpipe.learners.learner import LearnerContext
from urbanpipe.learners.moment_targets import MomentTargets, loss_of_known
from urbanpipe.learners.probe import start_from_probe
from urbanpipe.models.device import autocast, images_to


class SegmentLearner:
    """The learner of super-images, clips and single frames, which have the labels of their video.

    A frame has a class with moments only if it is near one; see `MomentTargets`.

    Args:
        context: recipe, state, loss, targets and training set.
    """

    def __init__(self, context: LearnerContext) -> None:
        self._context = context
        self._training, self._state, self._loss = context.recipe.training, context.state, context.loss
        self._distributed, window = context.distributed, context.recipe.input.moment_window
        self._targets = MomentTargets(context.dataset.videos, context.targets, window)
        model = context.state.model
        network = torch.compile(model) if self._training.compile else model
        # A head on tokens leaves the norm of the backbone's own pooling without a gradient.
        self._forward = self._distributed.wrap(network, unused_parameters=getattr(model, "on_tokens", False))  # type: ignore[arg-type]

    def begin_epoch(self) -> None:
        """Start the head from a probe, before the first epoch of a recipe that asks for it."""
        if self._state.epoch == 0 and self._context.recipe.model.head_start == "probe":
            start_from_probe(self._context)

    def reads(self) -> bool:
        """Return True: every batch needs pixels."""
        return True

    def learn(self, batch: Batch, last: bool) -> Tensor:
        """Run forward and backward passes."""
        training, device = self._training, self._distributed.device
        apart = not last and self._distributed.count > 1
        with self._forward.no_sync() if apart else nullcontext():  # type: ignore[operator]
            with autocast(device, training.precision):
                logits = self._forward(images_to(torch.from_numpy(batch.images), device, training.channels_last))
            targets, known = self._targets.of_segments(batch.videos, batch.seconds)
            value = loss_of_known(self._loss, logits, targets.to(device), known.to(device)) / training.accumulation
            self._state.scaler.scale(value).backward()  # type: ignore[no-untyped-call]
        return value.detach() * training.accumulation

    def end_epoch(self) -> None:
        """Do nothing."""

    def forget(self) -> None:
        """Do nothing."""
