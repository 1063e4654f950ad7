"""Cells of CSV files: text that no spreadsheet runs as a formula, and that is read back exactly.

A file may be called `=HYPERLINK(...).mp4`, and a class `-x`. Such a text is written with an apostrophe before it, and a
spreadsheet takes it for text. A text with apostrophes before such a beginning gets another one, so that reading can
remove one. Numbers and a lone `-` are harmless and stay as they are.
"""

import csv
import re
from collections.abc import Iterable, Sequence
from numbers import Number
from pathlib import Path
from typing import IO

_STARTS = "=+-@＝＋－＠\t\r\n"
_FORMULA = re.compile(rf"'*[{re.escape(_STARTS)}]")
_HARMLESS = re.compile(r"-|[+-]\d+([.]\d*)?(e[+-]?\d+)?", re.ASCII)


def starts_formula(text: str) -> bool:
    """Return whether a spreadsheet may interpret the text as a formula."""
    return text.startswith(tuple(_STARTS))


def safe_cell(text: str) -> str:
    """Return the cell of a text; `original_text` returns the text.

    >>> [safe_cell(text) for text in ("=1+1", "-x.mp4", "'-x", "it's", "-", "-1.5")]
    ["'=1+1", "'-x.mp4", "''-x", "it's", '-', '-1.5']
    """
    return f"'{text}" if _FORMULA.match(text) and not _HARMLESS.fullmatch(text) else text


def original_text(cell: str) -> str:
    """Return the text of a cell, also of one that was written as it is.

    >>> [original_text(cell) for cell in ("'=1+1", "=1+1", "''-x", "'x")]
    ['=1+1', '=1+1', "'-x", "'x"]
    """
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


class _UnixLines:
    r"""A file for `csv.writer`, which quotes a lone `\r` only if its lines end in `\r\n`."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, line: str) -> None:
        self._file.write(line.removesuffix("\r\n") + "\n")


def write_rows(file: IO[str], rows: Iterable[Iterable[object]]) -> None:
    """Write rows as CSV, with Unix line ends and quotes where a cell needs them; only texts are made safe."""
    writer = csv.writer(_UnixLines(file), lineterminator="\r\n")
    for row in rows:
        writer.writerow([cell if cell is None or isinstance(cell, Number) else safe_cell(str(cell)) for cell in row])


def read_rows(path: Path, columns: Sequence[str]) -> list[list[str]]:
    """Return the cells of some columns, row by row, of a UTF-8 file that `write_rows` wrote.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not such a file, or a column is missing.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file, strict=True)
        indices = [header.index(column) for column in columns]
        return [[original_text(row[index]) for index in indices] for row in rows]
    except (csv.Error, IndexError) as error:
        raise ValueError(f"{path} is not such a table: {error}") from error
