"""Segments of videos side by side."""

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
        index: the video's place in its data set.
        segments: what was read of it, or why it cannot be.
        whole: no more of its segments follow.
    """

    index: int
    segments: SegmentInputs | VideoError
    whole: bool = True


@dataclass(frozen=True, eq=False)
class Batch:
    """Segments of some videos, side by side.

    Attributes:
        images: uint8 (segments, ...).
        samples: the videos' places in the data set, one per sample; training may see a video twice in a batch.
        counts: segments of each sample.
        rows: number of each segment among all that are evaluated of its video, (segments,).
        real: frames of each segment that are not padding, (segments,).
        seconds: begin and end of each segment in its video, (segments, 2).
        whole: whether each sample ends its video.
        failures: (index, error) of videos that could not be read; they are in no array.
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
        """Place in the data set of each segment's video, (segments,)."""
        return np.repeat(np.array(self.samples, dtype=np.int64), self.counts)


def collate(samples: Sequence[Sample]) -> Batch:
    """Put what could be read side by side and keep the rest by name."""
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
    """Yield samples of at most `batch_size` segments, and those that cannot be read, as batches of no more segments."""
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
