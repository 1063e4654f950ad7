"""Scores over time as SVG shapes, computed here so that they appear without a script and on paper."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from urbanpipe.contracts.findings import Finding, Inspection
from urbanpipe.report.wording import clock

WIDTH, HEIGHT = 1000, 100
"""Size of the box that a curve is drawn in; browsers stretch it to the lane."""

MAX_SEGMENTS = 400
"""Number of segments of the time axis; a curve keeps the lowest and the highest score of each."""

_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)  # seconds from tick to tick
_MAX_TICKS = 8


@dataclass(frozen=True)
class Tick:
    """A labelled line of the time axis.

    Attributes:
        x: position in per cent of the width.
        label: the time.
        minor: whether it may be left out if there is little room.
    """

    x: float
    label: str
    minor: bool


@dataclass(frozen=True)
class Lane:
    """The curve of a class.

    Attributes:
        curve: path of the area below the curve, in a box of `WIDTH` by `HEIGHT`; empty if there is no curve.
        intervals: (x, width) of its occurrences, per cent of the width.
        marks: (x, y) of its occurrences, per cent of width and height from the left and the top.
    """

    curve: str
    intervals: tuple[tuple[float, float], ...]
    marks: tuple[tuple[float, float], ...]


def span_seconds(inspection: Inspection) -> float:
    """Return the length of the time axis: that of the video, or more if an occurrence lies after its end; never 0."""
    last = inspection.timeline.seconds[-1:] if inspection.timeline else ()
    seen = [occurrence.seconds for finding in inspection.findings for occurrence in finding.occurrences]
    return max(inspection.video.duration_seconds, *last, *seen, 0.1)


def ticks(span: float) -> tuple[Tick, ...]:
    """Return the lines of a time axis of `span` seconds."""
    step = next((step for step in _STEPS if span / step <= _MAX_TICKS), 3600.0 * np.ceil(span / 3600 / _MAX_TICKS))
    times = np.arange(0.0, span + 1e-9, step).tolist()
    return tuple(Tick(_percent(at, span), clock(at, tenths=step < 1), n % 2 == 1) for n, at in enumerate(times))


def lane(inspection: Inspection, finding: Finding, span: float) -> Lane:
    """Return the curve, intervals and marks of a finding."""
    intervals = tuple(
        (
            _percent(one.begin_seconds, span),
            round(_percent(one.end_seconds, span) - _percent(one.begin_seconds, span), 2),
        )
        for one in finding.occurrences
    )
    marks = tuple((_percent(one.seconds, span), round(100 - 100 * one.score, 1)) for one in finding.occurrences)
    return Lane(_curve(inspection, finding.code, span), intervals, marks)


def thinned(seconds: NDArray[np.float64], scores: NDArray[np.float64], most: int = MAX_SEGMENTS) -> NDArray[np.intp]:
    """Select the points to draw: both ends, and the lowest and highest point of each of `most` equal time segments.

    Args:
        seconds: (m,), ascending.
        scores: (m,).
        most: number of segments.

    Returns:
        Indices of the points, ascending.
    """
    if len(seconds) <= 2 * most:
        return np.arange(len(seconds))
    length = max(seconds[-1] - seconds[0], 1e-9)
    segments = np.minimum((seconds - seconds[0]) / length * most, most - 1).astype(int)
    bounds = np.searchsorted(segments, np.arange(most + 1))
    parts = [(a, scores[a:b]) for a, b in pairwise(bounds.tolist()) if b > a]
    extremes = [a + choice for a, part in parts for choice in (part.argmin(), part.argmax())]
    return np.unique([0, *extremes, len(seconds) - 1])


def _curve(inspection: Inspection, code: str, span: float) -> str:
    timeline = inspection.timeline
    if timeline is None or not timeline.seconds or code not in timeline.codes:
        return ""
    seconds = np.array(timeline.seconds)
    scores = np.array([row[timeline.codes.index(code)] for row in timeline.scores])
    chosen = thinned(seconds, scores)
    x = _shares(seconds[chosen], span) * WIDTH
    return _path(x.tolist(), (HEIGHT * (1 - scores[chosen])).tolist())


def _path(x: Sequence[float], y: Sequence[float]) -> str:
    points = "L".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    return f"M{x[0]:.1f},{HEIGHT}L{points}L{x[-1]:.1f},{HEIGHT}Z"


def _shares(seconds: NDArray[np.float64], span: float) -> NDArray[np.float64]:
    return np.clip(seconds / span, 0, 1)


def _percent(seconds: float, span: float) -> float:
    return round(100 * min(seconds / span, 1.0), 2)
