"""CSV safety: tables that are safe to open in a spreadsheet."""

import filecmp
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from urbanpipe.csv_cells import write_rows
from urbanpipe.errors import InspectionError
from urbanpipe.outputs import whole_file, whole_path


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return CSV without formulas; see `write_rows`."""
    file = io.StringIO()
    write_rows(file, (header, *rows))
    return file.getvalue()


def write_new(path: Path, content: str | bytes) -> None:
    """Write a table that people may edit, and never replace one with other content; text as UTF-8.

    Raises:
        InspectionError: a file with other content exists; a CSV does not show whether a person edited it.
        OutputError: the table cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    if path.is_file() and path.read_bytes() != data:
        raise _may_hold_work(path)
    with whole_file(path, "wb") as file:
        file.write(data)


@contextmanager
def new_table(path: Path) -> Iterator[IO[str]]:
    """Yield an open file that becomes `path` when the block ends, as `write_new` does, for long tables.

    Raises:
        InspectionError: a file with other content exists.
        OutputError: the table cannot be written.
    """
    with whole_path(path) as temporary:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            yield file
        if path.is_file() and not filecmp.cmp(path, temporary, shallow=False):
            raise _may_hold_work(path)


def _may_hold_work(path: Path) -> InspectionError:
    return InspectionError(f"{path} exists and may contain a person's work; give another --out, or delete it yourself")


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
