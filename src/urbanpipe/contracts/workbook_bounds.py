"""Refuse workbooks that are damaged, protected or far larger than a person's table, before they are parsed.

A small file can hold a sheet that takes minutes and gigabytes to parse. All limits are on what the parser has to do, so
that a refusal does not depend on the speed of the machine.
"""

from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile, ZipInfo

from urbanpipe.errors import InspectionError, UrbanpipeError

MAX_ROWS = 50_000
MAX_COLUMNS = 64
MAX_FILES = 1_000
MAX_BYTES = 128 * 2**20
"""Uncompressed size of all files in the workbook."""
MAX_MARKUP = 6_000_000
"""Number of `<` in all files in the workbook; a cell with a value has four."""
_OLE = bytes.fromhex("d0cf11e0a1b11ae1")
_CHUNK = 2**20


def check_workbook(path: Path, error: type[UrbanpipeError] = InspectionError) -> None:
    """Read all of a workbook once without parsing it; its checksums are verified on the way.

    Args:
        path: the file.
        error: the kind of error to raise.

    Raises:
        UrbanpipeError: the file cannot be read, is not a workbook, is damaged, or is too large to be one that a person
            filled in.
    """
    try:
        _check_start(path, error)
        with ZipFile(path) as archive:
            _check_files(path, archive, error)
    except UrbanpipeError:
        raise
    except OSError as problem:
        raise error(f"cannot read the table {path}: {problem.strerror or problem}") from problem
    except Exception as problem:  # zipfile raises many kinds of errors for damaged files
        raise not_a_workbook(path, problem, error) from problem


def not_a_workbook(path: Path, problem: Exception, error: type[UrbanpipeError] = InspectionError) -> UrbanpipeError:
    """Return the error for a file that cannot be parsed, in one line."""
    reason = " ".join(str(problem).split())[:200]
    return error(
        f"{path} is not an Excel workbook (.xlsx), or is damaged: {type(problem).__name__}: {reason}; "
        "open it in a spreadsheet program and save it again"
    )


def too_large(path: Path, what: str, error: type[UrbanpipeError] = InspectionError) -> UrbanpipeError:
    """Return the error for a workbook that exceeds a limit."""
    return error(f"{path} has {what}; keep only the sheets with your table")


def _check_start(path: Path, error: type[UrbanpipeError]) -> None:
    with path.open("rb") as file:
        if file.read(len(_OLE)) == _OLE:
            raise error(f"{path} is an old .xls file or protected by a password; save it as .xlsx without a password")


def _check_files(path: Path, archive: ZipFile, error: type[UrbanpipeError]) -> None:
    files = archive.infolist()
    if len(files) > MAX_FILES:
        raise too_large(path, f"{len(files):,} files inside", error)
    if (size := sum(file.file_size for file in files)) > MAX_BYTES:
        raise too_large(path, f"{size / 2**20:,.0f} MB of content, more than {MAX_BYTES // 2**20}", error)
    markup = 0
    for file in files:
        for chunk in _chunks(archive, file):
            markup += chunk.count(b"<")
            if markup > MAX_MARKUP:
                what = f"far more cells than a table that a person fills in (over {MAX_MARKUP:,} tags)"
                raise too_large(path, what, error)


def _chunks(archive: ZipFile, file: ZipInfo) -> Iterator[bytes]:
    with archive.open(file) as stream:
        while chunk := stream.read(_CHUNK):
            yield chunk
