"""Grades and segments as people entered them in the review, in the form of the CJJ 181 table."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from urbanpipe.contracts.inspection_data import InspectionData
from urbanpipe.exports.cjj181 import segment_row
from urbanpipe.exports.columns import SEGMENT_COLUMNS, word
from urbanpipe.exports.condition_table import FilledTable, filled_table
from urbanpipe.exports.csv_safety import minutes
from urbanpipe.exports.export import inspection_data_of
from urbanpipe.exports.records import InspectionRecord, InspectionRecords, RecordRow, opened_records
from urbanpipe.exports.reviewed_rows import reviewed_rows
from urbanpipe.exports.rules import Rules
from urbanpipe.exports.sheets import Field, SheetRow
from urbanpipe.review_store.decision import Decision, Status


def reviewed_table(
    inspections: str | Path,
    store: Path,
    rules: Rules,
    *,
    inspection_data: Path | None = None,
    allow_repeats: bool = False,
) -> FilledTable:
    """Return the segments of the videos that were reviewed in full, with the grades that people gave.

    A video is a segment, unless inspection data names one for several videos. A segment of which something is missing
    is refused, and so is one of which a video was not reviewed in full or a defect is unsure.

    Args:
        inspections: output folder of `inspect`, or an archive.
        store: the decisions.
        rules: classes, grades and choices.
        inspection_data: CSV or XLSX of inspection data; what people entered in the review comes first.
        allow_repeats: see `read_filled`.

    Raises:
        TableError: values are invalid, such as a grade that the class does not have.
        InspectionError: there are no inspections, or one is damaged.
        ArchiveError: the archive cannot be read.
        ReviewError: the store cannot be read.
    """
    with opened_records(inspections, store=store) as inspected:
        data, _ = inspection_data_of(inspected, inspection_data)
        filled = _filled(inspected, data, rules, allow_repeats=allow_repeats)
        return replace(filled, notes=tuple(inspected.notes()))


def _filled(
    inspected: InspectionRecords, data: Mapping[str, InspectionData], rules: Rules, *, allow_repeats: bool
) -> FilledTable:
    names = {name: (data[name].segment if name in data else "") or name for name in inspected.names}
    segments: dict[str, SheetRow] = {}
    exclusive: set[str] = set()
    for one in inspected:
        exclusive |= {one.inspection.exclusive} if one.inspection.exclusive else set()
        cells = segment_row(names[one.name], one, data.get(one.name))
        fields = zip([column.key for column in SEGMENT_COLUMNS], cells, strict=True)
        row = SheetRow(one.name, {key: Field(f"{one.name}, {key}", value) for key, value in fields})
        if names[one.name] not in segments or row["reviewer"].empty:
            segments[names[one.name]] = row
    defects = list(_defects(inspected, names))
    return filled_table([*segments.values()], defects, rules, exclusive, allow_repeats=allow_repeats)


def _defects(inspected: Iterable[InspectionRecord], names: dict[str, str]) -> Iterator[SheetRow]:
    reviewed = (one for one in inspected if one.decisions and one.decisions.is_reviewed)
    for row in reviewed_rows(reviewed, unlikely=False):
        if row.review:
            yield _defect(row, row.review.decision, names[row.inspected.name])


def _defect(row: RecordRow, decision: Decision, segment: str) -> SheetRow:
    """Return the row of a defect; one that is unsure has no grade yet, whatever was entered."""
    is_accepted = decision.status is Status.accepted
    time = minutes(row.occurrence.seconds) if row.occurrence else None
    where = f"{row.inspected.name}, {row.finding.code}" + (f" at {time}" if time else "")
    where += "" if is_accepted else f" ({word(decision.status.value, 'en')})"
    values = {
        "segment": segment,
        "video": row.inspected.name,
        "code": row.finding.code,
        "kind": row.finding.kind,
        "time": time,
        "distance": decision.distance_m,
        "length": decision.length_m,
        "grade": decision.grade if is_accepted else None,
    }
    return SheetRow(where, {key: Field(f"{where}, {key}", value) for key, value in values.items()})
