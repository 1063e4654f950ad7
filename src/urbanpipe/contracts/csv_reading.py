"""Read CSV tables written by people: with a header, separated by comma, semicolon or tab."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from urbanpipe.csv_cells import original_text
from urbanpipe.errors import LabelError


def read_table(text: str, path: Path, column: str) -> tuple[list[str], Iterator[tuple[int, dict[str, str]]]]:
    """Return the header and an iterator of (line number, cells by column) of CSV text.

    The separator is whichever of comma, semicolon and tab makes `column` appear in the header.

    Raises:
        LabelError: the header lacks the column or repeats one, or (while iterating) a row is longer or shorter than
            the header.
    """
    first = re.split(r"[\r\n]", text, maxsplit=1)[0][:10_000]
    headers = {mark: folded_header(next(csv.reader([first], delimiter=mark), []), column) for mark in ",;\t"}
    mark = next((mark for mark, header in headers.items() if column in header), ",")
    header = headers[mark]
    if column not in header:
        raise LabelError(f"{path}: no column {column!r} in the first line {first.strip()[:80]!r}")
    return checked_header(header, path), _table_rows(text, path, mark, header)


def folded_header(cells: Sequence[str], column: str) -> list[str]:
    """Return the names of columns without surrounding spaces; `column` may have any case."""
    return [column if cell.strip().casefold() == column else original_text(cell.strip()) for cell in cells]


def checked_header(header: list[str], path: Path) -> list[str]:
    """Return the header if no column occurs twice.

    Raises:
        LabelError: a column occurs twice.
    """
    if twice := sorted(cell for cell, count in Counter(header).items() if count > 1):
        raise LabelError(f"{path}: the first line has the column {twice[0]!r} twice")
    return header


def _table_rows(text: str, path: Path, mark: str, header: list[str]) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
    try:
        next(reader)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise LabelError(
                    f"{path}, line {reader.line_num}: {len(cells)} cells, but the first line has {len(header)}"
                )
            yield reader.line_num, dict(zip(header, map(original_text, cells), strict=True))
    except csv.Error as error:
        raise LabelError(f"{path}, line {reader.line_num}: not CSV: {error}") from error
