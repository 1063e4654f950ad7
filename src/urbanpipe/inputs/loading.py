"""Loading of segments in worker processes; the order of batches does not depend on the number of workers."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from urbanpipe.errors import VideoError
from urbanpipe.inputs.batches import Batch, Sample, collate
from urbanpipe.inputs.dataset import EvaluationKey, Key, TrainKey, VideoDataset
from urbanpipe.inputs.lost_workers import lost_workers_explained
from urbanpipe.inputs.new_videos import new_samples
from urbanpipe.inputs.view import View
from urbanpipe.platform_support import loader_start_method


class Loader(DataLoader[Any]):
    """A loader that does not warn where there are fewer processors than loading processes, which wait for disks too."""

    def check_worker_number_rationality(self) -> None:
        """Do nothing."""


class BatchLoader:
    """Iterate over batches that worker processes load.

    Pixels are passed between processes as torch tensors in shared memory; batches hold numpy arrays.

    Args:
        dataset: the videos.
        batches: keys of each batch, in order.
        workers: see `loading_workers`.
        pin: whether to use page-locked memory, so that copies to a GPU overlap with computation.
    """

    def __init__(
        self, dataset: VideoDataset, batches: Sequence[Sequence[Key]], workers: int, pin: bool = False
    ) -> None:
        self._count = len(batches)
        processes = min(loading_workers(workers), len(batches))
        self._loader = Loader(
            dataset,
            batch_sampler=batches,  # type: ignore[arg-type]
            num_workers=processes,
            collate_fn=_collate_shared,
            pin_memory=pin,
            prefetch_factor=4 if processes else None,
            multiprocessing_context=loader_start_method() if processes else None,
        )

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Batch]:
        with lost_workers_explained():
            for images, batch in self._loader:
                yield replace(batch, images=images.numpy())


def _collate_shared(samples: Sequence[Sample]) -> tuple[Tensor, Batch]:
    batch = collate(samples)
    return torch.from_numpy(batch.images), replace(batch, images=batch.images[:0])


class SampleLoader:
    """Iterate over the samples of videos without a catalog; a worker process reads each video in one pass.

    Args:
        paths: the videos.
        view: how the method cuts a video into segments.
        max_segments: largest number of segments per sample.
        workers: see `loading_workers`.
    """

    def __init__(self, paths: Sequence[Path], view: View, max_segments: int, workers: int) -> None:
        count = min(loading_workers(workers), len(paths))
        dataset = _NewVideoDataset(paths, view, max_segments)
        self._loader = Loader(
            dataset,
            batch_size=None,
            num_workers=count,
            collate_fn=_share,  # type: ignore[arg-type]
            multiprocessing_context=loader_start_method() if count else None,
        )

    def __iter__(self) -> Iterator[Sample]:
        with lost_workers_explained():
            for images, sample in self._loader:
                segments = sample.segments
                yield sample if images is None else replace(sample, segments=replace(segments, images=images.numpy()))


class _NewVideoDataset(IterableDataset[Any]):
    def __init__(self, paths: Sequence[Path], view: View, max_segments: int) -> None:
        self._paths, self._view, self._max_segments = paths, view, max_segments

    def __iter__(self) -> Iterator[Sample]:
        worker = get_worker_info()
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        yield from new_samples(self._paths, self._view, self._max_segments, first, step)


def _share(sample: Sample) -> tuple[Tensor | None, Sample]:
    if isinstance(sample.segments, VideoError):
        return None, sample
    images = sample.segments.images
    return torch.from_numpy(images), replace(sample, segments=replace(sample.segments, images=images[:0]))


def loading_workers(wanted: int) -> int:
    """Return the number of processes: `wanted`, or for -1 one fewer than the processors, clamped to 1-8."""
    return min(8, max(1, (os.cpu_count() or 1) - 1)) if wanted < 0 else wanted


def training_batches(
    videos: int, batch_size: int, *, accumulation: int, processes: int, rank: int, seed: int, epoch: int
) -> list[list[TrainKey]]:
    """Return the batches of one process in one epoch, `accumulation` batches per step.

    All steps are complete: the last videos of the epoch's random order that do not fill a step are left out, and if
    there are fewer videos than a step needs, they are repeated. The videos of a step depend only on the product
    batch_size * accumulation * processes.
    """
    step = batch_size * accumulation * processes
    order = np.random.default_rng([seed, epoch]).permutation(videos)
    order = np.resize(order, max(1, videos // step) * step)
    mine = order.reshape(-1, processes, batch_size)[:, rank]
    return [[(epoch, int(index)) for index in batch] for batch in mine]


def evaluation_batches(
    segments: Sequence[int], batch_size: int, processes: int = 1, rank: int = 0
) -> list[list[EvaluationKey]]:
    """Return the batches of one process in evaluation, where every segment is used once, in order.

    Args:
        segments: number of segments of each video.
        batch_size: segments per batch; a longer video spans several batches.
        processes: number of processes that share the videos.
        rank: rank of this process.

    Returns:
        Lists of (video, first segment, end of the segments).
    """
    batches: list[list[EvaluationKey]] = []
    room = 0
    for index in range(rank, len(segments), processes):
        begin = 0
        while begin < segments[index]:
            if not room:
                batches.append([])
                room = batch_size
            end = min(segments[index], begin + room)
            batches[-1].append((index, begin, end))
            room, begin = room - (end - begin), end
    return batches


READ_AT_ONCE = 64  # segments per batch when videos are only checked for readability


def unreadable(dataset: VideoDataset, workers: int) -> Iterator[tuple[int, VideoError | None]]:
    """Read every video once, which also fills the cache; yield (index, None or the error) once per video.

    A video whose frames are all in the cache is not read: they were once.
    """
    segments, bad = [0] * len(dataset), set()
    for index in range(len(dataset)):
        try:
            if dataset.has_stored(index):
                yield index, None
            else:
                segments[index] = dataset.segment_count(index)
        except VideoError as unknown:
            yield index, unknown
    parts = [[key] for batch in evaluation_batches(segments, READ_AT_ONCE) for key in batch]
    for batch in BatchLoader(dataset, parts, workers):
        for index, error in batch.failures:
            if index not in bad:
                yield index, error
            bad.add(index)
        ended = [index for index, whole in zip(batch.samples, batch.whole, strict=True) if whole]
        yield from ((index, None) for index in ended if index not in bad)
