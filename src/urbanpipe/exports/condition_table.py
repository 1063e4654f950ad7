"""Read the CJJ 181 table in which a person filled in grades and segment data."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from pathlib import Path

from urbanpipe.contracts.inspection_data import DIAMETER_MILLIMETRES, LENGTH_METRES
from urbanpipe.contracts.quantities import metres_of, millimetres_of
from urbanpipe.errors import InspectionError, Mistake
from urbanpipe.exports.cell_texts import Expectation, MissingCell, WrongCell
from urbanpipe.exports.columns import DEFECT_COLUMNS, DEFECTS, SEGMENT_COLUMNS, SEGMENTS, STRUCK, WORDS
from urbanpipe.exports.condition import ZERO, Defect, Segment
from urbanpipe.exports.repeated_rows import RepeatedRows
from urbanpipe.exports.rules import Choice, DefectRule, Rules
from urbanpipe.exports.sheets import Field, Mistakes, SheetRow, read_sheets

_READ = ("segment", "video", "code", "kind", "time", "distance", "length", "grade", "picture")
_OPTIONAL = ("video", "kind", "time", "picture")
_NORMAL = {name.casefold() for name in WORDS["normal"].values()}
_METRES = Expectation("distance")
_LENGTH = Expectation("length", dict(zip(("least", "greatest"), LENGTH_METRES, strict=True)))
_DIAMETER = Expectation("diameter", dict(zip(("least", "greatest"), DIAMETER_MILLIMETRES, strict=True)))
_REVIEWER = Expectation("reviewer")


@dataclass(frozen=True)
class Refused:
    """A segment without figures, and the cells that are still empty."""

    name: str
    missing: tuple[MissingCell, ...]


@dataclass(frozen=True)
class FilledTable:
    """A table that a person filled in.

    Attributes:
        segments: complete segments, in the order of their sheet.
        refused: incomplete segments.
        notes: which videos have no inspection, and why.
    """

    segments: tuple[Segment, ...]
    refused: tuple[Refused, ...]
    notes: tuple[str, ...] = ()


@dataclass
class _Draft:
    """A segment while its rows are read; `length` is None if its cell is empty."""

    segment: Segment
    length: Decimal | None
    missing: list[MissingCell] = field(default_factory=list)
    defects: list[Defect] = field(default_factory=list)
    recorded: list[str] = field(default_factory=list)
    struck: int = 0

    def done(self) -> Segment:
        return replace(self.segment, defects=tuple(self.defects), recorded=tuple(self.recorded), struck=self.struck)


def read_filled(
    path: Path, rules: Rules, ignored: Iterable[str] = ("ZC",), *, allow_repeats: bool = False
) -> FilledTable:
    """Read grades and segments from the table.

    A segment with an empty cell is refused, and the cell is named. An invalid cell raises an error for the whole table.
    Rows of the kind `normal` mean "no defect", whatever their code in the taxonomy, and are ignored unless a person
    entered the code of a defect.

    Args:
        path: an XLSX file of `urbanpipe export --to cjj181`.
        rules: classes, grades and choices.
        ignored: codes that mean "no defect" even if the table has no column of kinds.
        allow_repeats: whether rows with the same code and distance, or with the same video and time, are different
            defects.

    Raises:
        TableError: cells are invalid: a grade that the class does not have, a distance that is not a number or not
            within the segment, an implausible length or diameter, an unknown code, segment or choice, a formula, or a
            defect that is graded in two rows.
        InspectionError: the table cannot be read, or names no segment.
    """
    columns = {
        DEFECTS: [column for column in DEFECT_COLUMNS if column.key in _READ],
        SEGMENTS: [column for column in SEGMENT_COLUMNS if column.key not in ("video", "remark")],
    }
    sheets = read_sheets(path, columns, optional=_OPTIONAL)
    filled = filled_table(sheets[SEGMENTS], sheets[DEFECTS], rules, ignored, allow_repeats=allow_repeats)
    if not filled.segments and not filled.refused:
        raise InspectionError(f"{path}: sheet {SEGMENTS!r} names no segment; expected one row per segment")
    return filled


def filled_table(
    segments: Sequence[SheetRow],
    defects: Sequence[SheetRow],
    rules: Rules,
    ignored: Iterable[str] = ("ZC",),
    *,
    allow_repeats: bool = False,
    wrong: Iterable[Mistake] = (),
) -> FilledTable:
    """Return the segments and defects of rows, wherever they come from; see `read_filled`.

    Args:
        segments: rows of segments.
        defects: rows of defects.
        rules: classes, grades and choices.
        ignored: codes that mean "no defect".
        allow_repeats: see `read_filled`.
        wrong: mistakes that the rows do not show, to be named first.

    Raises:
        TableError: cells are invalid.
    """
    mistakes = Mistakes()
    mistakes.found += wrong
    drafts = _segments(segments, rules, mistakes)
    repeated = None if allow_repeats else RepeatedRows()
    skipped = {code.upper() for code in ignored}
    for row in defects:
        defect = _take(row, drafts, rules=rules, ignored=skipped, mistakes=mistakes)
        if defect and repeated:
            mistakes.catch(partial(repeated.add, row, defect))
    mistakes.raise_any()
    return FilledTable(
        segments=tuple(draft.done() for draft in drafts.values() if not draft.missing),
        refused=tuple(Refused(name, tuple(draft.missing)) for name, draft in drafts.items() if draft.missing),
    )


def _segments(rows: Sequence[SheetRow], rules: Rules, mistakes: Mistakes) -> dict[str, _Draft]:
    """Return the segments by name, also those with invalid cells, so that their defects are not called wrong."""
    drafts: dict[str, _Draft] = {}
    for row in rows:
        draft = _segment(row, rules, mistakes)
        if (name := draft.segment.name) in drafts:
            mistakes.found.append(WrongCell(row["segment"].where, "again", {"found": repr(name)}))
        elif name:
            drafts[name] = draft
    return drafts


def _segment(row: SheetRow, rules: Rules, mistakes: Mistakes) -> _Draft:
    missing: list[MissingCell] = []
    name = mistakes.catch(partial(_segment_name, row["segment"]))
    length = mistakes.catch(partial(_magnitude, row["length"], _LENGTH, LENGTH_METRES, missing, metres_of))
    diameter = mistakes.catch(
        partial(_magnitude, row["diameter"], _DIAMETER, DIAMETER_MILLIMETRES, missing, millimetres_of)
    )
    region = mistakes.catch(partial(_choice, row["region"], rules.regions, missing))
    soil = mistakes.catch(partial(_choice, row["soil"], rules.soils, missing))
    reviewer = mistakes.catch(row["reviewer"].text)
    if reviewer == "":
        missing.append(row["reviewer"].missing(_REVIEWER))
    segment = Segment(name or "", length or ZERO, diameter or ZERO, region or ZERO, soil or ZERO, reviewer or "")
    return _Draft(segment, length, missing)


def _segment_name(cell: Field) -> str:
    if not (name := cell.text()):
        raise cell.wrong(Expectation("segment_name"))
    return name


def _magnitude(
    cell: Field,
    right: Expectation,
    limits: tuple[float, float],
    missing: list[MissingCell],
    read: Callable[[str], Decimal],
) -> Decimal | None:
    """Return a number within the limits; one outside of them is in another unit than that of its column."""
    if cell.empty:
        missing.append(cell.missing(right))
        return None
    number = cell.quantity(right, read)
    if not limits[0] <= number <= limits[1]:
        raise cell.wrong(right)
    return number


def _choice(cell: Field, choices: Sequence[Choice], missing: list[MissingCell]) -> Decimal | None:
    right = Expectation("choice", {"choices": ", ".join(choice.key for choice in choices)})
    if cell.empty:
        missing.append(cell.missing(right))
        return None
    known = {name.casefold(): choice.value for choice in choices for name in choice.names}
    text = cell.text().casefold()
    if text not in known:
        raise cell.wrong(right)
    return known[text]


def _take(
    row: SheetRow, drafts: dict[str, _Draft], *, rules: Rules, ignored: set[str], mistakes: Mistakes
) -> Defect | None:
    """Add a row of the sheet of defects to its segment, and return its defect if it is complete and scored."""
    code = (mistakes.catch(row["code"].text) or "").upper()
    rule = rules.by_code.get(code)  # a person may have corrected the code of a "no defect" row
    if row["code"].fault or code in ignored or (rule is None and _is_normal(row["kind"])):
        return None
    name = mistakes.catch(row["segment"].text)
    draft = drafts.get(name or "")
    if isinstance(mark := row["grade"].value, str) and mark.strip() == STRUCK:
        if draft:
            draft.struck += 1
        return None
    if rule is None:
        right = Expectation("code", {"codes": " ".join(rules.by_code)})
        mistakes.found.append(row["code"].wrong(right).mistake)
    if draft is None and name is not None:
        right = Expectation("segment", {"sheet": SEGMENTS, "names": _some(drafts)})
        mistakes.found.append(row["segment"].wrong(right).mistake)
    return _add(row, draft, rule, mistakes) if rule else None


def _is_normal(kind: Field) -> bool:
    return isinstance(kind.value, str) and kind.value.strip().casefold() in _NORMAL


def _add(row: SheetRow, draft: _Draft | None, rule: DefectRule, mistakes: Mistakes) -> Defect | None:
    """Add a defect to its segment, or the cells that it lacks; without a segment only check the cells."""
    grade = mistakes.catch(partial(_grade, row["grade"], rule))
    if not rule.scores:
        if draft:
            draft.recorded.append(rule.code)
        return None
    start = mistakes.catch(partial(_distance, row["distance"]))
    length = mistakes.catch(partial(_distance, row["length"]))
    if draft is None:
        return None
    mistakes.catch(partial(_within, row, start, length, draft.length))
    if row["grade"].empty:
        right = Expectation("grade", {"code": rule.code, "grades": rule.grades, "struck": STRUCK})
        draft.missing.append(row["grade"].missing(right))
    if row["distance"].empty:
        draft.missing.append(row["distance"].missing(_METRES))
    if grade is None or start is None:
        return None
    picture = row["picture"].value  # no cell that a person fills in
    draft.defects.append(Defect(rule.code, grade, start, length or ZERO, picture if isinstance(picture, str) else ""))
    return draft.defects[-1]


def _grade(cell: Field, rule: DefectRule) -> int | None:
    if cell.empty:
        return None
    right = Expectation("whole_grade", {"code": rule.code, "grades": rule.grades, "struck": STRUCK})
    number = cell.number(right)
    if number != int(number) or not 1 <= number <= rule.grades:
        raise cell.wrong(right)
    return int(number)


def _distance(cell: Field) -> Decimal | None:
    if cell.empty:
        return None
    number = cell.quantity(_METRES, metres_of)
    if not 0 <= number <= LENGTH_METRES[1]:
        raise cell.wrong(Expectation("distance_within", {"most": LENGTH_METRES[1]}))
    return number


def _within(row: SheetRow, start: Decimal | None, length: Decimal | None, segment: Decimal | None) -> None:
    if start is None or segment is None:
        return
    if start > segment:
        raise row["distance"].wrong(Expectation("distance_segment", {"most": segment}))
    if length is not None and start + length > segment:
        raise row["length"].wrong(Expectation("length_segment", {"most": segment - start}))


def _some(names: Iterable[str]) -> str:
    shown = list(names)
    return ", ".join(shown[:5]) + (", ..." if len(shown) > 5 else "")
