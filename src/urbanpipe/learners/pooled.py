"""Learning from videos whose frames are pooled within the network, so that one frame can decide."""

import torch
from torch import Tensor

from urbanpipe.inputs.batches import Batch
from urbanpipe.learners.learner import LearnerContext
from urbanpipe.learners.probe import start_from_probe
from urbanpipe.models.bag import BagNetwork
from urbanpipe.models.device import autocast, images_to


class PooledLearner:
    """The learner of frames that are pooled before the loss; see `learners.learner.Learner`.

    Args:
        context: recipe, state, loss, targets and training set.
    """

    def __init__(self, context: LearnerContext) -> None:
        model = context.state.model
        assert isinstance(model, BagNetwork), "the method builds no other"
        self._context, self._model, self._targets = context, model, torch.from_numpy(context.targets)

    def begin_epoch(self) -> None:
        """Start the head from a probe, before the first epoch of a recipe that asks for it."""
        if self._context.state.epoch == 0 and self._context.recipe.model.head_start == "probe":
            start_from_probe(self._context)

    def reads(self) -> bool:
        """Return True: every batch needs pixels."""
        return True

    def learn(self, batch: Batch, last: bool) -> Tensor:
        """Encode all frames at once, then pool the frames of each video; run forward and backward passes."""
        context, training = self._context, self._context.recipe.training
        device = context.distributed.device
        with autocast(device, training.precision):
            images = images_to(torch.from_numpy(batch.images), device, training.channels_last)
            features = self._model.encode(images, torch.from_numpy(batch.real))
            logits = torch.stack([self._model(part) for part in torch.split(features, batch.counts)])
        value = context.loss(logits.float(), self._targets[batch.samples].to(device))
        context.state.scaler.scale(value / training.accumulation).backward()  # type: ignore[no-untyped-call]
        if last:
            context.distributed.average([p.grad for p in self._model.parameters() if p.grad is not None])
        return value.detach()

    def end_epoch(self) -> None:
        """Do nothing."""

    def forget(self) -> None:
        """Do nothing."""
