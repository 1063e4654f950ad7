"""Smooth scores over time, and find their peaks."""

import numpy as np
from numpy.typing import NDArray

_REACH = 5.0  # a Gaussian has nothing to say beyond so many of its widths


_ROWS = 512


def smoothed(times: NDArray[np.float64], scores: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """Gaussian mean of scores over real time, so that neither uneven segments nor the ends of a video bend it.

    Args:
        times: (m,) seconds, not falling.
        scores: (m, C).
        width: standard deviation in seconds; 0 gives the scores as they are.

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
    return np.concatenate(parts).round(9)  # a plateau stays one, whatever the last bits of its sums


def peaks(
    times: NDArray[np.float64], scores: NDArray[np.float64], least: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Seconds and heights of the local maxima above `least`; a plateau gives its middle, the ends may be maxima too.

    Args:
        times: (m,) seconds, not falling; m at least 1.
        scores: (m,).
        least: what a maximum must be above.
    """
    steps = np.flatnonzero(np.diff(scores))
    first, last = np.append(0, steps + 1), np.append(steps, len(scores) - 1)
    levels = np.concatenate([[-np.inf], scores[first], [-np.inf]])
    top = (levels[1:-1] > levels[:-2]) & (levels[1:-1] > levels[2:]) & (levels[1:-1] > least)
    return (times[first[top]] + times[last[top]]) / 2, scores[first[top]]


def suppressed(seconds: NDArray[np.float64], heights: NDArray[np.float64], apart: float, most: int) -> list[int]:
    """Which peaks stay, best first: greedily those with no better one nearer than `apart` seconds, `most` in all."""
    kept: list[int] = []
    for row in np.argsort(-heights, kind="stable").tolist():
        if len(kept) < most and all(abs(seconds[row] - seconds[other]) >= apart for other in kept):
            kept.append(row)
    return kept
