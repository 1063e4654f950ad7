"""Refuse workbooks that are damaged, protected or far larger than a table of a person, before they are parsed.

A small file can hold a sheet that takes minutes and gigabytes to parse. All limits are on what the parser has to do, so
that a refusal does not depend on the speed of the machine.
"""

from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile, ZipInfo

from urbanpipe.errors import InspectionError

MAX_ROWS = 50_000
MAX_COLUMNS = 64
MAX_FILES = 1_000
MAX_BYTES = 128 * 2**20
"""Uncompressed size of all files in the workbook."""
MAX_MARKUP = 6_000_000
"""Number of `<` in all files in the workbook; a cell with a value has four."""
_OLE = bytes.fromhex("d0cf11e0a1b11ae1")
_CHUNK = 2**20
_KEPT = "keep only the sheets of the export, with at most {rows:,} rows"


def check_workbook(path: Path) -> None:
    """Read all of a workbook once without parsing it; its checksums are verified on the way.

    Raises:
        InspectionError: the file cannot be read, is not a workbook, is damaged, or is too large to be one that a person
            filled in.
    """
    try:
        _check_start(path)
        with ZipFile(path) as archive:
            _check_files(path, archive)
    except InspectionError:
        raise
    except OSError as error:
        raise InspectionError(f"cannot read the table {path}: {error.strerror or error}") from error
    except Exception as error:  # zipfile raises many kinds of errors for damaged files
        raise not_a_workbook(path, error) from error


def not_a_workbook(path: Path, error: Exception) -> InspectionError:
    """Return the error for a file that cannot be parsed, in one line."""
    reason = " ".join(str(error).split())[:200]
    return InspectionError(
        f"{path} is not an Excel workbook (.xlsx), or is damaged: {type(error).__name__}: {reason}; "
        "open it in a spreadsheet program and save it again"
    )


def too_large(path: Path, what: str) -> InspectionError:
    """Return the error for a workbook that exceeds a limit."""
    return InspectionError(f"{path} has {what}; {_KEPT.format(rows=MAX_ROWS)}")


def _check_start(path: Path) -> None:
    with path.open("rb") as file:
        if file.read(len(_OLE)) == _OLE:
            raise InspectionError(
                f"{path} is an old .xls file or protected by a password; save it as .xlsx without a password"
            )


def _check_files(path: Path, archive: ZipFile) -> None:
    files = archive.infolist()
    if len(files) > MAX_FILES:
        raise too_large(path, f"{len(files):,} files inside")
    if (size := sum(file.file_size for file in files)) > MAX_BYTES:
        raise too_large(path, f"{size / 2**20:,.0f} MB of content, more than {MAX_BYTES // 2**20}")
    markup = 0
    for file in files:
        for chunk in _chunks(archive, file):
            markup += chunk.count(b"<")
            if markup > MAX_MARKUP:
                raise too_large(path, f"far more cells than a table that a person fills in (over {MAX_MARKUP:,} tags)")


def _chunks(archive: ZipFile, file: ZipInfo) -> Iterator[bytes]:
    with archive.open(file) as stream:
        while chunk := stream.read(_CHUNK):
            yield chunk
