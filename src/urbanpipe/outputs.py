"""Result files, written whole or not at all.

A result is written to a temporary file in its own folder and renamed into place when it is complete and on disk.
Whatever goes wrong before that (full disk, kill, read-only folder), no half-written file carries the name of a result.
"""

import errno
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from unicodedata import category

from urbanpipe.csv_cells import write_rows
from urbanpipe.errors import OutputError
from urbanpipe.platform_support import MAX_WINDOWS_PATH, is_too_long, retried

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "no permission to write here",
    errno.EPERM: "no permission to write here",
    errno.EFBIG: "the file would be larger than allowed here",
    errno.ENOTDIR: "a part of this path is a file, not a folder",
    errno.EEXIST: "a file of this name exists where a folder is needed",
    errno.EISDIR: "a folder of this name exists where a file is needed",
    errno.ENAMETOOLONG: "the path is too long",
}


def _explained(path: Path, error: OSError) -> OutputError:
    reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
    if is_too_long(path):
        reason = f"the path has more than {MAX_WINDOWS_PATH} characters, and Windows is not set up for long paths"
    return OutputError(f"cannot write {path}: {reason}; choose another --out or free some space there")


@contextmanager
def whole_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, and rename it to `path` when the block ends without an error.

    Raises:
        OutputError: the folder or file cannot be written; `path` is as it was before.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.", suffix=path.suffix[:16])
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("r+b") as file:  # Windows writes only files that are open for writing to disk
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        put_in_place(temporary, path)
    except OSError as error:
        raise _explained(path, error) from error
    finally:
        if temporary is not None:
            remove_quietly(temporary)


def put_in_place(made: Path, path: Path) -> None:
    """Rename a complete file to `path`, in place of an earlier one, or a folder to a path that does not exist.

    On Windows, which does not replace a file that another program has open, it is tried again for 1.6 s.

    Raises:
        OutputError: `path` is write-protected, or another program keeps it open; it is as it was before.
        OSError: it cannot be renamed for another reason.
    """
    try:
        retried(lambda: made.replace(path))
    except PermissionError as error:
        if made.is_file() and path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)) from error
        raise OutputError(
            f"cannot write {path}: another program has it open, or it is write-protected; close it there, then run the "
            "same command again"
        ) from error


def remove(path: Path) -> None:
    """Remove a file, if there is one, that must not stay.

    On Windows, which does not remove a file that another program has open, it is tried again for 1.6 s.

    Raises:
        OutputError: it cannot be removed.
    """
    try:
        retried(lambda: path.unlink(missing_ok=True))
    except OSError as error:
        raise OutputError(f"cannot remove {path}: {error.strerror}; remove it by hand") from error


def remove_quietly(path: Path) -> None:
    """Remove a file that nobody needs; it stays if another program keeps it open."""
    with suppress(OutputError):
        remove(path)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path` that replaces `path` when the block ends without an error.

    Raises:
        OutputError: a folder cannot be made or renamed, or it has the working folder in it; `path` is as it was before.
    """
    check_replaceable(path)
    path = Path(os.path.abspath(path))  # noqa: PTH100 - `resolve` would follow links
    output_folder(path.parent)
    fresh, old = (path.with_name(f".{path.name}.{which}") for which in ("new", "old"))
    with explained(path):
        for left in (fresh, old):  # left over from a call that was killed
            shutil.rmtree(left, ignore_errors=True)
        fresh.mkdir()
    try:
        yield fresh
        with explained(path):
            if path.exists():
                put_in_place(path, old)
            try:
                put_in_place(fresh, path)
            except BaseException:
                if old.exists():
                    put_in_place(old, path)
                raise
    finally:
        for left in (fresh, old):
            shutil.rmtree(left, ignore_errors=True)


def check_replaceable(path: Path) -> None:
    """Refuse a folder that `whole_folder` cannot replace: programs would go on in a working folder that is deleted.

    Raises:
        OutputError: `path` is the working folder, or has it in it.
    """
    with explained(path):
        working = Path.cwd()
    if path.exists() and working.is_relative_to(path.resolve()):
        raise OutputError(
            f"cannot write {path}: the working folder is in it and cannot be replaced; give the name of a new folder"
        )


def is_out_of_space(error: OutputError) -> bool:
    """Return whether a result could not be written for a reason that also holds for all others."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an OSError raised in the block into an OutputError about `path`."""
    try:
        yield
    except OSError as error:
        raise _explained(path, error) from error


def reserve(path: Path, size_bytes: int) -> None:
    """Allocate the full size of a file on disk, so that writing to a memory map of it cannot run out of disk space.

    Running out of space inside a memory map would kill the process.

    Raises:
        OutputError: there is not enough space, or it cannot be written.
    """
    with explained(path), path.open("r+b") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size_bytes)
            return
        file.seek(0, os.SEEK_END)
        while file.tell() < size_bytes:
            file.write(bytes(min(1 << 20, size_bytes - file.tell())))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextmanager
def whole_file(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Yield an open file, UTF-8 where `mode` is text, that becomes `path` when the block ends without an error."""
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
    with whole_path(path) as temporary, temporary.open(mode, **text) as file:  # type: ignore[call-overload]
        yield file


def plain_text(text: str) -> str:
    r"""Return text of others for a terminal, on one line: control and format characters are escaped.

    Escape sequences could otherwise recolour or erase a terminal, line ends forge a line, and bidirectional controls
    reorder what is shown.

    >>> plain_text("a\x1b[31m\nb")
    'a\\x1b[31m\\nb'
    """
    return "".join(mark if mark.isprintable() or category(mark) == "Zs" else ascii(mark)[1:-1] for mark in text)


def markdown_text(text: str) -> str:
    r"""Return text of others for Markdown, on one line: it cannot become HTML, a link, a picture or a table's border.

    >>> markdown_text("a|<b>[x](y) < 1")
    'a\\|\\<b>[x]\\(y) < 1'
    """
    return re.sub(r"<(?=[A-Za-z/!?])|(?<=\])[(\[:]|\|", r"\\\g<0>", plain_text(text))


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8."""
    with whole_file(path) as file:
        file.write(text)


def write_json(path: Path, value: object, indent: int | None = 1) -> None:
    """Write `value` as JSON; non-ASCII stays readable, NaN is refused."""
    with whole_file(path) as file:
        json.dump(value, file, ensure_ascii=False, indent=indent, allow_nan=False)
        file.write("\n")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write rows under a header as `write_rows` does: no text is a formula, and all is read back exactly."""
    with whole_file(path) as file:
        write_rows(file, [header])
        write_rows(file, rows)


def output_folder(path: Path) -> Path:
    """Create the folder `path` if needed, and check that it is writable before any time is spent on results for it.

    Raises:
        OutputError: it cannot be created, or nothing can be written in it.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise _explained(path, error) from error
    return path
