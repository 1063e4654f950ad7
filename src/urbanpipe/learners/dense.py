"""Learning from every moment of a video: a share of its clips with gradient, the rest from the feature memory.

The memory comes from TALLFormer (arXiv 2204.01680), the dropping of stale features and the final fine-tuning of the
head from GST-EFD (arXiv 2305.12322), and the exact gradients of sampled clips from ETAD (CVPR workshops 2023).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from urbanpipe.inputs.batches import Batch
from urbanpipe.inputs.clip_schedule import visited
from urbanpipe.inputs.frame_timeline import SampleSeed, Seconds
from urbanpipe.inputs.reading import frame_timeline_of
from urbanpipe.learners.feature_memory import FeatureMemory, fingerprint
from urbanpipe.learners.learner import LearnerContext
from urbanpipe.learners.memory_fill import exchange, fill, write_batch
from urbanpipe.learners.moment_targets import MomentTargets, loss_of_known
from urbanpipe.learners.probe import fit_head, rows_of
from urbanpipe.models.dense import DenseClassifier, PooledVideoHead
from urbanpipe.models.device import autocast, images_to
from urbanpipe.models.smooth_max import smooth_max
from urbanpipe.outputs import remove_quietly

if TYPE_CHECKING:
    from urbanpipe.methods.dense import DenseConfig

AT_ONCE = 16  # clips encoded at once without gradient or with recomputation; bounds memory


class DenseLearner:
    """The learner of the dense method; see `learners.learner.Learner`.

    Args:
        config: config of the method.
        context: recipe, state, loss, targets and training set.
    """

    def __init__(self, config: "DenseConfig", context: LearnerContext) -> None:
        model, recipe, dataset = context.state.model, context.recipe, context.dataset
        assert isinstance(model, DenseClassifier), "the method builds no other"
        self._context, self._distributed = context, context.distributed
        self._recipe, self._input, self._state = recipe, config, context.state
        self._model, self._loss, self._targets = model, context.loss, torch.from_numpy(context.targets)
        self._dataset, self._folder = dataset, context.folder
        self._resumed = True  # until the first epoch of this process has begun
        self._moments = MomentTargets(dataset.videos, context.targets, config.moment_window)
        self._spans = [self._spans_of(index) for index in range(len(dataset))]
        self._seconds = [torch.from_numpy(spans.mean(axis=1)) for spans in self._spans]
        clips = [len(seconds) for seconds in self._seconds]
        path = context.folder / f"memory.{context.distributed.rank}.features"
        self.memory = FeatureMemory(path, clips, config.head.width, fingerprint(recipe, dataset.videos))

    def _spans_of(self, index: int) -> Seconds:
        timeline = frame_timeline_of(self._dataset.videos[index])
        return timeline.spans(self._dataset.view.evaluation_sample(timeline).frames)

    @property
    def _head_alone(self) -> bool:
        memory, epoch = self._input.memory, self._state.epoch
        return epoch < memory.warmup_epochs or epoch >= self._recipe.training.epochs - memory.final_epochs

    def reads(self) -> bool:
        """Return False where only the head is trained."""
        return not self._head_alone

    def begin_epoch(self) -> None:
        """Fill or refresh the memory when due; freeze the encoder where only the head is trained."""
        self._model.encoder.requires_grad_(not self._head_alone)
        if self._state.epoch == self._recipe.training.epochs - self._input.memory.final_epochs and self._state.ema:
            self._model.encoder.load_state_dict(self._state.ema.module.encoder.state_dict())
        lost = ""
        if self._resumed and self._state.epoch and self._in_use and not self._refresh_is_due():
            lost = next(
                filter(None, self._distributed.gather(self.memory.load_copy(self._copy(self._state.epoch)))), ""
            )
        if lost:
            self._distributed.log(f"feature memory: {lost}; encoding it again")
        if lost or self._refresh_is_due():
            self._refresh()
        if self._starts_from_probe:
            self._start_from_probe()
        self._resumed = False

    @property
    def _starts_from_probe(self) -> bool:
        """Whether this epoch begins with a regression on the features of the initial encoder as the head."""
        return self._state.epoch == 0 and self._recipe.model.head_start == "probe"

    def _start_from_probe(self) -> None:
        head = self._model.head
        assert isinstance(head, PooledVideoHead), "the recipe is checked"
        videos = range(len(self._dataset))
        fit_head(head.pool, (rows_of(head.pool, self.memory.read(video)) for video in videos), self._context)

    @property
    def _in_use(self) -> bool:
        """Whether this epoch reads the memory."""
        return self._input.mode == "stale" or self._head_alone

    def _refresh_is_due(self) -> bool:
        memory, epoch = self._input.memory, self._state.epoch
        if epoch == self._recipe.training.epochs - memory.final_epochs:
            return True
        if epoch == 0:
            return self._in_use or self._starts_from_probe
        since = epoch - memory.warmup_epochs
        due = memory.refresh_epochs > 0 and since > 0 and since % memory.refresh_epochs == 0
        return due and not self._head_alone and self._input.mode == "stale"

    def _writer(self) -> DenseClassifier:
        """Return the network whose features fill the memory."""
        if self._input.memory.write == "ema" and self._state.ema:
            return self._state.ema.module  # type: ignore[no-any-return]
        return self._model

    def _refresh(self) -> None:
        """Encode every clip again, with the videos divided among the processes."""
        step = self._state.step
        fill(
            self.memory,
            self._writer(),
            self._dataset,
            recipe=self._recipe,
            distributed=self._distributed,
            step=step,
            at_once=AT_ONCE,
        )

    def learn(self, batch: Batch, last: bool) -> Tensor:
        """Run forward and backward passes, then write the fresh features back."""
        if self._head_alone:
            loss = self._head_step(batch)
        else:
            steps = {"stale": self._stale_step, "exact-sampled": self._sampled_step, "exact": self._exact_step}
            loss = steps[self._input.mode](batch)
        if last:
            self._distributed.average([p.grad for p in self._model.parameters() if p.grad is not None])
        return loss

    def _head_step(self, batch: Batch) -> Tensor:
        """Train the head alone, on stored features that all come from the current encoder."""
        outputs = []
        for video in batch.samples:
            everything = torch.ones(len(self._seconds[video]), dtype=torch.bool)
            outputs.append(self._say(video, self.memory.read(video), ~everything, everything))
        return self._backward(batch, outputs)

    def _stale_step(self, batch: Batch) -> Tensor:
        """Encode a share of the clips with gradient, and insert them into stored features after random dropping."""
        fresh = self._encode(torch.from_numpy(batch.images), torch.from_numpy(batch.real))
        outputs = []
        for video, rows, part in self._by_sample(batch, fresh):
            spliced = self.memory.read(video).to(part.device).index_copy(0, rows.to(part.device), part.float())
            is_fresh = torch.zeros(len(spliced), dtype=torch.bool)
            is_fresh[rows] = True
            stored = ~is_fresh & (torch.rand(len(spliced)) < self._input.memory.keep_stale)
            outputs.append(self._say(video, spliced, is_fresh, stored))
        loss = self._backward(batch, outputs)
        write_batch(self.memory, batch, self._written(batch, fresh.detach()), self._state.step)
        return loss

    def _exact_step(self, batch: Batch) -> Tensor:
        """Encode every clip with gradient, recomputing activations a few clips at a time."""
        features = self._encode(torch.from_numpy(batch.images), torch.from_numpy(batch.real), AT_ONCE)
        outputs = []
        for video, rows, part in self._by_sample(batch, features):
            everything = torch.ones(len(rows), dtype=torch.bool)
            outputs.append(self._say(video, part.float(), everything, ~everything))
        return self._backward(batch, outputs)

    def _sampled_step(self, batch: Batch) -> Tensor:
        """Encode the sampled clips with gradient, and the other clips without."""
        sampled = [self._sampled(*pair) for pair in zip(batch.samples, batch.counts, strict=True)]
        chosen = torch.cat(sampled)
        fresh = self._encode(torch.from_numpy(batch.images)[chosen], torch.from_numpy(batch.real)[chosen]).float()
        features = fresh.new_zeros(len(chosen), fresh.shape[1])
        if not bool(chosen.all()):
            with torch.no_grad():
                parts = (
                    torch.split(tensor[~chosen], AT_ONCE)
                    for tensor in (torch.from_numpy(batch.images), torch.from_numpy(batch.real))
                )
                rest = torch.cat([self._encode(*part).float() for part in zip(*parts, strict=True)])
            features[~chosen] = rest
        features = features.index_copy(0, chosen.nonzero().squeeze(1).to(fresh.device), fresh)
        outputs = [
            self._say(video, part, is_fresh, ~is_fresh)
            for (video, _, part), is_fresh in zip(self._by_sample(batch, features), sampled, strict=True)
        ]
        return self._backward(batch, outputs)

    def _sampled(self, video: int, clips: int) -> Tensor:
        """Return which of a video's clips are visited in this epoch, (clips,) bool."""
        turn = torch.zeros(clips, dtype=torch.bool)
        turn[
            visited(
                clips,
                self._input.fraction,
                self._input.max_clips,
                SampleSeed(self._dataset.seed, self._state.epoch, video),
            )
        ] = True
        return turn

    def _by_sample(self, batch: Batch, features: Tensor) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Yield for each sample its video, the rows of its segments, and their features."""
        rows = torch.split(torch.from_numpy(batch.rows), batch.counts)
        yield from zip(batch.samples, rows, torch.split(features, batch.counts), strict=True)

    def _say(self, video: int, features: Tensor, fresh: Tensor, stored: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the logits (classes,) of a video, those pooled from its fresh clips alone, and the loss by moments.

        Args:
            video: index of the video.
            features: (clips, width).
            fresh: clips encoded in this step, (clips,) bool; if there are none, all clips count as fresh.
            stored: clips whose features come from the memory, (clips,) bool; at most `max_stored` of them are used.
        """
        device, most = self._distributed.device, self._input.memory.max_stored
        if self._input.mode == "stale" and int(stored.sum()) > most:
            indices = stored.nonzero().squeeze(1)
            stored = torch.zeros_like(stored)
            stored[indices[torch.randperm(len(indices))[:most]]] = True
        part = fresh | stored
        with autocast(device, self._recipe.training.precision):
            logits, clips = self._model(features[part].to(device), self._seconds[video][part].to(device))
        is_fresh = fresh[part] if bool(fresh.any()) else torch.ones(len(clips), dtype=torch.bool)
        return logits.float(), smooth_max(clips[is_fresh.to(device)]), self._moment_loss(video, clips, part)

    def _moment_loss(self, video: int, clips: Tensor, part: Tensor) -> Tensor:
        """Return the loss of clip logits (clips, classes), of the clips `part`, on the classes that have moments."""
        timed = self._moments.timed[video]
        if not bool(timed.any()):
            return clips.new_zeros((), dtype=torch.float32)
        targets, known = (x.to(clips.device) for x in self._moments.of(video, self._spans[video][part.numpy()]))
        return loss_of_known(self._loss, clips.float(), targets, known & timed.to(clips.device))

    def _backward(self, batch: Batch, outputs: Sequence[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
        """Add the gradients of the losses on videos, on fresh clips and by moments; return the value, detached."""
        videos, of_fresh, by_moments = (torch.stack(part) for part in zip(*outputs, strict=True))
        device = self._distributed.device
        targets, weak = self._targets[batch.samples].to(device), ~self._moments.timed[batch.samples].to(device)
        value = self._loss(videos, targets) + by_moments.mean()
        if self._input.memory.auxiliary:
            value = value + self._input.memory.auxiliary * loss_of_known(self._loss, of_fresh, targets, weak)
        self._state.scaler.scale(value / self._recipe.training.accumulation).backward()  # type: ignore[no-untyped-call]
        return value.detach()

    def _encode(self, images: Tensor, real: Tensor, at_once: int = 0) -> Tensor:
        training, device = self._recipe.training, self._distributed.device
        with autocast(device, training.precision):
            return self._model.encode(images_to(images, device, training.channels_last), real, at_once)

    def _written(self, batch: Batch, fresh: Tensor) -> Tensor:
        """Return the features to write back: the fresh ones, or those of the EMA's encoder."""
        writer = self._writer()
        if writer is self._model:
            return fresh
        device, training = self._distributed.device, self._recipe.training
        with torch.no_grad(), autocast(device, training.precision):
            return writer.encode(
                images_to(torch.from_numpy(batch.images), device, training.channels_last), torch.from_numpy(batch.real)
            )

    def end_epoch(self) -> None:
        """Exchange updates between processes, and keep a copy that matches the state about to be saved."""
        if not self._in_use:
            return
        exchange(self.memory, self._distributed)
        if self._distributed.is_main:  # all processes now hold the same memory
            self.memory.save_copy(self._copy(self._state.epoch + 1))
            for path in self._copies():
                if path.name < self._copy(self._state.epoch).name:
                    remove_quietly(path)

    def _copy(self, epoch: int) -> Path:
        return self._folder / f"memory.epoch{epoch:05d}"

    def _copies(self) -> Sequence[Path]:
        return sorted(self._folder.glob("memory.epoch*"))

    def forget(self) -> None:
        """Remove the memory."""
        self.memory.close()
        for path in (self.memory.path, *(self._copies() if self._distributed.is_main else ())):
            remove_quietly(path)
