"""Smooth scores over time, and find their peaks."""

import numpy as np
from numpy.typing import NDArray

_REACH = 5.0  # standard deviations after which the Gaussian is cut off


_ROWS = 512


def smoothed(times: NDArray[np.float64], scores: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """Smooth scores with a normalized Gaussian over real time, unbiased by uneven segments or the ends of a video.

    Args:
        times: (m,) seconds, non-decreasing.
        scores: (m, C).
        width: standard deviation in seconds; 0 returns the scores unchanged.

    Returns:
        (m, C).
    """
    if width == 0:
        return scores
    parts = []
    for rows in np.split(np.arange(len(times)), range(_ROWS, len(times), _ROWS)):
        reach = times[rows[[0, -1]]] + np.array([-_REACH, _REACH]) * width
        near = slice(*np.searchsorted(times, reach, side="right"))
        weights = np.exp(-0.5 * ((times[rows, None] - times[None, near]) / width) ** 2)
        parts.append(weights @ scores[near] / weights.sum(axis=1, keepdims=True))
    return np.concatenate(parts).round(9)  # keeps plateaus flat despite rounding errors in the sums


def peaks(
    times: NDArray[np.float64], scores: NDArray[np.float64], least: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find the local maxima above `least`; a plateau counts once, at its middle, and the ends may be maxima too.

    Args:
        times: (m,) seconds, non-decreasing; m at least 1.
        scores: (m,).
        least: a maximum must be above this.

    Returns:
        Times in seconds and scores of the maxima.
    """
    steps = np.flatnonzero(np.diff(scores))
    first, last = np.append(0, steps + 1), np.append(steps, len(scores) - 1)
    levels = np.concatenate([[-np.inf], scores[first], [-np.inf]])
    top = (levels[1:-1] > levels[:-2]) & (levels[1:-1] > levels[2:]) & (levels[1:-1] > least)
    return (times[first[top]] + times[last[top]]) / 2, scores[first[top]]


def suppressed(seconds: NDArray[np.float64], heights: NDArray[np.float64], apart: float, most: int) -> list[int]:
    """Select peaks greedily, best first: at least `apart` seconds from every better one, and at most `most` of them.

    Returns:
        Indices of the selected peaks, best first.
    """
    kept: list[int] = []
    for row in np.argsort(-heights, kind="stable").tolist():
        if len(kept) < most and all(abs(seconds[row] - seconds[other]) >= apart for other in kept):
            kept.append(row)
    return kept
