"""The drawing of a segment: the pipe from top to bottom, its stations, and a line of text for each defect.

All sizes are in millimetres on paper.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from urbanpipe.contracts.text_width import cut
from urbanpipe.exports.records import RecordRow
from urbanpipe.exports.reviewed_rows import is_undecided
from urbanpipe.record.axis import Axis, metric_axis, time_axis
from urbanpipe.record.segments import RecordSegment
from urbanpipe.record.wording import grade_of, metres_text, station_text
from urbanpipe.report.wording import Wording, clock

WIDTH = 180.0
PIPE_TOP, PITCH = 10.0, 6.0
_ROW_TOP = 10.0
_LEAST_HEIGHT, _MOST_ROWS = 60.0, 21
_NAME_COLUMNS, _END_COLUMNS = 27, 22


@dataclass(frozen=True)
class Line:
    """A defect in a drawing.

    Attributes:
        number: its number in the segment.
        y: where its text stands.
        mark_y: where it lies on the pipe; None without a station.
        until_y: where it ends on the pipe; None for a point.
        cells: distance, time, code, name, clock position and grade, as text.
        grade: 1 to 4; 0 if it is not graded.
        undecided: whether nobody decided about it, unlike about others.
    """

    number: int
    y: float
    mark_y: float | None
    until_y: float | None
    cells: tuple[str, ...]
    grade: int
    undecided: bool


@dataclass(frozen=True)
class Graph:
    """A drawing, or one of the parts of a long one.

    Attributes:
        title: heading.
        label: what the drawing shows, for those who cannot see it.
        height: height of the drawing.
        bottom: where the pipe ends.
        ticks: y and text of the stations.
        lines: its defects, from top to bottom.
        top_end, bottom_end: what is at the ends; empty where the pipe continues.
        flow: 1 if the water flows downwards in the drawing, -1 if upwards, 0 if that is unknown.
        notes: sentences below it.
    """

    title: str
    label: str
    height: float
    bottom: float
    ticks: tuple[tuple[float, str], ...]
    lines: tuple[Line, ...]
    top_end: str
    bottom_end: str
    flow: int
    notes: tuple[str, ...]


def graphs_of(segment: RecordSegment, t: Wording) -> list[Graph]:
    """Return the drawings of a segment: one along its metres, or one for each video along its time."""
    numbered = list(enumerate(segment.rows, 1))
    if segment.is_metric and (segment.rows or segment.data.length_m):
        axis = metric_axis(segment.rows, segment.data.length_m)
        return _parts(axis, numbered, segment, t("graph"), t)
    graphs = []
    for video in segment.videos:
        rows = [(number, row) for number, row in numbered if row.inspected is video]
        axis = time_axis([row for _, row in rows], video.inspection.video.duration_seconds)
        several = len(segment.videos) > 1
        title = t("graph_of", video=cut(video.name, 60)) if several else t("graph")
        graphs += _parts(axis, rows, segment, title, t)
    return graphs


def _parts(
    axis: Axis, rows: Sequence[tuple[int, RecordRow]], segment: RecordSegment, title: str, t: Wording
) -> list[Graph]:
    """Return one drawing for each so many defects, each of its own stretch of the pipe."""
    chunks = [rows[begin : begin + _MOST_ROWS] for begin in range(0, len(rows), _MOST_ROWS)] or [rows]
    bounds = [axis.begin, *(_between(axis, chunk[-1][1]) for chunk in chunks[:-1]), axis.end]
    graphs = []
    for part, chunk in enumerate(chunks, 1):
        begin, end = bounds[part - 1], bounds[part]
        own = replace(axis, begin=begin, end=end) if end > begin else axis
        graph = _graph(own, chunk, segment, t)
        first, last = part == 1, part == len(chunks)
        several = f" ({t('graph_part', part=part, parts=len(chunks))})" if len(chunks) > 1 else ""
        graphs.append(
            replace(
                graph,
                title=t("graph_part", part=part, parts=len(chunks)) if several else title,
                top_end=graph.top_end if first else "",
                bottom_end=graph.bottom_end if last else "",
                notes=graph.notes if last else (),
            )
        )
    return graphs


def _between(axis: Axis, row: RecordRow) -> float:
    """Return where the part that ends with this defect ends."""
    at = axis.at(row)
    return axis.end if at is None else at


def _graph(axis: Axis, rows: Sequence[tuple[int, RecordRow]], segment: RecordSegment, t: Wording) -> Graph:
    height = max(_LEAST_HEIGHT, PIPE_TOP + len(rows) * PITCH + 10.0)
    bottom = height - 6.0
    length = bottom - PIPE_TOP

    def y(station: float | None) -> float | None:
        return None if station is None else round(PIPE_TOP + axis.share(station) * length, 2)

    marks = [y(axis.at(row)) for _, row in rows]
    lines = tuple(
        Line(
            number=number,
            y=text_y,
            mark_y=mark,
            until_y=y(axis.until(row)),
            cells=_cells(row, t),
            grade=grade_of(row) or 0,
            undecided=segment.with_decisions and is_undecided(row),
        )
        for (number, row), mark, text_y in zip(rows, marks, _spread(marks, bottom), strict=True)
    )
    data, findings = segment.data, t.count("finding_count", len(rows))
    ends = (data.from_manhole, data.to_manhole)  # the upper one and the lower one; stations count from the camera's
    first, last = ends[::-1] if data.direction == "upstream" else ends
    begin, end = first or t("begin"), last or t("end")
    return Graph(
        title="",
        label=t("graph_label", begin=begin, end=end, findings=findings),
        height=round(height, 2),
        bottom=round(bottom, 2),
        ticks=tuple((y(one) or 0.0, station_text(one, axis.metric)) for one in axis.ticks()),
        lines=lines,
        top_end=f"{cut(begin, _END_COLUMNS)} · {station_text(axis.begin, axis.metric)}",
        bottom_end=f"{cut(end, _END_COLUMNS)} · {station_text(axis.end, axis.metric)}" if axis.is_end_known else "",
        flow={"downstream": 1, "upstream": -1}.get(data.direction, 0),
        notes=tuple(_notes(axis, marks, t)),
    )


def _notes(axis: Axis, marks: Sequence[float | None], t: Wording) -> list[str]:
    notes = [t("graph_metres" if axis.metric else "graph_seconds")]
    if not axis.is_end_known:
        notes.append(t("graph_open"))
    if None in marks:
        notes.append(t("graph_unplaced"))
    return notes


def _cells(row: RecordRow, t: Wording) -> tuple[str, ...]:
    from urbanpipe.exports.cjj181 import clock_text

    decision = row.review.decision if row.review else None
    return (
        metres_text(row.metres),
        clock(row.occurrence.seconds, tenths=True) if row.occurrence else "",
        cut(row.finding.code, 8),
        cut(t.name(row.finding), _NAME_COLUMNS),
        (clock_text(decision) or "") if decision else "",
        str(grade_of(row) or ""),
    )


def _spread(marks: Sequence[float | None], bottom: float) -> list[float]:
    """Return where texts stand: as near to their marks as their height allows, in the same order."""
    ys: list[float] = []
    for mark in marks:
        least = ys[-1] + PITCH if ys else _ROW_TOP
        ys.append(least if mark is None else max(mark, least))
    limit = bottom
    for index in range(len(ys) - 1, -1, -1):
        ys[index] = min(ys[index], limit)
        limit = ys[index] - PITCH
    return [round(y, 2) for y in ys]
