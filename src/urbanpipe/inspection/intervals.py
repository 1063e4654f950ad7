"""Moments of a class and the intervals around them, from its scores over time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from urbanpipe.decision.localization import MomentsConfig
from urbanpipe.evaluation.peaks import peaks, suppressed

MIN_SHARE = 0.5  # share of the class's highest peak that a peak must reach to become an occurrence
MAX_OCCURRENCES = 5  # per class


@dataclass(frozen=True)
class Interval:
    """A moment of a class, and the interval around it in which the score stays near its peak.

    Attributes:
        seconds: the moment.
        begin: first second of the interval.
        end: last second of the interval.
        score: smoothed score at the peak.
    """

    seconds: float
    begin: float
    end: float
    score: float

    def at(self, seconds: float) -> "Interval":
        """Return the interval with another moment, extended to it if necessary."""
        return replace(self, seconds=seconds, begin=min(self.begin, seconds), end=max(self.end, seconds))

    def joined(self, other: "Interval") -> "Interval":
        """Return one interval for both, with the moment of the higher peak."""
        best = max(self, other, key=lambda interval: interval.score)
        return replace(best, begin=min(self.begin, other.begin), end=max(self.end, other.end))


def intervals(
    times: NDArray[np.float64], scores: NDArray[np.float64], config: MomentsConfig, most: int = MAX_OCCURRENCES
) -> list[Interval]:
    """Return the moments of a class, in order of time: its highest peak, and separate ones at least half as high.

    Two peaks are separate if the score falls between them to `valley_share` of the lower one. An interval ends where
    the score falls below `interval_share` of its peak, or at the lowest score before the next moment.

    Args:
        times: times of the segments, ascending, (m,) seconds.
        scores: smoothed scores of the class, (m,).
        config: minimum score, minimum distance and maximum number of peaks, and the two shares.
        most: additional upper bound on the number of peaks.
    """
    when, heights = peaks(times, scores, config.min_score)
    kept = suppressed(when, heights, config.apart_seconds, min(config.max_moments, most))
    if not kept:
        return []
    highest = max(heights[row] for row in kept)
    high = sorted(int(np.abs(times - when[r]).argmin()) for r in kept if heights[r] >= MIN_SHARE * highest)
    tops = _separate(scores, high, config.valley_share)
    valleys = [a + int(scores[a : b + 1].argmin()) for a, b in pairwise(tops)]
    bounds = zip([0, *valleys], tops, [*valleys, len(times) - 1], strict=True)
    return [_interval(times, scores, config.interval_share, bound) for bound in bounds]


def _separate(scores: NDArray[np.float64], tops: Sequence[int], valley_share: float) -> list[int]:
    """Return the peaks, given in order of time, without the lower one of two that no valley separates."""
    result: list[int] = []
    for top in tops:
        if result and scores[result[-1] : top + 1].min() > valley_share * min(scores[result[-1]], scores[top]):
            result[-1] = max(result[-1], top, key=lambda row: float(scores[row]))
        else:
            result.append(top)
    return result


def _interval(
    times: NDArray[np.float64], scores: NDArray[np.float64], share: float, bound: tuple[int, int, int]
) -> Interval:
    """Return the interval around a peak; its bounds are the minima between it and the neighbouring peaks."""
    first, peak, last = bound
    low = np.flatnonzero(scores < share * scores[peak])
    before, after = low[low < peak], low[low > peak]
    begin = max(first, int(before[-1]) + 1 if len(before) else 0)
    end = min(last, int(after[0]) - 1 if len(after) else len(times) - 1)
    return Interval(float(times[peak]), float(times[begin]), float(times[end]), float(scores[peak]))


def merged(moments: Sequence[Interval], same_place: Callable[[Interval, Interval], bool]) -> list[Interval]:
    """Return the moments of a class, in order of time, with neighbours that show the same place as one.

    Args:
        moments: the moments, in order of time.
        same_place: whether two moments show the same place of the pipe.
    """
    result: list[Interval] = []
    last: list[Interval] = []  # moments that the last result holds
    for moment in moments:
        if last and any(same_place(earlier, moment) for earlier in last):
            result[-1] = result[-1].joined(moment)
            last.append(moment)
        else:
            result.append(moment)
            last = [moment]
    return result
