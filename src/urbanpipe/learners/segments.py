"""How a step learns from a batch. The loop steps the optimiser; a learner turns segments into gradients."""

from contextlib import nullcontext
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from urbanpipe.inputs.batches import Batch
from urbanpipe.learners.losses import Loss
from urbanpipe.learners.state import State
from urbanpipe.methods.recipe import Recipe
from urbanpipe.models.classifier import SegmentClassifier
from urbanpipe.models.device import autocast, images_to
from urbanpipe.models.distributed import DistributedContext


class Learner(Protocol):
    """What the loop asks of a method."""

    def begin_epoch(self) -> None:
        """Before the first batch of an epoch."""

    def reads(self) -> bool:
        """Whether this epoch's batches need pixels."""

    def learn(self, batch: Batch, last: bool) -> Tensor:
        """Add a batch's gradients, `last` of its step; returns its mean loss, detached."""

    def end_epoch(self) -> None:
        """After the last step of an epoch, before its state is saved."""

    def forget(self) -> None:
        """Remove what only training needed; called once the model is done."""


class SegmentLearner:
    """Segments that carry their video's labels: super-images, clips, single frames.

    Args:
        recipe: precision, accumulation, compilation.
        state: of the model.
        processes: those that share a step.
        loss: of (logits, targets).
        targets: (videos, classes) of the training set.
    """

    def __init__(
        self, recipe: Recipe, state: State, distributed: DistributedContext, loss: Loss, targets: NDArray[np.float32]
    ) -> None:
        assert isinstance(state.model, SegmentClassifier)
        self._training, self._state, self._distributed, self._loss = recipe.training, state, distributed, loss
        self._targets = torch.from_numpy(targets)
        network = torch.compile(state.model) if recipe.training.compile else state.model
        # A head on tokens leaves the norm of the backbone's own pooling without a gradient.
        self._forward = distributed.wrap(network, unused_parameters=state.model.on_tokens)  # type: ignore[arg-type]

    def begin_epoch(self) -> None:
        """Nothing."""

    def reads(self) -> bool:
        """Always."""
        return True

    def learn(self, batch: Batch, last: bool) -> Tensor:
        """Forward and backward."""
        training, device = self._training, self._distributed.device
        apart = not last and self._distributed.count > 1
        with self._forward.no_sync() if apart else nullcontext():  # type: ignore[operator]
            with autocast(device, training.precision):
                logits = self._forward(images_to(batch.images, device, training.channels_last))
            targets = self._targets[batch.videos].to(device, non_blocking=True)
            value = self._loss(logits, targets) / training.accumulation
            self._state.scaler.scale(value).backward()  # type: ignore[no-untyped-call]
        return value.detach() * training.accumulation

    def end_epoch(self) -> None:
        """Nothing."""

    def forget(self) -> None:
        """Nothing."""
