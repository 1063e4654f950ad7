"""Read the CJJ 181 table in which a person filled in grades and segment data."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from pathlib import Path

from urbanpipe.errors import InspectionError
from urbanpipe.exports.columns import DEFECT_COLUMNS, DEFECTS, SEGMENT_COLUMNS, SEGMENTS, STRUCK, WORDS
from urbanpipe.exports.condition import ZERO, Defect, Segment
from urbanpipe.exports.rules import Choice, DefectRule, Rules
from urbanpipe.exports.sheets import Field, Problems, SheetRow, read_sheets

_READ = ("segment", "code", "kind", "distance", "length", "grade")
_NORMAL = {name.casefold() for name in WORDS["normal"].values()}
_METRES = "metres from the start of the segment, such as 12.4"


@dataclass(frozen=True)
class Refused:
    """A segment without figures, and the cells that are still empty."""

    name: str
    missing: tuple[str, ...]


@dataclass(frozen=True)
class FilledTable:
    """A table that a person filled in.

    Attributes:
        segments: complete segments, in the order of their sheet.
        refused: incomplete segments.
    """

    segments: tuple[Segment, ...]
    refused: tuple[Refused, ...]


@dataclass
class _Draft:
    """A segment while its rows are read; `length` is None if its cell is empty."""

    segment: Segment
    length: Decimal | None
    missing: list[str] = field(default_factory=list)
    defects: list[Defect] = field(default_factory=list)
    recorded: list[str] = field(default_factory=list)
    struck: int = 0

    def done(self) -> Segment:
        return replace(self.segment, defects=tuple(self.defects), recorded=tuple(self.recorded), struck=self.struck)


def read_filled(path: Path, rules: Rules, ignored: Iterable[str] = ("ZC",)) -> FilledTable:
    """Read grades and segments from the table.

    A segment with an empty cell is refused, and the cell is named. An invalid cell raises an error for the whole table.
    Rows of the kind `normal` mean "no defect", whatever their code in the taxonomy, and are ignored unless a person
    entered the code of a defect.

    Args:
        path: an XLSX file of `urbanpipe export --to cjj181`.
        rules: classes, grades and choices.
        ignored: codes that mean "no defect" even if the table has no column of kinds.

    Raises:
        InspectionError: the table cannot be read, or a cell is invalid: a grade that the class does not have, a
            distance that is not a number or not within the segment, an unknown code, segment or choice, or a formula.
            The message names the first such cell, the expected value, and the number of other invalid cells.
    """
    columns = {
        DEFECTS: [column for column in DEFECT_COLUMNS if column.key in _READ],
        SEGMENTS: [column for column in SEGMENT_COLUMNS if column.key != "video"],
    }
    sheets = read_sheets(path, columns, optional=("kind",))
    problems = Problems()
    drafts = _segments(sheets[SEGMENTS], rules, problems)
    for row in sheets[DEFECTS]:
        problems.catch(partial(_take, row, drafts, rules, {code.upper() for code in ignored}))
    problems.raise_any()
    if not drafts:
        raise InspectionError(f"{path}: sheet {SEGMENTS!r} names no segment; expected one row per segment")
    return FilledTable(
        segments=tuple(draft.done() for draft in drafts.values() if not draft.missing),
        refused=tuple(Refused(name, tuple(draft.missing)) for name, draft in drafts.items() if draft.missing),
    )


def _segments(rows: Sequence[SheetRow], rules: Rules, problems: Problems) -> dict[str, _Draft]:
    drafts: dict[str, _Draft] = {}
    for row in rows:
        draft = problems.catch(partial(_segment, row, rules))
        if draft is not None:
            name = draft.segment.name
            if name in drafts:
                problems.lines.append(f"{row['segment'].where} names {name!r} again; expected each segment once")
            drafts.setdefault(name, draft)
    return drafts


def _segment(row: SheetRow, rules: Rules) -> _Draft:
    name = row["segment"].text()
    if not name:
        raise row["segment"].wrong("the name of the segment that this row describes")
    missing: list[str] = []
    length = _above_zero(row["length"], "the segment's length in metres, above 0, such as 35.5", missing)
    diameter = _above_zero(row["diameter"], "the diameter in millimetres, above 0, such as 600", missing)
    region = _choice(row["region"], rules.regions, missing)
    soil = _choice(row["soil"], rules.soils, missing)
    reviewer = row["reviewer"].text()
    if not reviewer:
        missing.append(row["reviewer"].missing("the name of the person responsible for grades and data"))
    segment = Segment(name, length or ZERO, diameter or ZERO, region or ZERO, soil or ZERO, reviewer)
    return _Draft(segment, length, missing)


def _above_zero(cell: Field, right: str, missing: list[str]) -> Decimal | None:
    if cell.empty:
        missing.append(cell.missing(right))
        return None
    number = cell.number(right)
    if number <= 0:
        raise cell.wrong(right)
    return number


def _choice(cell: Field, choices: Sequence[Choice], missing: list[str]) -> Decimal | None:
    right = f"one of {', '.join(choice.key for choice in choices)}, or a text of the sheet 'choices'"
    if cell.empty:
        missing.append(cell.missing(right))
        return None
    known = {name.casefold(): choice.value for choice in choices for name in choice.names}
    text = cell.text().casefold()
    if text not in known:
        raise cell.wrong(right)
    return known[text]


def _take(row: SheetRow, drafts: dict[str, _Draft], rules: Rules, ignored: set[str]) -> None:
    """Add a row of the sheet of defects to its segment."""
    code = row["code"].text().upper()
    is_known = code in rules.by_code  # a person may have corrected the code of a "no defect" row
    if code in ignored or (not is_known and row["kind"].text().casefold() in _NORMAL):
        return
    draft = drafts.get(row["segment"].text())
    mark = row["grade"].value
    if isinstance(mark, str) and mark.strip() == STRUCK:
        if draft:
            draft.struck += 1
        return
    if not is_known:
        raise row["code"].wrong(f"one of {' '.join(rules.by_code)}")
    if draft is None:
        raise row["segment"].wrong(f"one of the sheet {SEGMENTS!r}: {_some(drafts)}")
    _add(row, draft, rules.by_code[code])


def _add(row: SheetRow, draft: _Draft, rule: DefectRule) -> None:
    """Add a defect to its segment, or the cells that it lacks."""
    grade = _grade(row["grade"], rule)
    if not rule.scores:
        draft.recorded.append(rule.code)
        return
    start = _distance(row["distance"])
    length = ZERO if row["length"].empty else _distance(row["length"])
    _within(row, start, length, draft.length)
    if grade is None:
        right = f"a grade of {rule.code}, 1 to {rule.grades}, or {STRUCK} for no such defect"
        draft.missing.append(row["grade"].missing(right))
    if start is None:
        draft.missing.append(row["distance"].missing(_METRES))
    if grade is not None and start is not None:
        draft.defects.append(Defect(rule.code, grade, start, length or ZERO))


def _grade(cell: Field, rule: DefectRule) -> int | None:
    if cell.empty:
        return None
    right = f"a grade of {rule.code}, a whole number from 1 to {rule.grades}, or {STRUCK} if there is no such defect"
    number = cell.number(right)
    if number != int(number) or not 1 <= number <= rule.grades:
        raise cell.wrong(right)
    return int(number)


def _distance(cell: Field) -> Decimal | None:
    if cell.empty:
        return None
    number = cell.number(_METRES)
    if number < 0:
        raise cell.wrong(_METRES + ", not below 0")
    return number


def _within(row: SheetRow, start: Decimal | None, length: Decimal | None, segment: Decimal | None) -> None:
    if start is None or segment is None:
        return
    if start > segment:
        raise row["distance"].wrong(f"at most {segment:f}, the length of its segment")
    if length is not None and start + length > segment:
        raise row["length"].wrong(f"at most {segment - start:f}, so that the defect ends within its segment")


def _some(names: Iterable[str]) -> str:
    shown = list(names)
    return ", ".join(shown[:5]) + (", ..." if len(shown) > 5 else "")
