"""Read a table from an Excel workbook (.xlsx) as text, as its cells show it."""

import warnings
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from urbanpipe.contracts.csv_reading import checked_header, folded_header, read_table
from urbanpipe.contracts.workbook_bounds import check_workbook, not_a_workbook
from urbanpipe.csv_cells import original_text
from urbanpipe.errors import LabelError
from urbanpipe.text_files import read_text

_MAX_COLUMNS = 512
_MAX_BLANK_ROWS = 10_000
_MAGIC = b"PK\x03\x04"


def is_workbook(path: Path) -> bool:
    """Return whether a file is a ZIP archive, as .xlsx files are, whatever its name."""
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def read_table_file(path: Path, column: str) -> tuple[list[str], Iterator[tuple[int, dict[str, str]]]]:
    """Return the header and the numbered rows of a table that is a workbook or CSV text; see `read_table`.

    Raises:
        LabelError: the file cannot be read, or is no table with this column.
    """
    return read_workbook(path, column) if is_workbook(path) else read_table(read_text(path), path, column)


def read_workbook(path: Path, column: str) -> tuple[list[str], Iterator[tuple[int, dict[str, str]]]]:
    """Return header and rows, with their numbers, of the first sheet whose first filled row names `column`.

    Raises:
        LabelError: it is not a workbook, is too large, has no such sheet, or a cell holds a formula or an error.
    """
    tables = _filled_sheets(path)
    for title, rows in tables.items():
        header = folded_header([text for text in rows[0][1] if text], column)
        if column in header:
            return checked_header(header, path), _table(rows, title, path, column)
    raise LabelError(f"{path} has no sheet with the column {column!r} in its first row")


def _table(
    rows: Sequence[tuple[int, list[str]]], title: str, path: Path, column: str
) -> Iterator[tuple[int, dict[str, str]]]:
    header = folded_header(rows[0][1], column)
    for number, cells in rows[1:]:
        cells = cells + [""] * (len(header) - len(cells))
        if any(cell for cell, name in zip(cells, header, strict=False) if not name) or any(cells[len(header) :]):
            raise LabelError(f"{path}, line {number} of sheet {title!r}: a cell has no heading in the first row")
        yield number, {name: original_text(cell) for name, cell in zip(header, cells, strict=False) if name}


def _filled_sheets(path: Path) -> dict[str, list[tuple[int, list[str]]]]:
    """Return the filled rows of each sheet that has any."""
    from openpyxl import load_workbook  # a tenth of a second, which most programs do not need

    try:
        check_workbook(path, LabelError)
        with warnings.catch_warnings(), path.open("rb") as file:
            warnings.simplefilter("ignore")  # about parts that openpyxl does not know
            book = load_workbook(file, read_only=True)  # of a path it would check the name
            sheets = {sheet.title: list(_rows(sheet, path)) for sheet in book.worksheets}
    except LabelError:
        raise
    except Exception as error:  # openpyxl raises many kinds of errors for damaged files
        raise not_a_workbook(path, error, LabelError) from error
    return {title: rows for title, rows in sheets.items() if rows}


def _rows(sheet: Any, path: Path) -> Iterator[tuple[int, list[str]]]:
    sheet.reset_dimensions()  # the dimensions stored in a file may be wrong
    blank = 0
    for number, cells in enumerate(sheet.iter_rows(max_col=_MAX_COLUMNS), 1):
        texts = [_text(cell, f"{path}, line {number} of sheet {sheet.title!r}") for cell in cells]
        while texts and not texts[-1]:
            texts.pop()
        blank = 0 if texts else blank + 1
        if blank > _MAX_BLANK_ROWS:
            raise LabelError(f"{path}, sheet {sheet.title!r}: {blank} empty rows; delete them")
        if texts:
            yield number, texts


def _text(cell: Any, where: str) -> str:
    if cell.data_type in ("f", "e"):
        what = "the formula" if cell.data_type == "f" else "the error"
        raise LabelError(f"{where} holds {what} {str(cell.value)[:40]}; write the value itself")
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime | date):
        return value.strftime("%Y-%m-%d")
    if isinstance(value, time):
        return value.strftime("%H:%M")
    return str(value).strip()
