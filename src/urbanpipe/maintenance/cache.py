"""The verbs `cache show` and `cache clear`: what runs keep for later runs, and how to be rid of it."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from urbanpipe.errors import UrbanpipeError
from urbanpipe.maintenance.weight_folders import weight_folders
from urbanpipe.progress import duration_text, size_text
from urbanpipe.user_folders import frames_folder
from urbanpipe.video.cache import remove_entries
from urbanpipe.video.cache_entries import CacheEntry, cache_entries

Kind = Literal["frames", "features"]
KINDS: tuple[Kind, ...] = ("frames", "features")
_SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True)
class CachedKind:
    """What a cache holds of one kind.

    Attributes:
        kind: `frames` of videos, `features` of frozen networks, or pretrained `weights`.
        folder: where it is.
        entries: number of files.
        size_bytes: their total size.
        oldest_seconds: time since the least recently used file was used, or the oldest weights were downloaded; None
            without files.
        newest_seconds: the same of the most recent file.
    """

    kind: str
    folder: Path
    entries: int
    size_bytes: int
    oldest_seconds: float | None
    newest_seconds: float | None

    def line(self) -> str:
        """Return one line for a person."""
        age = ""
        if self.oldest_seconds is not None:
            oldest = duration_text(self.oldest_seconds)
            age = f", up to {oldest} old" if self.kind == "weights" else f", unused for up to {oldest}"
        return f"{self.kind:<8}  {self.entries:>7} files  {size_text(self.size_bytes):>9}  {self.folder}{age}"


def cache_show(folder: Path | None = None) -> list[CachedKind]:
    """Return what the frame cache holds, and the pretrained weights that were downloaded.

    Args:
        folder: the frame cache; default: the one that a user's runs share.

    Raises:
        UrbanpipeError: there is no home folder.
    """
    folder = _given(folder)
    entries = cache_entries(folder)
    kinds = [_counted(kind, folder, _of_kind(entries, kind)) for kind in KINDS]
    return [*kinds, *(_counted("weights", at, cache_entries(at, pattern)) for at, pattern in weight_folders())]


def clearable(
    folder: Path | None = None, *, older_than_seconds: float = 0.0, kinds: Sequence[Kind] = KINDS
) -> list[CacheEntry]:
    """Return the entries that `cache_clear` removes with the same arguments."""
    entries = cache_entries(_given(folder))
    old = [entry for entry in entries if older_than_seconds == 0 or time.time() - entry.used > older_than_seconds]
    return old if set(kinds) == set(KINDS) else [entry for kind in kinds for entry in _of_kind(old, kind)]


def cache_clear(
    folder: Path | None = None, *, older_than_seconds: float = 0.0, kinds: Sequence[Kind] = KINDS
) -> list[CacheEntry]:
    """Remove entries of the frame cache; runs that need them decode again.

    Args:
        folder: the frame cache; default: the one that a user's runs share.
        older_than_seconds: keep entries that were used within that time; 0 removes all.
        kinds: what to remove: frames, features, or both.

    Returns:
        The entries that were removed.

    Raises:
        OutputError: an entry cannot be removed.
        UrbanpipeError: there is no home folder.
    """
    entries = clearable(folder, older_than_seconds=older_than_seconds, kinds=kinds)
    clear_entries(folder, entries)
    return entries


def clear_entries(folder: Path | None, entries: Sequence[CacheEntry]) -> None:
    """Remove entries that `clearable` returned for a folder.

    Raises:
        OutputError: an entry cannot be removed.
        UrbanpipeError: there is no home folder.
    """
    if entries:
        remove_entries(_given(folder), entries)


def seconds_of(age: str) -> float:
    """Return the seconds of an age such as `12h`, `30d` or `2w`.

    Raises:
        UrbanpipeError: it has another form.

    Example:
        >>> seconds_of("30d")
        2592000.0
    """
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)([mhdw])", age.strip().lower(), re.ASCII)
    if match is None:
        raise UrbanpipeError(f"the age is {age!r}; write it as 90m, 12h, 30d or 2w")
    return float(match[1]) * _SECONDS[match[2]]


def _given(folder: Path | None) -> Path:
    folder = folder or frames_folder()
    if folder is None:
        raise UrbanpipeError("there is no home folder, and so no shared cache; give --cache FOLDER")
    return folder


def _of_kind(entries: Sequence[CacheEntry], kind: Kind) -> list[CacheEntry]:
    return [entry for entry in entries if entry.has_frames() == (kind == "frames")]


def _counted(kind: str, folder: Path, entries: Sequence[CacheEntry]) -> CachedKind:
    now = time.time()
    ages = [max(0.0, now - entry.used) for entry in entries]
    size = sum(entry.size_bytes for entry in entries)
    return CachedKind(kind, folder, len(entries), size, max(ages, default=None), min(ages, default=None))
