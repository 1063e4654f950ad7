"""The CJJ 181 table (XLSX or CSV): proposals of the software, and yellow cells in which a person grades them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import MappingProxyType

from urbanpipe.contracts.findings import BundleFacts, Evidence
from urbanpipe.contracts.inspection_data import InspectionData
from urbanpipe.contracts.remarks import sentence
from urbanpipe.contracts.workbook_bounds import MAX_FILES
from urbanpipe.csv_cells import write_rows
from urbanpipe.errors import InspectionError
from urbanpipe.exports.columns import DEFECT_COLUMNS, Column, Language, word
from urbanpipe.exports.csv_safety import minutes, new_table, relative
from urbanpipe.exports.records import InspectionRecord, RecordRow
from urbanpipe.exports.rules import Rules, read_rules
from urbanpipe.exports.segment_names import segment_data, segment_names
from urbanpipe.exports.workbook import MAX_EXPORTED_ROWS, write_workbook
from urbanpipe.exports.workbook_layout import Cell
from urbanpipe.report.pictures import thumbnail_jpeg
from urbanpipe.review_store.decision import Decision, Status

MAX_THUMBNAILS = MAX_FILES - 200
"""Pictures in a workbook; rows after them have links only."""
OFF_SECONDS = 1.0  # a picture or distance further than this from the time of its occurrence gets a remark


def write_table(
    inspected: Iterable[InspectionRecord],
    rows: Iterable[RecordRow],
    out: Path,
    language: Language,
    data: Mapping[str, InspectionData] = MappingProxyType({}),
) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Write the table; `.xlsx` has additional sheets for segments, grades and choices, `.csv` has the same rows.

    A remark on a video is in its row of the sheet of segments; a `.csv` has it in each row of the video.

    Args:
        inspected: the inspections; they may be read anew on every iteration.
        rows: their occurrences.
        out: the file.
        language: language of headings and words.
        data: inspection data by the name of the inspected video; names the segments and gives length and diameter.

    Returns:
        The files, and what a person has to correct in the inspection data.

    Raises:
        InspectionError: the suffix is another one, a sheet cannot hold all rows, or a table exists in which a person
            may have worked.
        OutputError: the table cannot be written.
    """
    rules, suffix = read_rules(), out.suffix.lower()
    if suffix not in (".csv", ".xlsx"):
        raise InspectionError(f"{out}: a CJJ 181 table is .xlsx or .csv; give --out with one of these suffixes")
    sheet = _segments(inspected, data, language, rules)
    columns = sheet.columns if suffix == ".xlsx" else DEFECT_COLUMNS
    names, alone = sheet.names, suffix == ".csv"
    cells = (
        table_row(row, names[row.inspected.name], out.parent, language, rules, columns=columns, alone=alone)
        for row in rows
    )
    if suffix == ".csv":
        with new_table(out) as file:
            file.write("\ufeff")  # without this mark Excel reads the system's legacy code page and garbles Chinese
            write_rows(file, [[column.heading(language) for column in DEFECT_COLUMNS]])
            write_rows(file, cells)
        return (out,), sheet.wrong
    few = list(islice(cells, MAX_EXPORTED_ROWS + 1))
    if max(len(few), len(sheet.names)) > MAX_EXPORTED_ROWS:
        many = f"more than the {MAX_EXPORTED_ROWS:,} rows that a workbook may have"
        raise InspectionError(f"{out}: {many}; export some of the inspections, or export as .csv")
    head, segments, pictures = _head(sheet, language), [*sheet.rows.values()], _thumbnails(rows)
    write_workbook(out, few, segments, head=head, rules=rules, language=language, columns=columns, pictures=pictures)
    return (out,), sheet.wrong


@dataclass
class _Segments:
    """What a table says of all inspections.

    Attributes:
        names: segment of each video by the name of the video.
        rows: cells of each segment by its name.
        bundles: the bundles by digest.
        with_decisions: whether there is a store.
        wrong: what a person has to correct in the inspection data, in English.
    """

    names: dict[str, str] = field(default_factory=dict)
    rows: dict[str, list[Cell]] = field(default_factory=dict)
    bundles: dict[str, BundleFacts] = field(default_factory=dict)
    with_decisions: bool = False
    wrong: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns of a workbook: without a store its head says once where all of its rows are from."""
        return tuple(column for column in DEFECT_COLUMNS if self.with_decisions or column.key != "source")


def _segments(
    inspected: Iterable[InspectionRecord], data: Mapping[str, InspectionData], language: Language, rules: Rules
) -> _Segments:
    numbered = {one.name: f"S{number}" for number, one in enumerate(inspected, 1)}
    found = _Segments(segment_names(numbered, data, language, unnamed=numbered))
    known = segment_data(found.names, data, rules)
    found.wrong = tuple(str(cell) for one in known.values() for cell in one.differing)
    remarks = {name: [cell.text(language) for cell in one.differing] for name, one in known.items()}
    videos = Counter(found.names.values())
    for one in inspected:
        name = found.names[one.name]
        found.rows.setdefault(name, segment_row(name, one, known[name].data if name in known else None))
        found.bundles[one.inspection.bundle.digest] = one.inspection.bundle
        found.with_decisions |= one.decisions is not None
        of_video = f"{one.name}: " if videos[name] > 1 else ""
        remarks.setdefault(name, []).extend(of_video + sentence(said, language) for said in one.inspection.remarks)
    for name, row in found.rows.items():
        row.append("; ".join(remarks[name]) or None)
    return found


def _thumbnails(rows: Iterable[RecordRow]) -> dict[int, bytes]:
    """Return small pictures of the first rows, by index; a workbook may not have more files than its reader allows."""
    paths = ((index, row.picture) for index, row in enumerate(rows))
    made = ((index, thumbnail_jpeg(path.parent, path.name)) for index, path in paths if path)
    return {index: data for index, data in islice(made, MAX_THUMBNAILS) if data}


def table_row(
    row: RecordRow,
    segment: str,
    folder: Path,
    language: Language,
    rules: Rules,
    *,
    columns: Sequence[Column] = DEFECT_COLUMNS,
    alone: bool = True,
) -> list[Cell]:
    """Return the cells of an occurrence in column order; only a person gives grade, length and clock position.

    Args:
        row: the occurrence.
        segment: name of its segment.
        folder: folder that the paths of pictures are relative to.
        language: language of the words.
        rules: classes and grades.
        columns: the columns.
        alone: whether no other table has the remarks on its video.
    """
    picture = row.picture
    decision = row.review.decision if row.review else None
    values: dict[str, Cell] = {
        "segment": segment,
        "video": row.inspected.name,
        "code": row.finding.code,
        "name": (language == "zh" and row.finding.zh) or row.finding.en,
        "kind": word(row.finding.kind, language),
        "time": minutes(row.occurrence.seconds) if row.occurrence else None,
        "distance": row.metres,
        "length": decision.length_m if decision else None,
        "grade": decision.grade if decision else None,
        "clock": clock_text(decision) if decision else None,
        "confidence": round(row.finding.probability, 3),
        "triage": word("unlikely" if row.finding.unlikely else row.finding.triage, language),
        "picture": relative(picture, folder) if picture else None,
        "source": "; ".join(source_words(row, language)),
        "remark": "; ".join(_remarks(row, language, rules, of_video=alone)) or None,
    }
    return [values.get(column.key) for column in columns]


def segment_row(segment: str, one: InspectionRecord, data: InspectionData | None) -> list[Cell]:
    """Return the cells of a segment in column order: what is known of it, and who reviewed its video in full.

    The last column, for remarks, is not among them.
    """
    reviewer = one.decisions.reviewer if one.decisions else ""
    known: list[Cell] = (
        [data.length_m, data.diameter_mm, data.region or None, data.soil or None] if data else [None] * 4
    )
    return [segment, one.name, *known, reviewer or None]


def source_words(row: RecordRow, language: Language) -> list[str]:
    """Return who is responsible for a row: a person by name and date, or software."""
    if row.review:
        by = word("reviewed", language).format(who=row.review.who, date=row.review.date)
        status = row.review.decision.status
        return [by] if status is Status.accepted else [word(status.value, language), by]
    demonstration = row.inspected.inspection.bundle.demonstration
    return [word("proposal", language), *([word("demonstration", language)] if demonstration else [])]


def clock_text(decision: Decision) -> str | None:
    """Return the clock position as one text, such as 9-3; None if it was not given."""
    if decision.clock_from is None:
        return None
    return str(decision.clock_from) if decision.clock_to is None else f"{decision.clock_from}-{decision.clock_to}"


def _remarks(row: RecordRow, language: Language, rules: Rules, *, of_video: bool) -> list[str]:
    """Return remarks that a person needs before grading this row."""
    inspection, frame, read = row.inspected.inspection, row.evidence, row.distance
    remarks = []
    if row.finding.code != inspection.exclusive:
        if row.occurrence is None:
            remarks.append(word("no_time", language))
        if row.finding.code not in rules.by_code:
            remarks.append(word("not_in_rules", language))
    if row.review:
        remarks += [row.review.decision.note] if row.review.decision.note else []
    elif read and (read.distance_metres or 0) < 0:
        remarks.append(f"{word('read_as', language)} {read.distance_text or read.distance_metres}")
    elif read and (read is not frame or is_off(read, row)):
        remarks.append(f"{word('read_at', language)} {minutes(read.seconds)}")
    if frame and is_off(frame, row):
        remarks.append(f"{word('picture_at', language)} {minutes(frame.seconds)}")
    if not inspection.bundle.calibrated:
        remarks.append(word("uncalibrated", language))
    return remarks + [sentence(remark, language) for remark in inspection.remarks if of_video]


def is_off(frame: Evidence, row: RecordRow) -> bool:
    """Return whether a frame shows another moment than that of the row, more than `OFF_SECONDS` away."""
    return row.occurrence is not None and abs(frame.seconds - row.occurrence.seconds) > OFF_SECONDS


def _head(sheet: _Segments, language: Language) -> list[str]:
    """Return the lines above the table."""
    bundles = sheet.bundles.values()
    names = ", ".join(sorted(f"{bundle.name} {bundle.digest[:12]}" for bundle in bundles))
    notes = [word("demonstration", language)] if any(bundle.demonstration for bundle in bundles) else []
    return [
        word("head_reviewed" if sheet.with_decisions else "head", language),
        "; ".join([word("model", language).format(names=names), *notes]),
        word("how", language),
    ]
