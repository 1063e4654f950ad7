"""Probe cache: a scan does not read known videos again, and an interrupted scan loses no results."""

import json
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from urbanpipe.catalog.catalog_file import OK, Video, printable
from urbanpipe.catalog.probing import probe_all
from urbanpipe.errors import OutputError
from urbanpipe.progress import track
from urbanpipe.video.decoder_messages import TROUBLE
from urbanpipe.video.probe import digest

_CLOSED = "cannot be opened"
_FACTS = (
    "duration_seconds",
    "frame_count",
    "frame_rate",
    "uneven_seconds",
    "width",
    "height",
    "codec",
    "bit_rate",
    "digest",
    "damage",
    "notes",
)

_TRY_AGAIN = (TROUBLE, _CLOSED)  # reasons that may disappear although the file is unchanged

_Key = tuple[Path, int, int]  # path, size in bytes, time of modification in nanoseconds


def read_videos(
    paths: dict[str, Path], before: Iterable[Video], progress: Path, workers: int
) -> tuple[dict[str, Video], int]:
    """Probe all videos that are not known yet.

    Args:
        paths: the files, by relative path.
        before: rows of an earlier catalog; those of unchanged files are reused. Of files that could not be read, the
            content is compared too: a copy may have been completed under the same size and time.
        progress: file that each result is appended to, so that an interrupted scan can resume.
        workers: number of processes.

    Returns:
        A row for each of `paths`, in their order, without name, group and labels, and the number of reused rows.

    Raises:
        OutputError: `progress` cannot be written.
    """
    known = {
        _key(video): video for video in (*before, *_read_progress(progress)) if not video.status.startswith(_TRY_AGAIN)
    }
    rows = {relative: _unread(path) for relative, path in paths.items()}
    waiting = {}
    reused = 0
    for relative, row in rows.items():
        if row.status != OK:
            continue
        found = known.get(_key(row))
        if found is not None and (found.status == OK or found.digest == _content(row)):
            rows[relative] = found
            reused += 1
        else:
            waiting[row.path] = relative
    unread = [rows[relative] for relative in waiting.values()]
    for row in _saved(_probed(unread, workers), progress):
        rows[waiting[row.path]] = row
    return rows, reused


def _content(video: Video) -> str:
    """Return the digest of a file that cannot be read as a video; "?" if its bytes cannot be read either."""
    try:
        return digest(video.path)
    except OSError:
        return "?"


def _key(video: Video) -> _Key:
    return video.path, video.size_bytes, video.modified_ns


def _unread(path: Path) -> Video:
    """Return a row with what is known of a file without opening it."""
    if printable(str(path)) != str(path):
        return Video("", path, "its name is not valid text; rename it")
    try:
        facts = path.stat()
    except FileNotFoundError:
        return Video(
            "", path, "a link to a file that does not exist" if path.is_symlink() else "vanished during the scan"
        )
    except OSError as error:
        return Video("", path, f"{_CLOSED}: {error.strerror}")
    reason = OK
    if not stat.S_ISREG(facts.st_mode):
        reason = "not a regular file"
    elif not os.access(path, os.R_OK):
        reason = f"{_CLOSED}: no permission to read it"
    return Video("", path, reason, size_bytes=facts.st_size, modified_ns=facts.st_mtime_ns)


def _probed(unread: list[Video], workers: int) -> Iterator[Video]:
    if not unread:
        return
    by_path = {video.path: video for video in unread}
    results = probe_all([video.path for video in unread], workers)
    for path, found in track(results, len(unread), "scan"):
        if "reason" in found and not found["reason"].startswith(_TRY_AGAIN):
            found = {**found, "digest": _content(by_path[path])}
        yield _row(path, by_path[path].size_bytes, by_path[path].modified_ns, found)


def _row(path: Path, size_bytes: int, modified_ns: int, found: dict[str, Any]) -> Video:
    if "reason" in found:
        content = found.get("digest", "")
        return Video("", path, found["reason"], size_bytes=size_bytes, modified_ns=modified_ns, digest=content)
    return Video(
        name="",
        path=path,
        duration_seconds=round(found["duration_seconds"], 6),
        frame_count=found["frame_count"],
        frame_rate=round(found["frame_rate"], 6),
        uneven_seconds=round(found["uneven_seconds"], 6),
        width=found["width"],
        height=found["height"],
        codec=found["codec"],
        bit_rate=round(found["bit_rate"], 6),
        size_bytes=size_bytes,
        modified_ns=modified_ns,
        digest=found["digest"],
        damage=found["damage"],
        notes=found["notes"],
    )


def _saved(rows: Iterator[Video], progress: Path) -> Iterator[Video]:
    """Yield each row after it has been written to the progress file."""
    with _written(progress), progress.open("ab", buffering=0) as file:
        file.write(b"\n")  # ends an incomplete line of a killed scan
    for row in rows:
        with _written(progress), progress.open("ab", buffering=0) as file:
            file.write(_line(row).encode() + b"\n")
        yield row


@contextmanager
def _written(progress: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"cannot write {progress}: {error.strerror}; choose another --out or make room there"
        ) from error


def _line(row: Video) -> str:
    found = (
        {"reason": row.status, "digest": row.digest} if row.status != OK else {key: getattr(row, key) for key in _FACTS}
    )
    return json.dumps([str(row.path), row.size_bytes, row.modified_ns, found])


def _read_progress(path: Path) -> Iterator[Video]:
    """Yield the rows that an interrupted scan left behind.

    An incomplete line, from a kill while writing, is skipped.
    """
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            file, size_bytes, modified_ns, found = json.loads(line)
            yield _row(Path(file), size_bytes, modified_ns, found)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
