"""From rows of a catalog to batches of pieces, the same whichever process or worker makes them."""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from urbanpipe.catalog.table import Video
from urbanpipe.errors import RunError, VideoError
from urbanpipe.inputs.footage import Draw
from urbanpipe.inputs.reading import CatalogReader, PieceInputs, footage_of
from urbanpipe.inputs.view import View
from urbanpipe.video.cache import FrameCache

TrainKey = tuple[int, int]  # (epoch, index of a video)
JudgeKey = tuple[int, int, int]  # (index of a video, first piece, end of the pieces)
Key = TrainKey | JudgeKey
READ_AT_ONCE = 64  # pieces of a video, where all that matters is that they can be read


@dataclass(frozen=True)
class Sample:
    """Pieces of one video.

    Attributes:
        index: the video's place in its data set.
        pieces: what was read of it, or why it cannot be.
        whole: no more of its pieces follow.
    """

    index: int
    pieces: PieceInputs | VideoError
    whole: bool = True


@dataclass(frozen=True)
class Batch:
    """What a loader yields: pieces of some videos, side by side.

    Attributes:
        images: uint8 (pieces, ...).
        samples: the videos' places in the data set, one a sample; training may see a video twice in a batch.
        counts: pieces of each sample.
        rows: number of each piece among all that are judged of its video, (pieces,).
        real: frames of each piece that are not padding, (pieces,).
        seconds: begin and end of each piece in its video, (pieces, 2).
        whole: whether each sample ends its video.
        failures: (index, error) of videos that could not be read; they are in no tensor.
    """

    images: Tensor
    samples: list[int]
    counts: list[int]
    rows: NDArray[np.int64]
    real: Tensor
    seconds: NDArray[np.float64]
    whole: list[bool]
    failures: list[tuple[int, VideoError]]

    def pin_memory(self) -> "Batch":
        """Called by a loader's pinning thread, so that copies to a GPU run beside the computing."""
        return replace(self, images=self.images.pin_memory(), real=self.real.pin_memory())

    @property
    def videos(self) -> NDArray[np.int64]:
        """Place in the data set of each piece's video, (pieces,)."""
        return np.repeat(np.array(self.samples, dtype=np.int64), self.counts)


class VideoDataset(Dataset[Any]):
    """Pieces of videos, by key: those of an epoch of training, or a part of those that are judged.

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
                return Sample(index, self._reader.training(self.videos[index], Draw(self.seed, *key)))
            index, begin, end = key
            pieces = self._reader.judged(self.videos[index], begin, end)
            return Sample(index, pieces, end >= self.piece_count(index))
        except VideoError as error:
            return Sample(index, error)

    def piece_count(self, index: int) -> int:
        """How many pieces are judged of a video."""
        return len(self.view.judged(footage_of(self.videos[index])))


def collate(samples: Sequence[Sample]) -> Batch:
    """Put what could be read side by side and keep the rest by name."""
    good = [(sample, sample.pieces) for sample in samples if isinstance(sample.pieces, PieceInputs)]
    parts = [pieces for _, pieces in good]
    return Batch(
        images=torch.cat([part.images for part in parts]) if parts else torch.empty(0, dtype=torch.uint8),
        samples=[sample.index for sample, _ in good],
        counts=[len(part.rows) for part in parts],
        rows=np.concatenate([np.empty(0, np.int64), *(part.rows for part in parts)]),
        real=torch.from_numpy(np.concatenate([np.empty(0, np.int64), *(part.real for part in parts)])),
        seconds=np.concatenate([np.empty((0, 2)), *(part.seconds for part in parts)]),
        whole=[sample.whole for sample, _ in good],
        failures=[(sample.index, sample.pieces) for sample in samples if isinstance(sample.pieces, VideoError)],
    )


def without_pixels(keys: Sequence[TrainKey]) -> Batch:
    """A batch that only names its videos, for a learner that needs no pieces of them."""
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


def judging_batches(pieces: Sequence[int], batch_size: int, processes: int = 1, rank: int = 0) -> list[list[JudgeKey]]:
    """The batches of one process when every piece is seen once, in order, as in a test.

    Args:
        pieces: how many each video has.
        batch_size: pieces at once; a longer video is spread over several batches.
        processes: how many share the videos.
        rank: which of them this is.

    Returns:
        Lists of (video, first piece, end of the pieces).
    """
    batches: list[list[JudgeKey]] = []
    room = 0
    for index in range(rank, len(pieces), processes):
        begin = 0
        while begin < pieces[index]:
            if not room:
                batches.append([])
                room = batch_size
            end = min(pieces[index], begin + room)
            batches[-1].append((index, begin, end))
            room, begin = room - (end - begin), end
    return batches


def unreadable(dataset: VideoDataset, workers: int) -> Iterator[tuple[int, VideoError | None]]:
    """Read every video once, which also fills the cache: yields (index, None or why it cannot be read), once each."""
    pieces, bad = [0] * len(dataset), set()
    for index in range(len(dataset)):
        try:
            pieces[index] = dataset.piece_count(index)
        except VideoError as unknown:
            yield index, unknown
    parts = [[key] for batch in judging_batches(pieces, READ_AT_ONCE) for key in batch]
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
