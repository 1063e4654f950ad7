"""Grades and segments as people entered them in the review, in the form of the CJJ 181 table."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from urbanpipe.contracts.inspection_data import InspectionData
from urbanpipe.contracts.inspection_sources import Source
from urbanpipe.exports.cell_texts import ReviewCell, WrongCell
from urbanpipe.exports.cjj181 import segment_row
from urbanpipe.exports.columns import SEGMENT_COLUMNS, Language
from urbanpipe.exports.condition_table import FilledTable, filled_table
from urbanpipe.exports.csv_safety import minutes, relative
from urbanpipe.exports.record_data import inspection_data_of
from urbanpipe.exports.records import InspectionRecord, RecordRow, opened_records
from urbanpipe.exports.reviewed_rows import reviewed_rows
from urbanpipe.exports.rules import Rules
from urbanpipe.exports.segment_names import segment_data, segment_names
from urbanpipe.exports.sheets import Field, SheetRow
from urbanpipe.review_store.decision import Decision, Status

_FIGURES = ("length", "diameter", "region", "soil")  # fields of a segment that condition figures depend on


def reviewed_table(
    inspections: str | Path,
    store: Path,
    rules: Rules,
    *,
    pictures: Path | None = None,
    inspection_data: Source | Sequence[Source] | None = None,
    language: Language = "en",
    allow_repeats: bool = False,
) -> FilledTable:
    """Return the segments of the videos that were reviewed in full, with the grades that people gave.

    A video is a segment, unless several videos show one by their inspection data (`segment_names`). A segment of which
    something is missing is refused, and so is one of which a video was not reviewed in full or a defect is unsure.

    Args:
        inspections: output folder of `inspect`, or an archive.
        store: the decisions.
        rules: classes, grades and choices.
        pictures: folder that pictures of an archive are copied to, and that paths of pictures are relative to; None to
            name no pictures.
        inspection_data: files of inspection data or rules for paths; what people entered in the review comes first.
        language: language of the names of segments with both directions.
        allow_repeats: see `read_filled`.

    Raises:
        TableError: values are invalid, such as a grade that the class does not have, or videos of one segment differ in
            what belongs to it.
        InspectionError: there are no inspections, or one is damaged.
        ArchiveError: the archive cannot be read.
        ReviewError: the store cannot be read.
    """
    with opened_records(inspections, store=store, pictures=pictures) as inspected:
        data, _ = inspection_data_of(inspected, inspection_data)
        filled = table_of(
            inspected, data, rules, root=pictures or Path(), language=language, allow_repeats=allow_repeats
        )
        return replace(filled, notes=tuple(inspected.notes()))


def table_of(
    inspected: Iterable[InspectionRecord],
    data: Mapping[str, InspectionData],
    rules: Rules,
    *,
    root: Path,
    language: Language = "en",
    allow_repeats: bool = False,
) -> FilledTable:
    """Return the segments of inspections with decisions; see `reviewed_table`.

    Args:
        inspected: the inspections.
        data: inspection data by the name of the video.
        rules: classes, grades and choices.
        root: folder that the paths of pictures are relative to.
        language: language of the names of segments with both directions.
        allow_repeats: see `read_filled`.

    Raises:
        TableError: values are invalid.
    """
    names = segment_names([one.name for one in inspected], data, language)
    known = segment_data(names, data, rules)
    segments: dict[str, SheetRow] = {}
    exclusive: set[str] = set()
    for one in inspected:
        exclusive |= {one.inspection.exclusive} if one.inspection.exclusive else set()
        cells = segment_row(names[one.name], one, known[names[one.name]].data if names[one.name] in known else None)
        fields = zip([column.key for column in SEGMENT_COLUMNS if column.key != "remark"], cells, strict=True)
        row = SheetRow({key: Field(ReviewCell(one.name, key), value) for key, value in fields})
        if names[one.name] not in segments or row["reviewer"].empty:
            segments[names[one.name]] = row
    defects = list(_defects(inspected, names, root))
    wrong = [cell for one in known.values() for cell in one.differing if _counts(cell)]
    return filled_table([*segments.values()], defects, rules, exclusive, allow_repeats=allow_repeats, wrong=wrong)


def _counts(cell: WrongCell) -> bool:
    return isinstance(cell.where, ReviewCell) and cell.where.key in _FIGURES


def _defects(inspected: Iterable[InspectionRecord], names: dict[str, str], root: Path) -> Iterator[SheetRow]:
    reviewed = (one for one in inspected if one.decisions and one.decisions.is_reviewed)
    for row in reviewed_rows(reviewed, unlikely=False):
        if row.review:
            yield _defect(row, row.review.decision, names[row.inspected.name], root)


def _defect(row: RecordRow, decision: Decision, segment: str, root: Path) -> SheetRow:
    """Return the row of a defect; one that is unsure has no grade yet, whatever was entered."""
    is_accepted = decision.status is Status.accepted
    time = minutes(row.occurrence.seconds) if row.occurrence else None
    status = "" if is_accepted else decision.status.value
    place = partial(ReviewCell, row.inspected.name, code=row.finding.code, time=time or "", status=status)
    values = {
        "segment": segment,
        "video": row.inspected.name,
        "code": row.finding.code,
        "kind": row.finding.kind,
        "time": time,
        "distance": decision.distance_m,
        "length": decision.length_m,
        "grade": decision.grade if is_accepted else None,
        "picture": relative(row.picture, root) if row.picture else "",
    }
    return SheetRow({key: Field(place(key=key), value) for key, value in values.items()})
