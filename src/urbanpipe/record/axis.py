"""Stations along a pipe: where a defect lies on a drawing, in metres or, where no distance is known, in seconds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from urbanpipe.exports.records import RecordRow

_METRE_STEPS = (0.5, 1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500)
_SECOND_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800)
_MAX_TICKS = 9


@dataclass(frozen=True)
class Axis:
    """The stations of a pipe.

    Attributes:
        metric: whether stations are in metres; else in seconds.
        begin: first station.
        end: last station, above the first.
        is_end_known: whether the last station is the end of the pipe or of its video.
    """

    metric: bool
    begin: float
    end: float
    is_end_known: bool

    def at(self, row: RecordRow) -> float | None:
        """Return the station of a defect, within the axis; None if it has none."""
        value = row.metres if self.metric else row.occurrence.seconds if row.occurrence else None
        return None if value is None else min(max(value, self.begin), self.end)

    def until(self, row: RecordRow) -> float | None:
        """Return the station at which a continuous defect ends; None for a point."""
        if not self.metric or row.metres is None or row.review is None or not row.review.decision.length_m:
            return None
        return min(row.metres + row.review.decision.length_m, self.end)

    def share(self, station: float) -> float:
        """Return a station as a share of the axis, in [0, 1]."""
        return min(max((station - self.begin) / (self.end - self.begin), 0.0), 1.0)

    def ticks(self) -> tuple[float, ...]:
        """Return round stations within the axis, at most nine, without those near its ends."""
        span = self.end - self.begin
        steps = _METRE_STEPS if self.metric else _SECOND_STEPS
        step = next((step for step in steps if span / step <= _MAX_TICKS), steps[-1] * math.ceil(span / steps[-1] / 9))
        first, last = math.ceil(self.begin / step), math.floor(self.end / step)
        return tuple(n * step for n in range(first, last + 1) if 0.05 < self.share(n * step) < 0.95)


def metric_axis(rows: Sequence[RecordRow], length_metres: float | None) -> Axis:
    """Return the axis of a segment in metres, as long as the segment or, if that is unknown, up to its last defect."""
    ends = [row.metres + _length(row) for row in rows if row.metres is not None]
    last = max(ends, default=0.0)
    if length_metres is None:
        return Axis(metric=True, begin=0.0, end=max(1.0, last), is_end_known=False)
    return Axis(metric=True, begin=0.0, end=max(length_metres, last), is_end_known=True)


def time_axis(rows: Sequence[RecordRow], duration_seconds: float) -> Axis:
    """Return the axis of a video in seconds."""
    last = max((row.occurrence.seconds for row in rows if row.occurrence), default=0.0)
    return Axis(metric=False, begin=0.0, end=max(duration_seconds, last, 0.1), is_end_known=True)


def _length(row: RecordRow) -> float:
    return (row.review.decision.length_m or 0.0) if row.review else 0.0
