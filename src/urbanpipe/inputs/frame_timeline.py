"""The times of a video's frames, from which a view selects, and the resulting selection."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
Seconds = NDArray[np.float64]


@dataclass(frozen=True)
class FrameTimeline:
    """The number of frames of a video, and their times.

    Attributes:
        frame_count: number of frames, at least one.
        duration_seconds: from the first frame to the end of the last.
        times_seconds: time of every frame relative to the first, shape (frames,), ascending; None where only the
            catalog is available, in which case frames are assumed to be evenly spaced.
        moments_seconds: times at which a labelled class is visible, as far as they are known.
    """

    frame_count: int
    duration_seconds: float
    times_seconds: Seconds | None = None
    moments_seconds: tuple[float, ...] = ()

    @cached_property
    def edges_seconds(self) -> Seconds:
        """Begin of every frame and the end of the last, shape (frames + 1,)."""
        if self.times_seconds is not None:
            return np.append(self.times_seconds, max(self.duration_seconds, float(self.times_seconds[-1])))
        return np.linspace(0.0, self.duration_seconds, self.frame_count + 1)

    def spans(self, frames: Indices) -> Seconds:
        """Return begin and end in seconds, shape (segments, 2), of segments (segments, k).

        Both are equal for a segment of a single frame.
        """
        begin = self.edges_seconds[frames.min(axis=1)]
        end = begin if frames.shape[1] == 1 else self.edges_seconds[frames.max(axis=1) + 1]
        return np.stack([begin, end], axis=1)


@dataclass(frozen=True)
class SampleSeed:
    """The seed of all randomness of one training input.

    Attributes:
        seed: seed of the run.
        epoch: epoch, from 0.
        index: index of the video in its data set.
    """

    seed: int
    epoch: int
    index: int

    @cached_property
    def _sequence(self) -> np.random.SeedSequence:
        return np.random.SeedSequence([self.seed, self.epoch, self.index])

    @property
    def rng(self) -> np.random.Generator:
        """A new generator for the selection of frames."""
        return np.random.default_rng(self._sequence)

    @property
    def torch_seed(self) -> int:
        """Seed for torch's global generator, which the augmentations use."""
        return int(self._sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))


@dataclass(frozen=True)
class Selection:
    """Segments of a video, as the frames to read.

    Attributes:
        rows: index of each segment among all evaluated segments of the video, shape (segments,).
        frames: frame numbers, shape (segments, k).
        real: number of frames of each segment that are not padding at its end, shape (segments,).
    """

    rows: Indices
    frames: Indices
    real: Indices

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, part: slice | Indices) -> "Selection":
        return Selection(self.rows[part], self.frames[part], self.real[part])


def select(frames: Indices, rows: Indices | None = None) -> Selection:
    """Return a selection of segments (segments, k) without padding, numbered by `rows` or from 0."""
    numbers = np.arange(len(frames)) if rows is None else rows
    return Selection(numbers, frames, np.full(len(frames), frames.shape[1]))
