"""FrameDataset of many videos in random order, as the views of a method."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from urbanpipe.errors import RecipeError, VideoError
from urbanpipe.inputs.dataset import VideoDataset
from urbanpipe.inputs.loading import Loader, loading_workers
from urbanpipe.inputs.reading import SegmentInputs
from urbanpipe.platform_support import loader_start_method
from urbanpipe.pretraining.config import MAEConfig, SimCLRConfig
from urbanpipe.pretraining.views import Views

FrameKey = tuple[int, int, int]  # (epoch, index of the video, number of the frame among those at the interval)


class FrameDataset(Dataset[Any]):
    """Dataset of the views of a frame, or the reason why its video cannot be read.

    Args:
        dataset: dataset of the videos, whose segments are single frames.
        views: function that creates the views of a frame.
        seed: seed of the views; with the key it determines all random choices.
    """

    def __init__(self, dataset: VideoDataset, views: Views, seed: int) -> None:
        self.dataset, self.views, self.seed = dataset, views, seed

    def __getitem__(self, key: FrameKey) -> Tensor | VideoError:
        _, video, row = key
        segments = self.dataset[(video, row, row + 1)].segments
        if not isinstance(segments, SegmentInputs):
            return segments
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(self.seed, *key))
            return self.views(torch.from_numpy(segments.images[0]))


def seed_of(*parts: int) -> int:
    """Return a seed for torch that combines several numbers."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))


def frame_batches(frames: Sequence[int], config: SimCLRConfig | MAEConfig, epoch: int) -> list[list[FrameKey]]:
    """Return the full batches of an epoch.

    They contain every frame once in random order, except for the few that do not fill a batch.

    Args:
        frames: number of frames per video.
        config: batch size and seed.
        epoch: number of the epoch, from 0.

    Raises:
        RecipeError: there are fewer frames than one batch needs.
    """
    keys = [(epoch, video, row) for video, count in enumerate(frames) for row in range(count)]
    size = config.batch_size
    if len(keys) < size:
        raise RecipeError(f"--set batch_size = {size}: there are {len(keys)} frames; use a smaller batch size")
    order = np.random.default_rng([config.seed, epoch]).permutation(len(keys))
    whole = order[: len(keys) // size * size].reshape(-1, size)
    return [[keys[place] for place in batch] for batch in whole.tolist()]


def frame_loader(
    frames: FrameDataset, batches: Sequence[Sequence[FrameKey]], workers: int, pin: bool
) -> DataLoader[Tensor | VideoError]:
    """Return a loader of the given batches in their order.

    It yields (batch, views, 3, size, size), or the error of one item.
    """
    count = min(loading_workers(workers), len(batches))
    return Loader(
        frames,
        batch_sampler=batches,  # type: ignore[arg-type]
        num_workers=count,
        collate_fn=_together,
        pin_memory=pin,
        prefetch_factor=4 if count else None,
        multiprocessing_context=loader_start_method() if count else None,
    )


def _together(items: list[Tensor | VideoError]) -> Tensor | VideoError:
    views = [item for item in items if isinstance(item, Tensor)]
    errors = [item for item in items if isinstance(item, VideoError)]
    return errors[0] if errors else torch.stack(views)
