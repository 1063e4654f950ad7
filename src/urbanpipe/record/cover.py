"""The cover of a record of several segments: what they have in common, and a list of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from urbanpipe.contracts.text_width import cut
from urbanpipe.record.data_cells import Cell, rows_of_cells
from urbanpipe.record.segments import RecordSegment
from urbanpipe.record.wording import grade_of
from urbanpipe.report.wording import Wording

_NAMED = 3
_LIST_COLUMNS = 48


@dataclass(frozen=True)
class SegmentLine:
    """A segment in the list: its number, and the texts of its columns."""

    number: int
    name: str
    place: str
    manholes: str
    diameter: str
    length: str
    date: str
    findings: int
    worst: str
    figures: str


@dataclass(frozen=True)
class Cover:
    """The cover: cells of inspection data, sums, and the list of segments."""

    cells: tuple[tuple[Cell, ...], ...]
    totals: str
    lines: tuple[SegmentLine, ...]


def cover_of(segments: Sequence[RecordSegment], t: Wording, *, contractor: str) -> Cover:
    """Return the cover of a record."""
    data = [one.data for one in segments]
    dates = sorted({one.date for one in data if one.date})
    cells = [
        Cell(t("client"), _common(one.client for one in data)),
        Cell(t("contractor"), contractor),
        Cell(t("job"), _common(one.job for one in data), 2),
        Cell(t("street"), _common(one.street for one in data), 2),
        Cell(t("date"), " – ".join(dict.fromkeys([dates[0], dates[-1]])) if dates else ""),
        Cell(t("operator"), _common(one.operator for one in data)),
    ]
    return Cover(rows_of_cells(cells), _totals(segments, t), tuple(_line(n, one) for n, one in enumerate(segments, 1)))


def _common(values: Iterable[str]) -> str:
    """Return the different values, at most three of them."""
    known = list(dict.fromkeys(value for value in values if value))
    return ", ".join(known[:_NAMED]) + (", …" if len(known) > _NAMED else "")


def _totals(segments: Sequence[RecordSegment], t: Wording) -> str:
    lengths = [one.data.length_m for one in segments]
    known = [length for length in lengths if length is not None]
    counts = (
        ("segment_count", len(segments)),
        ("video_count", sum(len(one.videos) for one in segments)),
        ("finding_count", sum(len(one.rows) for one in segments)),
    )
    parts = [t.count(key, number) for key, number in counts]
    if known:
        key = "total_length" if len(known) == len(lengths) else "partial_length"
        parts.append(t(key, metres=f"{sum(known):.10g}"))
    return " · ".join(parts)


def _line(number: int, segment: RecordSegment) -> SegmentLine:
    data, done = segment.data, segment.condition
    grades = [grade for row in segment.rows if (grade := grade_of(row))]
    return SegmentLine(
        number=number,
        name=cut(segment.name, _LIST_COLUMNS),
        place=cut(data.street, _LIST_COLUMNS),
        manholes=" → ".join(part for part in (data.from_manhole, data.to_manhole) if part),
        diameter="" if data.diameter_mm is None else f"{data.diameter_mm:g}",
        length="" if data.length_m is None else f"{data.length_m:g}",
        date=data.date,
        findings=len(segment.rows),
        worst=str(max(grades)) if grades else "",
        figures=f"{done.repair.value:.2f} / {done.maintenance.value:.2f}" if done else "",
    )
