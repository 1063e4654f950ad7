"""Heat maps of frames, made from the maps of segments, with times and a common scale."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from urbanpipe.inputs.frame_maps import Maps


@dataclass(frozen=True, eq=False)
class Heat:
    """The heat maps of one class in a video.

    Attributes:
        index: index of the class.
        probability: probability of the class in the whole video.
        frames: (n,) int64, frame numbers in order of time. A frame of two segments occurs twice.
        seconds: (n,) float64, times of the frames.
        segments: (n,) int64, index of the segment among all evaluated segments.
        segment_scores: (n,) float64, probability of the class in this segment.
        maps: (n, h, w) float32 in [0, 1]: the raw maps divided by their common maximum; all zero where that is 0.
        raw_maximum: maximum of the raw maps, in the unit of the logit; 0 where there is no evidence for the class.
    """

    index: int
    probability: float
    frames: NDArray[np.int64]
    seconds: NDArray[np.float64]
    segments: NDArray[np.int64]
    segment_scores: NDArray[np.float64]
    maps: Maps
    raw_maximum: float

    @cached_property
    def peaks(self) -> NDArray[np.float64]:
        """X and y of each frame's maximum, (n, 2), as shares of width and height; NaN for a map of zeros."""
        count, height, width = self.maps.shape
        flat = self.maps.reshape(count, -1).argmax(1)
        points = np.stack([(flat % width + 0.5) / width, (flat // width + 0.5) / height], axis=1)
        points[self.heights == 0] = np.nan
        return points

    @cached_property
    def heights(self) -> NDArray[np.float64]:
        """Maximum of each frame's map, (n,), in [0, 1]."""
        highest: NDArray[np.float64] = self.maps.max(axis=(1, 2)).astype(np.float64)
        return highest

    @cached_property
    def shares(self) -> NDArray[np.float64]:
        """Share of each frame in the total heat, (n,), summing to 1; all zeros where there is no heat."""
        sums: NDArray[np.float64] = self.maps.sum(axis=(1, 2), dtype=np.float64)
        return sums / sums.sum() if sums.any() else sums

    @property
    def hottest(self) -> int | None:
        """Index of the frame with the overall maximum, the first of equal ones; None where there is no heat."""
        return int(self.heights.argmax()) if self.raw_maximum > 0 else None


def scaled(raw: Maps) -> tuple[Maps, float]:
    """Divide maps by their common maximum; return the maps and the maximum. Maps of zeros stay unchanged.

    Args:
        raw: (n, h, w), non-negative.
    """
    highest = float(raw.max(initial=0.0))
    return (raw / np.float32(highest), highest) if highest > 0 else (raw, 0.0)
