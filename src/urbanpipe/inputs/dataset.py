"""From rows of a catalog to batches of segments, the same whichever process or worker makes them."""

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, Dataset

from urbanpipe.catalog.catalog_file import Video
from urbanpipe.errors import RunError, VideoError
from urbanpipe.inputs.batches import Batch, Sample, collate
from urbanpipe.inputs.frame_timeline import SampleSeed
from urbanpipe.inputs.reading import CatalogReader, frame_timeline_of
from urbanpipe.inputs.view import View
from urbanpipe.video.cache import FrameCache

TrainKey = tuple[int, int]  # (epoch, index of a video)
EvaluationKey = tuple[int, int, int]  # (index of a video, first segment, end of the segments)
Key = TrainKey | EvaluationKey
READ_AT_ONCE = 64  # segments of a video, where all that matters is that they can be read


class VideoDataset(Dataset[Any]):
    """Segments of videos, by key: those of an epoch of training, or a part of those that are judged.

    Args:
        videos: rows of the catalog that can be read.
        view: cuts them.
        cache: where frames are kept; None decodes every time.
        seed: with epoch and index it decides all that is random about an input.
    """

    def __init__(self, videos: Sequence[Video], view: View, cache: FrameCache | None, seed: int = 0) -> None:
        self.videos, self.view, self.cache, self.seed = videos, view, cache, seed
        self._reader = CatalogReader(view, cache)

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, key: Key) -> Sample:
        index = key[1] if len(key) == 2 else key[0]
        try:
            if len(key) == 2:
                return Sample(index, self._reader.training(self.videos[index], SampleSeed(self.seed, *key)))
            index, begin, end = key
            segments = self._reader.evaluation_sample(self.videos[index], begin, end)
            return Sample(index, segments, end >= self.segment_count(index))
        except VideoError as error:
            return Sample(index, error)

    def segment_count(self, index: int) -> int:
        """How many segments are judged of a video."""
        return len(self.view.evaluation_sample(frame_timeline_of(self.videos[index])))


def without_pixels(keys: Sequence[TrainKey]) -> Batch:
    """A batch that only names its videos, for a learner that needs no segments of them."""
    empty = collate([])
    samples = [index for _, index in keys]
    return Batch(
        empty.images, samples, [0] * len(samples), empty.rows, empty.real, empty.seconds, [True] * len(samples), []
    )


def make_loader(
    dataset: VideoDataset, batches: Sequence[Sequence[Key]], workers: int, pin: bool = False
) -> DataLoader[Any]:
    """A loader of the given batches in their order; `workers` as for `loading_workers`."""
    workers = min(loading_workers(workers), len(batches))
    return DataLoader(
        dataset,
        batch_sampler=batches,  # type: ignore[arg-type]
        num_workers=workers,
        collate_fn=collate,
        pin_memory=pin,
        prefetch_factor=4 if workers else None,
    )


def loading_workers(wanted: int) -> int:
    """`wanted` processes; for -1 one fewer than the processors, 1 to 8."""
    return min(8, max(1, (os.cpu_count() or 1) - 1)) if wanted < 0 else wanted


def training_batches(
    videos: int, batch_size: int, accumulation: int, processes: int, rank: int, seed: int, epoch: int
) -> list[list[TrainKey]]:
    """The batches of one process in one epoch, `accumulation` of them a step.

    All steps are whole: the last videos of the epoch's random order that do not fill one wait for another epoch; fewer
    videos than a step are repeated. Which videos make a step depends only on batch_size * accumulation * processes.
    """
    step = batch_size * accumulation * processes
    order = np.random.default_rng([seed, epoch]).permutation(videos)
    order = np.resize(order, max(1, videos // step) * step)
    mine = order.reshape(-1, processes, batch_size)[:, rank]
    return [[(epoch, int(index)) for index in batch] for batch in mine]


def evaluation_batches(
    segments: Sequence[int], batch_size: int, processes: int = 1, rank: int = 0
) -> list[list[EvaluationKey]]:
    """The batches of one process when every segment is seen once, in order, as in a test.

    Args:
        segments: how many each video has.
        batch_size: segments at once; a longer video is spread over several batches.
        processes: how many share the videos.
        rank: which of them this is.

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


def unreadable(dataset: VideoDataset, workers: int) -> Iterator[tuple[int, VideoError | None]]:
    """Read every video once, which also fills the cache: yields (index, None or why it cannot be read), once each."""
    segments, bad = [0] * len(dataset), set()
    for index in range(len(dataset)):
        try:
            segments[index] = dataset.segment_count(index)
        except VideoError as unknown:
            yield index, unknown
    parts = [[key] for batch in evaluation_batches(segments, READ_AT_ONCE) for key in batch]
    for batch in make_loader(dataset, parts, workers):
        for index, error in batch.failures:
            if index not in bad:
                yield index, error
            bad.add(index)
        ended = [index for index, whole in zip(batch.samples, batch.whole, strict=True) if whole]
        yield from ((index, None) for index in ended if index not in bad)


def frame_cache(folder: Path | None, size_gb: float) -> FrameCache | None:
    """The frame cache of a run: in `folder`, or in the one that all runs of a user share; None for a size of 0 GB."""
    if not 0 <= size_gb < math.inf:
        raise RunError(f"the frame cache cannot have {size_gb} GB; give a size from 0 (none) up")
    if size_gb == 0:
        return None
    if folder is not None and folder.exists() and not folder.is_dir():
        raise RunError(f"the frame cache {folder} is a file; give a folder")
    shared = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "urbanpipe" / "frames"
    return FrameCache(folder or shared, int(size_gb * 1e9))
