"""Combination of the predictions of several networks."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from urbanpipe.decision.exclusive import apply_exclusive
from urbanpipe.inference.members import Models
from urbanpipe.inference.prediction import VideoPrediction


def mean_prediction(predictions: Sequence[VideoPrediction]) -> VideoPrediction:
    """Return the mean of the predictions of a member's folds."""
    return VideoPrediction(
        np.mean([prediction.scores for prediction in predictions], axis=0),
        np.mean([prediction.segments for prediction in predictions], axis=0),
        predictions[0].seconds,
    )


def combined(
    models: Models, predictions: Sequence[dict[int, VideoPrediction]], done: Sequence[int]
) -> NDArray[np.float64]:
    """Return weighted probabilities (videos, classes) of the members, after the rule for the exclusive class."""
    parts = [
        np.stack([of_member[index].scores for index in done]) * member.weight
        for member, of_member in zip(models.members, predictions, strict=True)
    ]
    rows: NDArray[np.float64] = np.sum(parts, axis=0).clip(0.0, 1.0)  # weights sum to 1 only up to rounding
    if models.exclusive_threshold is not None:
        rows = apply_exclusive(rows, models.taxonomy, models.exclusive_threshold)
    return rows
