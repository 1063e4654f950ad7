"""What a network predicts for one video."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from urbanpipe.contracts.segment_scores import SegmentScores


@dataclass(frozen=True, eq=False)
class VideoPrediction:
    """What a network says of a video.

    Attributes:
        scores: probabilities (classes,), float64.
        segments: probabilities (segments, classes) of what it saw of it at once, float64.
        seconds: begin and end of each segment, (segments, 2).
    """

    scores: NDArray[np.float64]
    segments: NDArray[np.float64]
    seconds: NDArray[np.float64]


def segment_scores_of(names: tuple[str, ...], judged: Sequence[VideoPrediction]) -> SegmentScores:
    """What was said of the segments of videos, to be written."""
    return SegmentScores(
        names=names,
        starts=np.cumsum([0, *(len(video.segments) for video in judged)], dtype=np.int64),
        seconds=np.concatenate([video.seconds for video in judged]),
        scores=np.concatenate([video.segments for video in judged]),
    )
