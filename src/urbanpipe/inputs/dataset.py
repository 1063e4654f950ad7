"""Data set of the videos of a catalog, whose samples are the same in every process and worker."""

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from urbanpipe.catalog.catalog_file import Video
from urbanpipe.errors import RunError, VideoError
from urbanpipe.inputs.batches import Batch, Sample, collate
from urbanpipe.inputs.frame_timeline import SampleSeed
from urbanpipe.inputs.reading import CatalogReader, frame_timeline_of
from urbanpipe.inputs.view import View
from urbanpipe.user_folders import frames_folder
from urbanpipe.video.cache import FrameCache

log = logging.getLogger(__name__)

TrainKey = tuple[int, int]  # (epoch, index of a video)
EvaluationKey = tuple[int, int, int]  # (index of a video, first segment, end of the segments)
Key = TrainKey | EvaluationKey


class VideoDataset(Dataset[Any]):
    """Segments of videos by key: those of a training epoch, or a range of the evaluated ones.

    Args:
        videos: readable rows of the catalog.
        view: how the method cuts a video into segments.
        cache: frame cache; None decodes frames every time.
        seed: random seed; together with epoch and index it determines all randomness of an input.
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
        """Return the number of evaluated segments of a video."""
        return len(self.view.evaluation_sample(frame_timeline_of(self.videos[index])))

    def has_stored(self, index: int) -> bool:
        """Return whether the cache has all frames of a video, which can then be read.

        Raises:
            VideoError: the video is missing, or has changed since it was scanned.
        """
        return self._reader.has_stored(self.videos[index])


def without_pixels(keys: Sequence[TrainKey]) -> Batch:
    """Return a batch that only lists its videos, for a learner that needs no pixels."""
    empty = collate([])
    samples = [index for _, index in keys]
    return Batch(
        empty.images, samples, [0] * len(samples), empty.rows, empty.real, empty.seconds, [True] * len(samples), []
    )


def frame_cache(folder: Path | None, size_gb: float) -> FrameCache | None:
    """Return the frame cache in `folder`, or by default the one that a user's runs share; None for a size of 0 GB."""
    if not 0 <= size_gb < math.inf:
        raise RunError(f"the frame cache cannot have {size_gb} GB; give a size of 0 (no cache) or more")
    if size_gb == 0:
        return None
    if folder is not None and folder.exists() and not folder.is_dir():
        raise RunError(f"the frame cache {folder} is a file; give a folder")
    folder = folder or frames_folder()
    if folder is None:
        log.warning("no home folder: frames are not cached; give --cache FOLDER, or set XDG_CACHE_HOME")
        return None
    return FrameCache(folder, int(size_gb * 1e9))
