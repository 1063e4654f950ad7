"""Learning from bags of features: the frozen backbone encodes every sampled frame once, then the head is trained."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from urbanpipe.inputs.batches import Batch
from urbanpipe.inputs.reading import frame_timeline_of
from urbanpipe.learners.feature_memory import FeatureMemory, fingerprint
from urbanpipe.learners.features import encoded
from urbanpipe.learners.learner import LearnerContext
from urbanpipe.learners.memory_fill import exchange
from urbanpipe.learners.moment_targets import MomentTargets, loss_of_known
from urbanpipe.models.bag import BagClassifier, DecoderHead, TransMILHead
from urbanpipe.models.device import autocast
from urbanpipe.outputs import remove_quietly

_ATTENTION = 0.2  # weight of the loss on attention
_NO_ATTENTION = 1e-6


class BagLearner:
    """The learner of the bag method; see `learners.learner.Learner`.

    In a video with moments, the head also learns which frames are near them.

    Args:
        context: recipe, state, loss, targets and training set.

    Attributes:
        store: the features of all frames of the training set.
    """

    def __init__(self, context: LearnerContext) -> None:
        model, recipe, dataset = context.state.model, context.recipe, context.dataset
        assert isinstance(model, BagClassifier), "the method builds no other"
        self._recipe, self._state, self._distributed, self._dataset = (
            recipe,
            context.state,
            context.distributed,
            dataset,
        )
        self._model, self._loss, self._targets = model, context.loss, torch.from_numpy(context.targets)
        self._moments = MomentTargets(dataset.videos, context.targets, recipe.input.moment_window)
        self._copy, self._filled = context.folder / "memory.copy", False
        frames = [dataset.segment_count(index) for index in range(len(dataset))]
        path, width = context.folder / f"memory.{context.distributed.rank}.features", model.backbone.pooled_width
        self.store = FeatureMemory(path, frames, width, fingerprint(recipe, dataset.videos))

    def begin_epoch(self) -> None:
        """Fill the store, or load it from the copy of an interrupted run; once per process."""
        if self._filled:
            return
        self._filled = True
        if self._state.epoch:  # a state was saved, so the copy has features of the same backbone
            lost = next(filter(None, self._distributed.gather(self.store.load_copy(self._copy))), "")
            if not lost:
                return
            self._distributed.log(f"features of frames: {lost}; encoding them again")
        for video, features in encoded(self._model, self._dataset, self._recipe, self._distributed):
            self.store.write(video, np.arange(len(features)), features, self._state.step)
        exchange(self.store, self._distributed)
        if self._distributed.is_main:
            self.store.save_copy(self._copy)

    def reads(self) -> bool:
        """Return False: the store holds the features of every frame."""
        return False

    def learn(self, batch: Batch, last: bool) -> Tensor:
        """Run forward and backward passes, video by video, so that bags of unequal size need no padding."""
        training, device = self._recipe.training, self._distributed.device
        bags = [bag.to(device) for bag in self._bags(batch.samples)]
        with autocast(device, training.precision):
            logits = torch.stack([self._model(bag) for bag in bags])
            by_moments = [self._moment_loss(video, bag) for video, bag in zip(batch.samples, bags, strict=True)]
        value = self._loss(logits.float(), self._targets[batch.samples].to(device))
        value = value + torch.stack(by_moments).mean()
        self._state.scaler.scale(value / training.accumulation).backward()  # type: ignore[no-untyped-call]
        if last:
            self._distributed.average([p.grad for p in self._model.parameters() if p.grad is not None])
        return value.detach()

    def _moment_loss(self, video: int, bag: Tensor) -> Tensor:
        """Return the loss by moments of the bag (frames, width) of a video; 0 where it has none.

        A head that scores frames by attention learns to attend to those near moments, the others to classify frames.
        """
        head, timed = self._model.head, self._moments.timed[video]
        if not bool(timed.any()):
            return bag.new_zeros(())
        if isinstance(head, TransMILHead | DecoderHead):
            return _ATTENTION * self._attention_loss(head.attention(bag).float(), video)
        targets, known = (part.to(bag.device) for part in self._moments.of(video, self._seconds(video)))
        return loss_of_known(self._loss, head.frame_logits(bag).float(), targets, known & timed.to(bag.device))

    def _attention_loss(self, attention: Tensor, video: int) -> Tensor:
        """Return -log of the attention on frames near moments, summed over the classes that have moments.

        Args:
            attention: (frames, classes), or (frames, 1) where all classes share it: then near a moment of any.
            video: index of the video.
        """
        classes = self._moments.timed[video]
        near = self._moments.near(video, self._seconds(video))[:, classes].to(attention.device)
        if attention.shape[1] > 1:
            attention = attention[:, classes.to(attention.device)]
        else:
            near = near.any(dim=1, keepdim=True)
        return -(attention * near).sum(dim=0).clamp(min=_NO_ATTENTION).log().sum()

    def _seconds(self, video: int) -> NDArray[np.float64]:
        """Return begin and end of each frame of a video, (frames, 2)."""
        timeline = frame_timeline_of(self._dataset.videos[video])
        return timeline.spans(self._dataset.view.evaluation_sample(timeline).frames)

    def _bags(self, videos: Sequence[int]) -> list[Tensor]:
        """Return the features (frames, width) of each video."""
        return [self.store.read(video) for video in videos]

    def end_epoch(self) -> None:
        """Do nothing: the store does not change."""

    def forget(self) -> None:
        """Remove the store."""
        self.store.close()
        remove_quietly(self.store.path)
        if self._distributed.is_main:
            remove_quietly(self._copy)
