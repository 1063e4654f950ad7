"""Combine what several networks predict."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from urbanpipe.decision.exclusive import apply_exclusive
from urbanpipe.inference.members import Models
from urbanpipe.inference.prediction import VideoPrediction


def mean_prediction(each: Sequence[VideoPrediction]) -> VideoPrediction:
    """The mean of what a member's folds say."""
    return VideoPrediction(
        np.mean([one.scores for one in each], axis=0), np.mean([one.segments for one in each], axis=0), each[0].seconds
    )


def combined(models: Models, judged: Sequence[dict[int, VideoPrediction]], done: Sequence[int]) -> NDArray[np.float64]:
    """Weighted probabilities (videos, classes) of the members, after the rule of the exclusive class."""
    parts = [
        np.stack([of_member[place].scores for place in done]) * member.weight
        for member, of_member in zip(models.members, judged, strict=True)
    ]
    rows: NDArray[np.float64] = np.sum(parts, axis=0).clip(0.0, 1.0)  # weights sum to 1 only up to rounding
    if models.exclusive_threshold is not None:
        rows = apply_exclusive(rows, models.taxonomy, models.exclusive_threshold)
    return rows
