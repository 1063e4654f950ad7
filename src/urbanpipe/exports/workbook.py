"""The CJJ 181 table as a workbook: a sheet of defects, one of segments, and the grades and choices to select from."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Literal
from urllib.parse import quote

from openpyxl import Workbook
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.worksheet import Worksheet

from urbanpipe.contracts.inspection_data import DIAMETER_MILLIMETRES, LENGTH_METRES
from urbanpipe.contracts.workbook_bounds import MAX_ROWS
from urbanpipe.exports.columns import (
    CHOICES,
    DEFECT_COLUMNS,
    DEFECTS,
    GRADES,
    SEGMENT_COLUMNS,
    SEGMENTS,
    STRUCK,
    Column,
    Language,
    word,
)
from urbanpipe.exports.rules import Diameter, Rules
from urbanpipe.exports.tamper_check import add_tamper_check, refuse_if_touched
from urbanpipe.exports.workbook_layout import (
    FONT,
    GRID,
    TEXT,
    Cell,
    add_pictures,
    put,
    put_head,
    put_headings,
    set_pages,
    set_widths,
)
from urbanpipe.outputs import whole_path

MAX_EXPORTED_ROWS = MAX_ROWS - 1_000  # `condition` must be able to read the table with the rows that a person adds
_MAX_LINKS = 60_000  # Excel "repairs" (damages) a sheet with more than 65,530 links
_SPARE_ROWS = 200
_PRINTED_SPARE_ROWS = 12
_LONGEST_PROMPT = 255  # of a spreadsheet
_RANGES_A_RULE = 200
_YELLOW = PatternFill("solid", fgColor="FFF8DC")
_KEYS = {column.key: get_column_letter(number) for number, column in enumerate(DEFECT_COLUMNS, 1)}
_SEGMENTS_FROM = 3


def write_workbook(
    out: Path,
    rows: Sequence[Sequence[Cell]],
    segments: Sequence[Sequence[Cell]],
    *,
    head: Sequence[str],
    rules: Rules,
    language: Language,
    columns: Sequence[Column] = DEFECT_COLUMNS,
    pictures: Mapping[int, bytes] = MappingProxyType({}),
) -> None:
    """Write the workbook.

    Args:
        out: the file.
        rows: cells of the sheet of defects, in the order of its columns.
        segments: proposed name of every segment, and the video that it was proposed for.
        head: lines above the table of defects.
        rules: grades and choices.
        language: first language of the headings, `en` or `zh`; the other one follows.
        columns: columns of the sheet of defects: all, or without some of the last ones.
        pictures: small JPEGs by index of the row.

    Raises:
        InspectionError: the file exists and is not an unmodified export.
        OutputError: the file cannot be written.
    """
    refuse_if_touched(out)
    book = Workbook()
    first = book.worksheets[0]
    first.title = DEFECTS
    defects = _Defects(rows, columns, pictures, named=len(segments))
    _defects(first, defects, head, rules, language)
    regions, soils = _choices(book.create_sheet(CHOICES), rules, language)
    _segments(book.create_sheet(SEGMENTS, 1), segments, (regions, soils), language)
    _grades(book.create_sheet(GRADES, 2), rules, language)
    add_tamper_check(book)
    with whole_path(out) as temporary:
        book.save(temporary)


@dataclass(frozen=True)
class _Defects:
    """The sheet of defects: its rows, columns and small pictures, and the number of segments that are named."""

    rows: Sequence[Sequence[Cell]]
    columns: Sequence[Column]
    pictures: Mapping[int, bytes]
    named: int


def _defects(sheet: Worksheet, defects: _Defects, head: Sequence[str], rules: Rules, language: Language) -> None:
    rows, columns = defects.rows, defects.columns
    first = _top(sheet, head, columns, language)
    end, last = first + len(rows) + _SPARE_ROWS - 1, get_column_letter(len(columns))
    for number in range(first, end + 1):
        _line(sheet, number, rows[number - first] if number - first < len(rows) else [], columns)
    _links(sheet, rows, first)
    picture_column = list(_KEYS).index("picture") + 1
    add_pictures(sheet, picture_column, {first + row: data for row, data in defects.pictures.items()})
    sheet.auto_filter.ref = f"A{first - 1}:{last}{end}"
    set_pages(sheet, last_column=last, last_row=first + len(rows) + _PRINTED_SPARE_ROWS, heading_row=first - 1)
    _grade_rules(sheet, [row[list(_KEYS).index("code")] for row in rows], first, rules, language)
    for key in ("distance", "length"):
        cells = [f"{_KEYS[key]}{first}:{_KEYS[key]}{end}"]
        _check(sheet, "decimal", "0", cells=cells, hint="metres, from 0", operator="greaterThanOrEqual")
    names = f"{SEGMENTS}!$A${_SEGMENTS_FROM}:$A${_SEGMENTS_FROM + defects.named + _SPARE_ROWS - 1}"
    _check(sheet, "list", names, cells=[f"A{first}:A{end}"], hint="a segment of the sheet 'segment'")


def _links(sheet: Worksheet, rows: Sequence[Sequence[Cell]], first: int) -> None:
    """Link the cells of the picture column to the picture files."""
    column = list(_KEYS).index("picture")
    for number, row in enumerate(rows[:_MAX_LINKS], first):
        link = row[column]
        if isinstance(link, str):
            cell = put(sheet, number, column + 1, link)
            cell.hyperlink = quote(link)
            cell.font = Font(name=FONT, color="1F5FA8", underline="single", size=8)
            cell.alignment = Alignment(vertical="bottom", shrink_to_fit=True)


def _grade_rules(sheet: Worksheet, codes: Sequence[Cell], first: int, rules: Rules, language: Language) -> None:
    """Offer in each row the grades of its class with their meaning, and all grades in rows that a person adds."""
    ranges: defaultdict[str, list[str]] = defaultdict(list)
    column, number = _KEYS["grade"], first
    for code, run in groupby(str(code) for code in codes):
        length = len(list(run))
        ranges[code].append(f"{column}{number}:{column}{number + length - 1}")
        number += length
    for code, cells in ranges.items():
        if rule := rules.by_code.get(code):
            meaning = "\n".join(f"{grade}: {text.in_(language)}" for grade, text in enumerate(rule.criteria, 1))
            for check in _offer_grades(sheet, rule.grades, cells):
                check.showInputMessage, check.promptTitle, check.prompt = True, code, meaning[:_LONGEST_PROMPT]
    most = max(rule.grades for rule in rules.classes)
    _offer_grades(sheet, most, [f"{column}{number}:{column}{number + _SPARE_ROWS - 1}"])


def _offer_grades(sheet: Worksheet, grades: int, cells: Sequence[str]) -> list[DataValidation]:
    options = [*map(str, range(1, grades + 1)), STRUCK]
    hint = f"grades of the proposed class: {' '.join(options)}. Continue if you corrected the code."
    return _check(sheet, "list", f'"{",".join(options)}"', cells=cells, hint=hint, style="warning")


def _segments(
    sheet: Worksheet, segments: Sequence[Sequence[Cell]], choices: tuple[str, str], language: Language
) -> None:
    first = _top(sheet, [word("segments", language)], SEGMENT_COLUMNS, language)
    assert first == _SEGMENTS_FROM, "the sheet of defects offers the names from here"
    end = first + len(segments) + _SPARE_ROWS - 1
    for number in range(first, end + 1):
        _line(sheet, number, segments[number - first] if number - first < len(segments) else [], SEGMENT_COLUMNS)
    letters = {column.key: get_column_letter(number) for number, column in enumerate(SEGMENT_COLUMNS, 1)}
    last_row = first + len(segments) + _PRINTED_SPARE_ROWS
    set_pages(sheet, last_column=[*letters.values()][-1], last_row=last_row, heading_row=first - 1)
    cells = {key: [f"{letter}{first}:{letter}{end}"] for key, letter in letters.items()}
    for key, unit, (low, high) in (
        ("length", "metres", LENGTH_METRES),
        ("diameter", "millimetres", DIAMETER_MILLIMETRES),
    ):
        hint = f"{unit}, {low:g} to {high:g}"
        _check(sheet, "decimal", f"{low:g}", f"{high:g}", cells=cells[key], hint=hint, operator="between")
    for key, options in zip(("region", "soil"), choices, strict=True):
        _check(sheet, "list", options, cells=cells[key], hint="one of the sheet 'choices'")


def _choices(sheet: Worksheet, rules: Rules, language: Language) -> tuple[str, str]:
    """Write K, T and E with their meanings, and return the cell ranges of the options of K and T."""
    set_widths(sheet, (64, 10))
    meaning, diameter = word("meaning", language), word("diameter", language)
    regions = [(one.label(language), one.value) for one in rules.regions]
    soils = [(one.label(language), one.value) for one in rules.soils]
    pipes = [(_limit(one), one.value) for one in rules.diameters]
    ranges, row = [], 1
    for title, lines in ((f"K: {meaning}", regions), (f"T: {meaning}", soils), (f"E: {diameter}", pipes)):
        put_headings(sheet, row, (title, word("value", language)))
        for number, (text, value) in enumerate(lines, row + 1):
            put(sheet, number, 1, text)
            put(sheet, number, 2, float(value))
        ranges.append(f"{CHOICES}!$A${row + 1}:$A${row + len(lines)}")
        row += len(lines) + 2
    set_pages(sheet, last_column="B", last_row=row, heading_row=1)
    return ranges[0], ranges[1]


def _limit(rule: Diameter) -> str:
    if rule.above is not None:
        return f"> {rule.above}"
    return "..." if rule.at_least is None else f">= {rule.at_least}"


def _grades(sheet: Worksheet, rules: Rules, language: Language) -> None:
    """Write the meaning and the score of each grade of each class."""
    widths = (9, 16, 10, 90, 22)
    set_widths(sheet, widths)
    keys = ("code", "kind", "grade")
    headings = [column.heading(language) for column in DEFECT_COLUMNS if column.key in keys]
    put_headings(sheet, 1, (*headings, word("meaning", language), word("score", language)), widths)
    number = 2
    for rule in rules.classes:
        for grade, text in enumerate(rule.criteria, 1):
            score: Cell = float(rule.scores[grade - 1]) if rule.scores else word("recorded", language)
            for place, value in enumerate((rule.code, word(rule.kind, language), grade, text.in_(language), score), 1):
                cell = put(sheet, number, place, value)
                cell.alignment, cell.border = TEXT, GRID
            number += 1
    sheet.freeze_panes = "A2"
    set_pages(sheet, last_column="E", last_row=number - 1, heading_row=1)


def _top(sheet: Worksheet, head: Sequence[str], columns: Sequence[Column], language: Language) -> int:
    """Write the lines above a table and its headings, which stay in view, and return the first row of the table."""
    widths = [column.width for column in columns]
    put_head(sheet, head, widths)
    row = len(head) + 1
    put_headings(sheet, row, [column.heading(language) for column in columns], widths)
    set_widths(sheet, widths)
    sheet.freeze_panes = f"{'B' if columns is SEGMENT_COLUMNS else 'D'}{row + 1}"
    return row + 1


def _line(sheet: Worksheet, number: int, values: Sequence[Cell], columns: Sequence[Column]) -> None:
    for place, column in enumerate(columns, 1):
        if place <= len(values) or column.person:
            cell = put(sheet, number, place, values[place - 1] if place <= len(values) else None)
            cell.alignment, cell.border = TEXT, GRID
            if column.person:
                cell.fill = _YELLOW


def _check(
    sheet: Worksheet,
    kind: Literal["list", "decimal"],
    formula: str,
    upper: str | None = None,
    *,
    cells: Sequence[str],
    hint: str,
    operator: Literal["between", "greaterThanOrEqual"] | None = None,
    style: Literal["stop", "warning"] = "stop",
) -> list[DataValidation]:
    """Add and return data validation, split into rules of so many ranges as spreadsheets can handle."""
    added = []
    for begin in range(0, len(cells), _RANGES_A_RULE):
        check = DataValidation(
            type=kind,
            formula1=formula,
            formula2=upper,
            operator=operator,
            allow_blank=True,
            showErrorMessage=True,
            errorStyle=style,
            errorTitle="urbanpipe",
            error=hint,
            sqref=" ".join(cells[begin : begin + _RANGES_A_RULE]),
        )
        sheet.add_data_validation(check)
        added.append(check)
    return added
