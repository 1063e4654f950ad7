"""Sampled frames kept on disk, so that only the first epoch decodes video.

An entry is one file: the frames of one request as JPEGs, packed behind their lengths and followed by a checksum. Its
name is a hash of everything that determines its pixels (the content of the video, the frames, the size, the quality,
the version of this code). So entries never become stale, and a moved video keeps its entries.
"""

import errno
import hashlib
import logging
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from urbanpipe.errors import OutputError
from urbanpipe.locks import file_lock
from urbanpipe.outputs import explained, put_in_place, remove_quietly
from urbanpipe.video.cache_entries import SUFFIX, VERSION, CacheEntry, cache_entries
from urbanpipe.video.decode import OnDamage
from urbanpipe.video.index import FrameIndex
from urbanpipe.video.isolated import read_frames, stream_frames
from urbanpipe.video.resizing import Pixels

CHECKSUM_BYTES = 16
KEEP_SHARE = 0.9  # of the limit, after removing entries: so that not every new entry has to scan the folder
log = logging.getLogger(__name__)


class FrameCache:
    """Frames on disk, addressed by the content of their video.

    Several processes may use one folder. A kill at any moment leaves entries complete or absent; a damaged entry is
    detected by its checksum and replaced. If nothing can be written (full disk, read-only folder), frames are decoded
    every time, after one warning. The entries together stay within `max_bytes`; the least recently read are removed
    first.

    Args:
        folder: created with the first entry.
        max_bytes: maximum total size of the entries, > 0.
        quality: JPEG quality, 1 to 100.
    """

    def __init__(self, folder: Path, max_bytes: int, quality: int = 90) -> None:
        if max_bytes < 1:
            raise ValueError(f"max_bytes is {max_bytes}; it must be at least 1")
        if not 1 <= quality <= 100:
            raise ValueError(f"quality is {quality}; it must be 1 to 100")
        self.folder = Path(folder)
        self.max_bytes = max_bytes
        self.quality = quality
        self.writable = True

    def frames(
        self,
        path: Path,
        digest: str,
        indices: ArrayLike,
        size: tuple[int, int],
        on_damage: OnDamage = "conceal",
        *,
        only: ArrayLike | None = None,
    ) -> Pixels:
        """Return the frames `indices` of a video at `size`, after JPEG compression, cached or not.

        Args:
            path: the video; read only if the cache has no such entry.
            digest: content address of the video (`VideoInfo.digest`).
            indices: frame numbers, shape (n,), in any order.
            size: (width, height).
            only: positions in `indices` to return, shape (m,); the entry always holds all. None: all positions.
            on_damage: as in `read_frames`. With "conceal", training continues over a damaged video, with a warning.

        Returns:
            uint8, shape (n, height, width, 3) or (m, ...), RGB.

        Raises:
            VideoError: the frames are not in the cache and cannot be decoded.
        """
        wanted = np.asarray(indices, dtype=np.int64)
        entry = self._entry(digest, wanted, size, on_damage)
        packed = self._read(entry)
        if packed is None:
            packed = _encode(read_frames(path, wanted, size, on_damage=on_damage), self.quality)
            self._store(entry, _pack(packed))
        places = range(len(packed)) if only is None else np.asarray(only).tolist()
        return _decode([packed[place] for place in places], size)

    def holds(self, digest: str, indices: ArrayLike, size: tuple[int, int]) -> bool:
        """Return whether `frames` has such an entry, with frames that cannot be decoded concealed."""
        return _exists(self._entry(digest, np.asarray(indices, dtype=np.int64), size, "conceal"))

    def fill(self, index: FrameIndex, digest: str, parts: Sequence[NDArray[np.int64]], size: tuple[int, int]) -> None:
        """Store several entries of a video in one pass over it; existing entries are kept.

        For videos that can only be decoded from their start, where every single entry costs all frames before it. An
        entry with a frame that cannot be decoded is left to `frames`.

        Args:
            index: index of the video.
            digest: content address of the video.
            parts: frame numbers of each entry, ascending within and across entries.
            size: (width, height).

        Raises:
            VideoError: the video cannot be read.
        """
        waiting = [part for part in parts if not self.holds(digest, part, size)]
        if not waiting or not self.writable:
            return
        held: dict[int, Pixels] = {}
        for number, picture in stream_frames(index.path, np.concatenate(waiting), size, index, "conceal"):
            held[number] = picture
            while waiting and number >= waiting[0][-1]:
                part = waiting.pop(0)
                if all(frame in held for frame in part.tolist()):
                    pixels = np.stack([held[frame] for frame in part.tolist()])
                    self._store(self._entry(digest, part, size, "conceal"), _pack(_encode(pixels, self.quality)))
                held = {frame: kept for frame, kept in held.items() if frame > part[-1]}

    def read(self, key: bytes) -> bytes | None:
        """Return other content that was stored under a key, or None."""
        found = self._read(self._place_of(key))
        return found[0] if found else None

    def has(self, key: bytes) -> bool:
        """Return whether other content is stored under a key."""
        return _exists(self._place_of(key))

    def write(self, key: bytes, content: bytes) -> None:
        """Store other content within the same size limit; the key and this code's version must determine it."""
        self._store(self._place_of(key), _pack([content]))

    def _place_of(self, key: bytes) -> Path:
        return self._place(hashlib.blake2b(VERSION + b"\0" + key, digest_size=16).hexdigest())

    def _entry(self, digest: str, indices: NDArray[np.int64], size: tuple[int, int], on_damage: OnDamage) -> Path:
        identity = (VERSION, digest.encode(), *(str(part).encode() for part in (*size, self.quality, on_damage)))
        key = hashlib.blake2b(b"\0".join((*identity, indices.astype("<i8").tobytes())), digest_size=16).hexdigest()
        return self._place(key)

    def _place(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key[2:]}{SUFFIX}"

    def _read(self, entry: Path) -> list[bytes] | None:
        try:
            packed = entry.read_bytes()
        except OSError:
            return None
        jpegs = _unpack(packed)
        try:
            if jpegs is None:
                log.warning("%s: damaged cache entry; writing it again", entry)
                entry.unlink(missing_ok=True)
            else:
                os.utime(entry)  # read just now: removed last
        except OSError:
            pass
        return jpegs

    def _store(self, entry: Path, packed: bytes) -> None:
        if not self.writable or len(packed) > self.max_bytes:
            return
        try:
            with _locked(self.folder) as ledger:
                self._make_room(ledger, len(packed))
                entry.parent.mkdir(exist_ok=True)
                _write_whole(entry, packed)
        except (OSError, OutputError) as raised:
            error = raised.__cause__ if isinstance(raised, OutputError) else raised
            self.writable = False
            full = isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}
            why = "the disk is full" if full else getattr(error, "strerror", None) or str(raised)
            log.warning("frame cache %s cannot be written (%s): decoding instead", self.folder, why)

    def _make_room(self, ledger: Path, needed: int) -> None:
        """Add `needed` bytes to the ledger, and remove entries if they would exceed the limit.

        The ledger is written before the entry, so a kill between the two makes it too high, never too low.
        """
        total = _ledger_total(ledger)
        if total is None or total + needed > self.max_bytes:
            total = _drop_oldest(self.folder, self.max_bytes, needed)
        ledger.write_text(f"{total + needed}\n", encoding="ascii", newline="\n")


def remove_entries(folder: Path, entries: Sequence[CacheEntry]) -> None:
    """Remove entries of the cache in a folder; runs that use it go on, and decode again.

    Raises:
        OutputError: one of them cannot be removed.
    """
    with explained(folder), _locked(folder) as ledger:
        ledger.unlink(missing_ok=True)  # the next writer counts again
        for entry in entries:
            entry.path.unlink(missing_ok=True)


def _exists(entry: Path) -> bool:
    """Return whether an entry exists in a folder that may be searched."""
    try:
        return entry.exists()
    except OSError:
        return False


def _write_whole(entry: Path, packed: bytes) -> None:
    temporary = entry.with_suffix(".part")
    try:
        temporary.write_bytes(packed)
        put_in_place(temporary, entry)
    finally:
        remove_quietly(temporary)


@contextmanager
def _locked(folder: Path) -> Iterator[Path]:
    """Hold the folder's lock, which ends with the process that holds it; yield the ledger's path."""
    folder.mkdir(parents=True, exist_ok=True)
    with file_lock(folder / "lock", busy=folder, wait=True):
        yield folder / "total_bytes"


def _ledger_total(ledger: Path) -> int | None:
    try:
        text = ledger.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if text.endswith("\n") and text.strip().isdigit() else None


def _drop_oldest(folder: Path, max_bytes: int, needed: int) -> int:
    """Remove entries, least recently read first, until `needed` bytes fit; return the bytes that remain."""
    for left_by_a_kill in folder.glob("??/*.part"):  # only the holder of the lock writes
        remove_quietly(left_by_a_kill)
    found = sorted(cache_entries(folder), key=lambda entry: (entry.used, entry.path))
    total = sum(entry.size_bytes for entry in found)
    if total + needed <= max_bytes:
        return total
    for entry in found:
        if total + needed <= max(max_bytes * KEEP_SHARE, needed):
            break
        with suppress(PermissionError):  # another process reads it, and Windows does not remove open files
            entry.path.unlink(missing_ok=True)
            total -= entry.size_bytes
    return total


def _pack(jpegs: list[bytes]) -> bytes:
    head = VERSION + struct.pack(f"<I{len(jpegs)}I", len(jpegs), *map(len, jpegs))
    body = head + b"".join(jpegs)
    return body + hashlib.blake2b(body, digest_size=CHECKSUM_BYTES).digest()


def _unpack(packed: bytes) -> list[bytes] | None:
    """Return the JPEGs of an entry, or None if the entry is damaged."""
    body = memoryview(packed)[:-CHECKSUM_BYTES]
    if hashlib.blake2b(body, digest_size=CHECKSUM_BYTES).digest() != packed[-CHECKSUM_BYTES:]:
        return None
    (count,) = struct.unpack_from("<I", body, len(VERSION))
    lengths = struct.unpack_from(f"<{count}I", body, len(VERSION) + 4)
    ends = np.cumsum((len(VERSION) + 4 + 4 * count, *lengths)).tolist()
    return [bytes(body[start:end]) for start, end in pairwise(ends)]


def _encode(frames: Pixels, quality: int) -> list[bytes]:
    return [_jpeg(frame, quality) for frame in frames]


def _jpeg(frame: Pixels, quality: int) -> bytes:
    with BytesIO() as file:
        Image.fromarray(frame).save(file, "JPEG", quality=quality)
        return file.getvalue()


def _decode(jpegs: list[bytes], size: tuple[int, int]) -> Pixels:
    frames = np.empty((len(jpegs), size[1], size[0], 3), dtype=np.uint8)
    for frame, jpeg in zip(frames, jpegs, strict=True):
        with Image.open(BytesIO(jpeg), formats=["JPEG"]) as image:
            frame[:] = np.asarray(image)
    return frames
