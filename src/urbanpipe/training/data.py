"""From rows of a catalog to batches of inputs, the same whichever process or worker makes them."""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from urbanpipe.catalog.table import Video
from urbanpipe.errors import RunError, VideoError
from urbanpipe.inputs.view import View
from urbanpipe.video.cache import FrameCache
from urbanpipe.video.decode import read_frames
from urbanpipe.video.probe import digest

Key = tuple[int, int]  # (epoch, index of a video); epoch -1 asks for the test view


@dataclass(frozen=True)
class Batch:
    """What a loader yields.

    Attributes:
        images: uint8 (videos, 3, height, width).
        indices: the videos' places in the data set.
        failures: (index, error) of videos that could not be read; they are in no tensor.
    """

    images: Tensor
    indices: list[int]
    failures: list[tuple[int, VideoError]]


class VideoDataset(Dataset[Any]):
    """Inputs of videos, by (epoch, index).

    Args:
        videos: rows of the catalog that can be read.
        view: makes the input.
        cache: where frames are kept; None decodes every time.
        seed: with epoch and index it decides all that is random about an input.
    """

    def __init__(self, videos: Sequence[Video], view: View, cache: FrameCache | None, seed: int = 0) -> None:
        self.videos, self.view, self.cache, self.seed = videos, view, cache, seed

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, key: Key) -> tuple[int, Tensor | VideoError]:
        epoch, index = key
        try:
            if epoch < 0:
                return index, self.view.test_view(self._frames(self.videos[index], None))
            state = np.random.SeedSequence([self.seed, epoch, index])
            frames = self._frames(self.videos[index], np.random.default_rng(state))
        except VideoError as error:
            return index, error
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(state.generate_state(1, np.uint64)[0] >> np.uint64(1)))
            return index, self.view.train_view(frames)

    def _frames(self, video: Video, rng: np.random.Generator | None) -> NDArray[np.uint8]:
        view, size = self.view, self.view.frame_size
        if rng is not None and not view.cacheable:
            return read_frames(video.path, view.drawn(video.frame_count, rng), size, on_damage="conceal")
        kept = view.kept(video.frame_count)
        rows = view.choose(len(kept), rng)
        if self.cache is None or not view.cacheable:
            return read_frames(video.path, kept[rows, np.arange(len(rows))], size, on_damage="conceal")
        _unchanged(video)
        wanted = rows * kept.shape[1] + np.arange(len(rows))
        return self.cache.frames(video.path, video.digest, kept.ravel(), size, only=wanted)


def _unchanged(video: Video) -> None:
    """A cache entry is found by the digest in the catalog, which must still be that of the file."""
    try:
        found = video.path.stat()
    except OSError as error:
        raise VideoError(video.path, error.strerror or "cannot be read") from error
    same_size = found.st_size == video.size_bytes
    if same_size and found.st_mtime_ns == video.modified_ns:
        return
    if not same_size or digest(video.path) != video.digest:  # a copy has another time and the same content
        raise VideoError(video.path, "changed since it was scanned; run `urbanpipe scan` again")


def collate(items: Sequence[tuple[int, Tensor | VideoError]]) -> Batch:
    """Stack what could be read and keep the rest by name."""
    images = [(index, item) for index, item in items if isinstance(item, Tensor)]
    return Batch(
        images=torch.stack([item for _, item in images]) if images else torch.empty(0, dtype=torch.uint8),
        indices=[index for index, _ in images],
        failures=[(index, item) for index, item in items if isinstance(item, VideoError)],
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
) -> list[list[Key]]:
    """The batches of one process in one epoch, `accumulation` of them a step.

    All steps are whole: the last videos of the epoch's random order that do not fill one wait for another epoch; fewer
    videos than a step are repeated. Which videos make a step depends only on batch_size * accumulation * processes.
    """
    step = batch_size * accumulation * processes
    order = np.random.default_rng([seed, epoch]).permutation(videos)
    order = np.resize(order, max(1, videos // step) * step)
    mine = order.reshape(-1, processes, batch_size)[:, rank]
    return [[(epoch, int(index)) for index in batch] for batch in mine]


def judging_batches(videos: int, batch_size: int, processes: int = 1, rank: int = 0) -> list[list[Key]]:
    """The batches of one process when every video is seen once, in order, as in a test."""
    mine = range(rank, videos, processes)
    return [[(-1, index) for index in mine[at : at + batch_size]] for at in range(0, len(mine), batch_size)]


def unreadable(dataset: VideoDataset, workers: int) -> Iterator[tuple[int, VideoError | None]]:
    """Read every video once, which also fills the cache: yields (index, None or why it cannot be read)."""
    for batch in make_loader(dataset, judging_batches(len(dataset), 1), workers):
        yield from ((index, None) for index in batch.indices)
        yield from batch.failures


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
