"""Tamper check: detect whether a workbook was edited since its export, so that a person's grades are never lost."""

import hashlib
import warnings
from pathlib import Path
from typing import Any

from openpyxl import Workbook, load_workbook
from openpyxl.packaging.custom import StringProperty

from urbanpipe.contracts.workbook_bounds import MAX_COLUMNS, MAX_ROWS, check_workbook
from urbanpipe.errors import InspectionError

_NAME = "urbanpipe export"


def add_tamper_check(book: Workbook) -> None:
    """Store a digest of all cells in the workbook's properties, which spreadsheets keep when they save it."""
    book.properties.creator = "urbanpipe"
    properties: Any = book
    properties.custom_doc_props.append(StringProperty(name=_NAME, value=_digest(book)))


def refuse_if_touched(path: Path) -> None:
    """Refuse to replace a file that is not an unmodified export.

    Raises:
        InspectionError: the file is something else, a cell or a comment was changed, or a spreadsheet saved it.
    """
    if path.exists() and not _untouched(path):
        raise InspectionError(
            f"{path} exists and may contain a person's work; give another --out, or delete it yourself"
        )


def _untouched(path: Path) -> bool:
    try:
        check_workbook(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with path.open("rb") as file:
                book: Any = load_workbook(file)
        if any(sheet.max_row > MAX_ROWS or sheet.max_column > MAX_COLUMNS for sheet in book.worksheets):
            return False  # a single far cell would make the comparison endless
        stored = {one.name: one.value for one in book.custom_doc_props.props}.get(_NAME)
        return stored == _digest(book) and not book.properties.lastModifiedBy
    except Exception:  # openpyxl raises many kinds of errors for damaged files, which are not exports
        return False


def _digest(book: Workbook) -> str:
    """Hash all values and comments with their positions; 1 and 1.0 count as equal."""
    digest = hashlib.sha256()
    for sheet in book.worksheets:
        digest.update(f"sheet {sheet.title}\n".encode())
        for row in sheet.iter_rows():
            for cell in row:
                value = float(cell.value) if isinstance(cell.value, int | float) else cell.value
                if value not in (None, "") or cell.comment:
                    digest.update(f"{cell.coordinate}={value!r}#{cell.comment and cell.comment.text}\n".encode())
    return digest.hexdigest()
