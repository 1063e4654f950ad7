"""The CJJ 181 table as a workbook: a sheet of defects, one of segments, and the grades and choices to select from."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from openpyxl import Workbook
from openpyxl.cell import Cell as SheetCell
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.worksheet import Worksheet

from urbanpipe.contracts.inspection_data import DIAMETER_MILLIMETRES, LENGTH_METRES
from urbanpipe.contracts.workbook_bounds import MAX_ROWS
from urbanpipe.csv_cells import starts_formula
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
from urbanpipe.outputs import whole_path

Cell = str | int | float | None
MAX_EXPORTED_ROWS = MAX_ROWS - 1_000  # `condition` must be able to read the table with the rows that a person adds
_MAX_LINKS = 60_000  # Excel "repairs" (damages) a sheet with more than 65,530 links
_SPARE_ROWS = 200
_RANGES_A_RULE = 200
_NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_YELLOW = PatternFill("solid", fgColor="FFF8DC")
_GREY = PatternFill("solid", fgColor="E4E7EA")
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
) -> None:
    """Write the workbook.

    Args:
        out: the file.
        rows: cells of the sheet of defects, in the order of its columns.
        segments: proposed name of every segment, and the video that it was proposed for.
        head: lines above the table of defects.
        rules: grades and choices.
        language: first language of the headings, `en` or `zh`; the other one follows.

    Raises:
        InspectionError: the file exists and is not an unmodified export.
        OutputError: the file cannot be written.
    """
    refuse_if_touched(out)
    book = Workbook()
    first = book.worksheets[0]
    first.title = DEFECTS
    _defects(first, rows, head, rules=rules, language=language, named=len(segments))
    regions, soils = _choices(book.create_sheet(CHOICES), rules, language)
    _segments(book.create_sheet(SEGMENTS, 1), segments, (regions, soils), language)
    _grades(book.create_sheet(GRADES, 2), rules, language)
    add_tamper_check(book)
    with whole_path(out) as temporary:
        book.save(temporary)


def put(sheet: Worksheet, row: int, column: int, value: Cell) -> SheetCell:
    """Set a cell so that text stays text: neither a formula nor an error, even after a person edits it."""
    cell = sheet.cell(row, column)
    assert isinstance(cell, SheetCell), "nothing is merged"
    if isinstance(value, str):
        cell.value = _NOT_IN_XML.sub("\ufffd", value)
        cell.data_type = "s"
        cell.quotePrefix = starts_formula(value)
    else:
        cell.value = value
    return cell


def _defects(
    sheet: Worksheet,
    rows: Sequence[Sequence[Cell]],
    head: Sequence[str],
    *,
    rules: Rules,
    language: Language,
    named: int,
) -> None:
    first = _top(sheet, head, DEFECT_COLUMNS, language)
    end = first + len(rows) + _SPARE_ROWS - 1
    for number in range(first, end + 1):
        _line(sheet, number, rows[number - first] if number - first < len(rows) else [], DEFECT_COLUMNS)
    _links(sheet, rows, first)
    sheet.auto_filter.ref = f"A{first - 1}:{_KEYS['remark']}{end}"
    _grade_rules(sheet, [row[list(_KEYS).index("code")] for row in rows], first, rules)
    for key in ("distance", "length"):
        _check(
            sheet,
            "decimal",
            "0",
            cells=[f"{_KEYS[key]}{first}:{_KEYS[key]}{end}"],
            hint="metres, from 0",
            operator="greaterThanOrEqual",
        )
    names = f"{SEGMENTS}!$A${_SEGMENTS_FROM}:$A${_SEGMENTS_FROM + named + _SPARE_ROWS - 1}"
    _check(sheet, "list", names, cells=[f"A{first}:A{end}"], hint="a segment of the sheet 'segment'")


def _links(sheet: Worksheet, rows: Sequence[Sequence[Cell]], first: int) -> None:
    """Link the cells of the picture column to the picture files."""
    column = list(_KEYS).index("picture")
    for number, row in enumerate(rows[:_MAX_LINKS], first):
        link = row[column]
        if isinstance(link, str):
            cell = put(sheet, number, column + 1, link)
            cell.hyperlink = quote(link)
            cell.font = Font(color="1F5FA8", underline="single")


def _grade_rules(sheet: Worksheet, codes: Sequence[Cell], first: int, rules: Rules) -> None:
    """Offer in each row the grades of its class, and all grades in rows that a person adds."""
    ranges: defaultdict[int, list[str]] = defaultdict(list)
    column, number = _KEYS["grade"], first
    for grades, run in groupby(_grades_of(code, rules) for code in codes):
        length = len(list(run))
        ranges[grades].append(f"{column}{number}:{column}{number + length - 1}")
        number += length
    ranges[max(rule.grades for rule in rules.classes)].append(f"{column}{number}:{column}{number + _SPARE_ROWS - 1}")
    for grades, cells in ranges.items():
        options = [*map(str, range(1, grades + 1)), STRUCK]
        if grades:
            hint = f"grades of the proposed class: {' '.join(options)}. Continue if you corrected the code."
            _check(sheet, "list", f'"{",".join(options)}"', cells=cells, hint=hint, style="warning")


def _grades_of(code: Cell, rules: Rules) -> int:
    rule = rules.by_code.get(str(code))
    return rule.grades if rule else 0


def _segments(
    sheet: Worksheet, segments: Sequence[Sequence[Cell]], choices: tuple[str, str], language: Language
) -> None:
    first = _top(sheet, [word("segments", language)], SEGMENT_COLUMNS, language)
    assert first == _SEGMENTS_FROM, "the sheet of defects offers the names from here"
    end = first + len(segments) + _SPARE_ROWS - 1
    for number in range(first, end + 1):
        _line(sheet, number, segments[number - first] if number - first < len(segments) else [], SEGMENT_COLUMNS)
    letters = {column.key: get_column_letter(number) for number, column in enumerate(SEGMENT_COLUMNS, 1)}
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
    _widths(sheet, (64, 10))
    meaning, diameter = word("meaning", language), word("diameter", language)
    regions = [(one.label(language), one.value) for one in rules.regions]
    soils = [(one.label(language), one.value) for one in rules.soils]
    pipes = [(_limit(one), one.value) for one in rules.diameters]
    ranges, row = [], 1
    for title, lines in ((f"K: {meaning}", regions), (f"T: {meaning}", soils), (f"E: {diameter}", pipes)):
        _headings(sheet, row, (title, word("value", language)))
        for number, (text, value) in enumerate(lines, row + 1):
            put(sheet, number, 1, text)
            put(sheet, number, 2, float(value))
        ranges.append(f"{CHOICES}!$A${row + 1}:$A${row + len(lines)}")
        row += len(lines) + 2
    return ranges[0], ranges[1]


def _limit(rule: Diameter) -> str:
    if rule.above is not None:
        return f"> {rule.above}"
    return "..." if rule.at_least is None else f">= {rule.at_least}"


def _grades(sheet: Worksheet, rules: Rules, language: Language) -> None:
    """Write the meaning and the score of each grade of each class."""
    _widths(sheet, (8, 14, 9, 52, 22))
    keys = ("code", "kind", "grade")
    headings = [column.heading(language) for column in DEFECT_COLUMNS if column.key in keys]
    _headings(sheet, 1, (*headings, word("meaning", language), word("score", language)))
    number = 2
    for rule in rules.classes:
        for grade, text in enumerate(rule.criteria, 1):
            score: Cell = float(rule.scores[grade - 1]) if rule.scores else word("recorded", language)
            for place, value in enumerate((rule.code, word(rule.kind, language), grade, text.in_(language), score), 1):
                put(sheet, number, place, value)
            number += 1
    sheet.freeze_panes = "A2"


def _top(sheet: Worksheet, head: Sequence[str], columns: Sequence[Column], language: Language) -> int:
    """Write the lines above a table and its headings, which stay in view, and return the first row of the table."""
    for number, text in enumerate(head, 1):
        put(sheet, number, 1, text).font = Font(bold=number == 1, color="A61B1B" if number < len(head) else "333333")
    row = len(head) + 1
    _headings(sheet, row, [column.heading(language) for column in columns])
    _widths(sheet, [column.width for column in columns])
    sheet.freeze_panes = f"{'D' if columns is DEFECT_COLUMNS else 'B'}{row + 1}"
    return row + 1


def _headings(sheet: Worksheet, row: int, texts: Iterable[str]) -> None:
    for number, text in enumerate(texts, 1):
        cell = put(sheet, row, number, text)
        cell.font, cell.fill, cell.alignment = Font(bold=True), _GREY, Alignment(wrap_text=True, vertical="top")


def _line(sheet: Worksheet, number: int, values: Sequence[Cell], columns: Sequence[Column]) -> None:
    for place, column in enumerate(columns, 1):
        if place <= len(values) or column.person:
            cell = put(sheet, number, place, values[place - 1] if place <= len(values) else None)
            if column.person:
                cell.fill = _YELLOW


def _widths(sheet: Worksheet, widths: Iterable[int]) -> None:
    for number, width in enumerate(widths, 1):
        sheet.column_dimensions[get_column_letter(number)].width = width


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
) -> None:
    """Add data validation; split into several rules, since spreadsheets cannot handle one with thousands of ranges."""
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
