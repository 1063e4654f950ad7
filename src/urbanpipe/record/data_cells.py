"""Inspection data as cells of a form: a small heading and a value, or an empty line to write on."""

from collections.abc import Sequence
from dataclasses import dataclass

from urbanpipe.record.segments import RecordSegment
from urbanpipe.report.inspection_data import value_text
from urbanpipe.report.wording import Wording

PER_ROW = 4


@dataclass(frozen=True)
class Cell:
    """A cell: its heading, its value (empty if it is not known), and how many columns it takes."""

    heading: str
    value: str
    span: int = 1


def data_cells(segment: RecordSegment, t: Wording, *, contractor: str, whole: bool) -> tuple[tuple[Cell, ...], ...]:
    """Return the rows of cells of a segment.

    Args:
        segment: the segment.
        t: texts.
        contractor: who hands in the record; empty if not given.
        whole: whether the record has no cover, so that client, contractor and job belong here.
    """
    data = segment.data
    head = [
        Cell(t("client"), data.client),
        Cell(t("contractor"), contractor),
        Cell(t("job"), data.job, 2),
    ]
    cells = [
        Cell(t("street"), data.street, 2),
        Cell(t("from_manhole"), data.from_manhole),
        Cell(t("to_manhole"), data.to_manhole),
        Cell(t("direction"), value_text(data, "direction", t)),
        Cell(t("length"), value_text(data, "length_m", t)),
        Cell(t("diameter"), value_text(data, "diameter_mm", t)),
        Cell(t("shape"), value_text(data, "shape", t)),
        Cell(t("material"), data.material),
        Cell(t("date"), " ".join(part for part in (data.date, data.time) if part)),
        Cell(t("weather"), data.weather),
        Cell(t("operator"), data.operator),
    ]
    return rows_of_cells([*head, *cells] if whole else cells)


def rows_of_cells(cells: Sequence[Cell]) -> tuple[tuple[Cell, ...], ...]:
    """Return cells in rows of four columns."""
    rows: list[list[Cell]] = [[]]
    for cell in cells:
        if sum(one.span for one in rows[-1]) + cell.span > PER_ROW:
            rows.append([])
        rows[-1].append(cell)
    return tuple(tuple(row) for row in rows)
