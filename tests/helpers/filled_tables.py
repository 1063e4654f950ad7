"""CJJ 181 tables as a person leaves them, for tests of what reads them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from openpyxl import Workbook

from urbanpipe.exports.columns import DEFECT_COLUMNS, DEFECTS, SEGMENT_COLUMNS, SEGMENTS, Column

Values = Mapping[str, object]


def segment(name: str = "S1", **changes: object) -> dict[str, object]:
    """A row of the sheet of segments, complete."""
    values = {"length": 40, "diameter": 800, "region": "centre", "soil": "general", "reviewer": "Wang Li"}
    return {"segment": name, **values, **changes}


def defect(code: str, grade: object, distance: object, length: object = None, name: object = "S1") -> dict[str, object]:
    """A row of the sheet of defects."""
    return {"segment": name, "code": code, "grade": grade, "distance": distance, "length": length}


def filled_table(path: Path, segments: Sequence[Values], defects: Sequence[Values]) -> Path:
    """Write a table with a line above its headings, as an export has."""
    book = Workbook()
    for title, columns, rows in ((DEFECTS, DEFECT_COLUMNS, defects), (SEGMENTS, SEGMENT_COLUMNS, segments)):
        _fill(book, title, columns, rows)
    book.remove(book.worksheets[0])
    book.save(path)
    return path


def _fill(book: Workbook, title: str, columns: Sequence[Column], rows: Sequence[Values]) -> None:
    sheet = book.create_sheet(title)
    sheet.append(["a line that says what this is"])
    sheet.append([column.heading("zh") for column in columns])
    for row in rows:
        sheet.append([row.get(column.key) for column in columns])
