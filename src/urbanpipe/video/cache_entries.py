"""The files of a frame cache: their names, their heads, and which there are."""

import os
import struct
from dataclasses import dataclass
from pathlib import Path

VERSION = b"upframes1"  # increase it when decoding, resizing or packing changes a pixel
SUFFIX = ".frames"
_JPEG_START = b"\xff\xd8\xff"


@dataclass(frozen=True)
class CacheEntry:
    """An entry of a frame cache, or another file that is kept for later runs.

    Attributes:
        path: its file.
        size_bytes: size of the file.
        used: when it was last read or written, in seconds since the epoch.
    """

    path: Path
    size_bytes: int
    used: float

    def has_frames(self) -> bool:
        """Return whether it holds frames, which are JPEGs, rather than features; read from the head of the file."""
        try:
            with self.path.open("rb") as file:
                head = file.read(len(VERSION) + 4)
                (count,) = struct.unpack_from("<I", head, len(VERSION))
                file.seek(4 * count, os.SEEK_CUR)
                return file.read(len(_JPEG_START)) == _JPEG_START
        except (OSError, struct.error):  # removed or damaged meanwhile
            return False


def cache_entries(folder: Path, pattern: str = f"??/*{SUFFIX}") -> list[CacheEntry]:
    """Return the files in a folder, which may not exist, that match a pattern; links are left out."""
    entries = []
    for path in folder.glob(pattern):
        try:
            if path.is_file() and not path.is_symlink():
                stat = path.stat()
                entries.append(CacheEntry(path, stat.st_size, stat.st_mtime))
        except OSError:  # another process removed it
            continue
    return entries
