"""CSV safety: tables that are safe to open in a spreadsheet."""

import csv
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from urbanpipe.errors import InspectionError
from urbanpipe.outputs import write_text

_FORMULA_STARTS = tuple("=+-@＝＋－＠\t\r\n")


def starts_formula(text: str) -> bool:
    """Return whether a spreadsheet may interpret the text as a formula: a file may be called `=HYPERLINK(...).mp4`."""
    return text.startswith(_FORMULA_STARTS)


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return CSV without formulas: a text that could be one gets an apostrophe, which spreadsheets read as "text"."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    for row in (header, *rows):
        writer.writerow([f"'{cell}" if isinstance(cell, str) and starts_formula(cell) else cell for cell in row])
    return file.getvalue()


def write_new(path: Path, text: str) -> None:
    """Write a table that people may edit, and never replace one with other content.

    Raises:
        InspectionError: a file with other content exists; a CSV does not show whether a person edited it.
        OutputError: the table cannot be written.
    """
    data = text.encode()
    if path.is_file() and path.read_bytes() != data:
        raise InspectionError(
            f"{path} exists and may contain a person's work; give another --out, or delete it yourself"
        )
    write_text(path, text)


def minutes(seconds: float) -> str:
    """Format a time as `mm:ss.s`; minutes may exceed 99."""
    tenths = int(seconds * 10 + 0.5)
    return f"{tenths // 600:02d}:{tenths % 600 // 10:02d}.{tenths % 10}"


def relative(path: Path, folder: Path) -> str:
    """Return `path` relative to `folder`, with forward slashes; absolute if that is impossible (another drive)."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:
        return path.absolute().as_posix()
