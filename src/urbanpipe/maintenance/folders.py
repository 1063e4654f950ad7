"""Checks of the folders that urbanpipe writes to, and of the disks below them."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from urbanpipe.maintenance.check import Check, Status
from urbanpipe.progress import size_text
from urbanpipe.user_folders import frames_folder, home_folder
from urbanpipe.video.cache_entries import cache_entries

LITTLE_DISK_BYTES = 1_000_000_000


def folder_checks() -> Iterator[Check]:
    """Yield the home, working, temporary and cache folders: whether they can be written, and the space left."""
    home = home_folder()
    if home is None:
        yield Check("home folder", "note", "the system knows none", "set HOME, or XDG_CACHE_HOME for the cache")
    else:
        yield _folder("home folder", home, "note", "set HOME, or XDG_CACHE_HOME for the cache")
    yield _folder("working folder", Path(), "note", "give --out in another folder")
    yield _temporary()
    yield _cache(frames_folder())


def _temporary() -> Check:
    try:
        folder = Path(tempfile.gettempdir())
    except OSError as error:
        return Check("temporary folder", "broken", error.strerror or str(error), "set TMPDIR to a writable folder")
    return _folder("temporary folder", folder, "broken", "set TMPDIR to a writable folder")


def _cache(folder: Path | None) -> Check:
    fix = "give --cache FOLDER or set XDG_CACHE_HOME, or frames are decoded in every epoch"
    if folder is None:
        return Check("cache folder", "missing", "there is no home folder", fix)
    check = _folder("cache folder", folder, "note", fix)
    size = sum(entry.size_bytes for entry in cache_entries(folder))
    return Check(check.name, check.status, f"{check.text}, holds {size_text(size)}", check.fix)


def _folder(name: str, folder: Path, worst: Status, fix: str) -> Check:
    """Check that a folder can be written, or created, and that its disk has space."""
    try:
        existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
        free = shutil.disk_usage(existing).free
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        return Check(name, worst, f"{folder} cannot be written: {error.strerror}", fix)
    text = f"{folder.absolute()}, {size_text(free)} free"
    if free < LITTLE_DISK_BYTES:
        return Check(name, "note", text, "free some space")
    return Check(name, "ok", text)
