"""Cells of tables that people open in a spreadsheet."""

import csv
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from urbanpipe.errors import InspectionError
from urbanpipe.outputs import write_text

_FORMULA_STARTS = tuple("=+-@＝＋－＠\t\r\n")


def starts_formula(text: str) -> bool:
    """Whether a spreadsheet may take the text for a formula: a file may be called `=HYPERLINK(...).mp4`."""
    return text.startswith(_FORMULA_STARTS)


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """CSV in which no text is a formula: one that would be gets an apostrophe, which spreadsheets take for "text"."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    for row in (header, *rows):
        writer.writerow([f"'{cell}" if isinstance(cell, str) and starts_formula(cell) else cell for cell in row])
    return file.getvalue()


def write_new(path: Path, text: str) -> None:
    """Write a table that people may go on working in: never over one that says something else.

    Raises:
        InspectionError: there is another file of this name; nothing in a CSV tells whether a person worked in it.
        OutputError: it cannot be written.
    """
    data = text.encode()
    if path.is_file() and path.read_bytes() != data:
        raise InspectionError(
            f"{path} is there and may hold a person's work; give another --out, or delete it yourself"
        )
    write_text(path, text)


def minutes(seconds: float) -> str:
    """`mm:ss.s`; minutes go on beyond 99."""
    tenths = int(seconds * 10 + 0.5)
    return f"{tenths // 600:02d}:{tenths % 600 // 10:02d}.{tenths % 10}"


def relative(path: Path, folder: Path) -> str:
    """`path` as seen from `folder`, with forward slashes; absolute where there is no such way (another drive)."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:
        return path.absolute().as_posix()
