"""The prediction of a network for one video."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from urbanpipe.contracts.segment_scores import SegmentScores


@dataclass(frozen=True, eq=False)
class VideoPrediction:
    """The prediction of a network for a video.

    Attributes:
        scores: probabilities of the video, (classes,) float64.
        segments: probabilities of each segment, (segments, classes) float64.
        seconds: begin and end of each segment, (segments, 2).
    """

    scores: NDArray[np.float64]
    segments: NDArray[np.float64]
    seconds: NDArray[np.float64]


def segment_scores_of(names: tuple[str, ...], predictions: Sequence[VideoPrediction]) -> SegmentScores:
    """Return the segment scores of the predictions of several videos."""
    return SegmentScores(
        names=names,
        starts=np.cumsum([0, *(len(video.segments) for video in predictions)], dtype=np.int64),
        seconds=np.concatenate([video.seconds for video in predictions]),
        scores=np.concatenate([video.segments for video in predictions]),
    )
