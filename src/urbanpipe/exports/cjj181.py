"""The CJJ 181 table (XLSX or CSV): proposals of the software, and yellow cells in which a person grades them."""

from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from pathlib import Path
from types import MappingProxyType

from urbanpipe.contracts.findings import BundleFacts, Evidence
from urbanpipe.contracts.inspection_data import InspectionData
from urbanpipe.contracts.remarks import sentence
from urbanpipe.csv_cells import write_rows
from urbanpipe.errors import InspectionError
from urbanpipe.exports.columns import DEFECT_COLUMNS, Language, word
from urbanpipe.exports.csv_safety import minutes, new_table, relative
from urbanpipe.exports.records import InspectionRecord, RecordRow
from urbanpipe.exports.rules import Rules, read_rules
from urbanpipe.exports.workbook import MAX_EXPORTED_ROWS, Cell, write_workbook
from urbanpipe.review_store.decision import Decision, Status

OFF_SECONDS = 1.0  # a picture or distance further than this from the time of its occurrence gets a remark


def write_table(
    inspected: Iterable[InspectionRecord],
    rows: Iterable[RecordRow],
    out: Path,
    language: Language,
    data: Mapping[str, InspectionData] = MappingProxyType({}),
) -> tuple[Path, ...]:
    """Write the table; `.xlsx` has additional sheets for segments, grades and choices, `.csv` has the same rows.

    Args:
        inspected: the inspections; they may be read anew on every iteration.
        rows: their occurrences, likewise.
        out: the file.
        language: language of headings and words.
        data: inspection data by the name of the inspected video; names the segments and gives length and diameter.

    Raises:
        InspectionError: the suffix is another one, a sheet cannot hold all rows, or a table exists in which a person
            may have worked.
        OutputError: the table cannot be written.
    """
    rules, suffix = read_rules(), out.suffix.lower()
    if suffix not in (".csv", ".xlsx"):
        raise InspectionError(f"{out}: a CJJ 181 table is .xlsx or .csv; give --out with one of these suffixes")
    segments: dict[str, str] = {}
    named: dict[str, list[Cell]] = {}
    bundles: dict[str, BundleFacts] = {}
    with_decisions = False
    for number, one in enumerate(inspected, 1):
        item = data.get(one.name)
        segments[one.name] = segment = (item.segment if item else "") or f"S{number}"
        named.setdefault(segment, segment_row(segment, one, item))
        bundles[one.inspection.bundle.digest] = one.inspection.bundle
        with_decisions |= one.decisions is not None
    cells = (table_row(row, segments[row.inspected.name], out.parent, language, rules) for row in rows)
    if suffix == ".csv":
        with new_table(out) as file:
            file.write("\ufeff")  # without this mark Excel reads the system's legacy code page and garbles Chinese
            write_rows(file, [[column.heading(language) for column in DEFECT_COLUMNS]])
            write_rows(file, cells)
    else:
        head = _head(bundles.values(), language, with_decisions=with_decisions)
        few = _few(cells, len(segments), out)
        write_workbook(out, few, [*named.values()], head=head, rules=rules, language=language)
    return (out,)


def _few(cells: Iterable[list[Cell]], segments: int, out: Path) -> list[list[Cell]]:
    """Return the rows of a workbook.

    Raises:
        InspectionError: it cannot hold all rows or segments.
    """
    few = list(islice(cells, MAX_EXPORTED_ROWS + 1))
    if max(len(few), segments) > MAX_EXPORTED_ROWS:
        many = f"more than the {MAX_EXPORTED_ROWS:,} rows that a workbook may have"
        raise InspectionError(f"{out}: {many}; export some of the inspections, or export as .csv")
    return few


def table_row(row: RecordRow, segment: str, folder: Path, language: Language, rules: Rules) -> list[Cell]:
    """Return the cells of an occurrence in column order; only a person gives grade, length and clock position."""
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
        "clock": _clock(decision) if decision else None,
        "confidence": round(row.finding.probability, 3),
        "triage": word("unlikely" if row.finding.unlikely else row.finding.triage, language),
        "picture": relative(picture, folder) if picture else None,
        "source": "; ".join(source_words(row, language)),
        "remark": "; ".join(_remarks(row, language, rules)) or None,
    }
    return [values.get(column.key) for column in DEFECT_COLUMNS]


def segment_row(segment: str, one: InspectionRecord, data: InspectionData | None) -> list[Cell]:
    """Return the cells of a segment in column order: what is known of it, and who reviewed its video in full."""
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


def _clock(decision: Decision) -> str | None:
    """Return the clock position as one text, such as 9-3; None if it was not given."""
    if decision.clock_from is None:
        return None
    return str(decision.clock_from) if decision.clock_to is None else f"{decision.clock_from}-{decision.clock_to}"


def _remarks(row: RecordRow, language: Language, rules: Rules) -> list[str]:
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
    elif read and (read is not frame or _is_off(read, row)):
        remarks.append(f"{word('read_at', language)} {minutes(read.seconds)}")
    if frame and _is_off(frame, row):
        remarks.append(f"{word('picture_at', language)} {minutes(frame.seconds)}")
    if not inspection.bundle.calibrated:
        remarks.append(word("uncalibrated", language))
    return remarks + [sentence(remark, language) for remark in inspection.remarks]


def _is_off(frame: Evidence, row: RecordRow) -> bool:
    """Return whether a frame shows another moment than that of the row."""
    return row.occurrence is not None and abs(frame.seconds - row.occurrence.seconds) > OFF_SECONDS


def _head(bundles: Collection[BundleFacts], language: Language, *, with_decisions: bool) -> list[str]:
    """Return the lines above the table."""
    names = ", ".join(sorted(f"{bundle.name} {bundle.digest[:12]}" for bundle in bundles))
    notes = [word("demonstration", language)] if any(bundle.demonstration for bundle in bundles) else []
    return [
        word("head_reviewed" if with_decisions else "head", language),
        "; ".join([f"{word('model', language)}: {names}", *notes]),
        word("how", language),
    ]
