"""Batches of segments of videos."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from urbanpipe.errors import VideoError
from urbanpipe.inputs.reading import SegmentInputs
from urbanpipe.inputs.view import Frames as Images


@dataclass(frozen=True)
class Sample:
    """Segments of one video.

    Attributes:
        index: index of the video in its data set.
        segments: the segments, or the error if the video cannot be read.
        whole: whether these are the last segments of the video.
    """

    index: int
    segments: SegmentInputs | VideoError
    whole: bool = True


@dataclass(frozen=True, eq=False)
class Batch:
    """Concatenated segments of several videos.

    Attributes:
        images: uint8 (segments, ...).
        samples: index of the video in the data set, one per sample; a training batch may hold a video twice.
        counts: number of segments of each sample.
        rows: index of each segment among all evaluated segments of its video, (segments,).
        real: number of frames of each segment that are not padding, (segments,).
        seconds: begin and end of each segment in its video, (segments, 2).
        whole: whether each sample holds the last segments of its video.
        failures: (index, error) of videos that could not be read; the arrays do not include them.
    """

    images: Images
    samples: list[int]
    counts: list[int]
    rows: NDArray[np.int64]
    real: NDArray[np.int64]
    seconds: NDArray[np.float64]
    whole: list[bool]
    failures: list[tuple[int, VideoError]]

    @property
    def videos(self) -> NDArray[np.int64]:
        """Index in the data set of each segment's video, (segments,)."""
        return np.repeat(np.array(self.samples, dtype=np.int64), self.counts)


def collate(samples: Sequence[Sample]) -> Batch:
    """Concatenate the readable samples, and list the others as failures."""
    good = [(sample, sample.segments) for sample in samples if isinstance(sample.segments, SegmentInputs)]
    parts = [segments for _, segments in good]
    return Batch(
        images=np.concatenate([part.images for part in parts]) if parts else np.empty(0, dtype=np.uint8),
        samples=[sample.index for sample, _ in good],
        counts=[len(part.rows) for part in parts],
        rows=np.concatenate([np.empty(0, np.int64), *(part.rows for part in parts)]),
        real=np.concatenate([np.empty(0, np.int64), *(part.real for part in parts)]),
        seconds=np.concatenate([np.empty((0, 2)), *(part.seconds for part in parts)]),
        whole=[sample.whole for sample, _ in good],
        failures=[(sample.index, sample.segments) for sample in samples if isinstance(sample.segments, VideoError)],
    )


def batches_of(samples: Iterable[Sample], batch_size: int) -> Iterator[Batch]:
    """Group samples, of at most `batch_size` segments each, into batches of at most `batch_size` segments.

    Unreadable samples count as zero segments.
    """
    waiting: list[Sample] = []
    room = batch_size
    for sample in samples:
        count = 0 if isinstance(sample.segments, VideoError) else len(sample.segments.rows)
        if count > room:
            yield collate(waiting)
            waiting, room = [], batch_size
        waiting.append(sample)
        room -= count
    if waiting:
        yield collate(waiting)
