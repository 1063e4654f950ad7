"""Files that a reader of videos takes once: they remember their start, and compute a digest on the way."""

import errno
import hashlib
import os
from pathlib import Path

DIGEST_BYTES = 16
START_BYTES = 6 * 2**20  # FFmpeg reads up to 5 MB of MPEG-PS and MPEG-TS to find the streams, and then starts again
SKIP_BYTES = 2**20  # bytes that a reader leaves out, up to so many at once, are read for the digest on the way
SKIP_SHARE = 16  # but at most this part of the file: a jump to its end comes back
BLOCK_BYTES = 2**20


class RememberedStart:
    """A file to read from and to seek in, which keeps its first bytes in memory for a reader that comes back to them.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.name = f"file:{path}"  # by which FFmpeg recognises a few formats
        self._file = path.open("rb", buffering=0)
        self._start, self._at = bytearray(), 0

    def read(self, size: int) -> bytes:
        """Return the next bytes, at most `size`; none at the end of the file."""
        data = self._read_at(self._at, size)
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position, and return it."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at}.get(whence)
        at = offset + (os.fstat(self._file.fileno()).st_size if base is None else base)
        if at < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._at = at
        return at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _read_at(self, at: int, size: int) -> bytes:
        kept, known = bytes(self._start[at : at + size]), len(self._start)
        if len(kept) == size:
            return kept
        data = kept + self._read_file(at + len(kept), size - len(kept))
        if at <= known < START_BYTES:
            self._start += data[known - at :]
        return data

    def _read_file(self, at: int, size: int) -> bytes:
        self._file.seek(at)
        return self._file.read(size)


class HashedFile(RememberedStart):
    """A file that hashes its bytes in their order as they are read, so that digest and reading cost one pass.

    Readers of videos take most bytes in order. What they leave out (sound, padding) is read for the digest on the way;
    what they take early (a table of contents at the end) is read again when the digest is asked for.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._hash = hashlib.blake2b(digest_size=DIGEST_BYTES)
        self._hashed = 0
        self._skip = min(SKIP_BYTES, os.fstat(self._file.fileno()).st_size // SKIP_SHARE)

    def read(self, size: int) -> bytes:
        """Return the next bytes, at most `size`; none at the end of the file."""
        if 0 < self._at - self._hashed <= self._skip:
            self._hash_up_to(self._at)
        data = self._read_at(self._at, size)
        fresh = self._hashed - self._at
        if 0 <= fresh < len(data):
            self._hash.update(memoryview(data)[fresh:])
            self._hashed += len(data) - fresh
        self._at += len(data)
        return data

    def digest(self) -> str:
        """Return BLAKE2b-128 of the whole file, hexadecimal; bytes that were not hashed yet are read now."""
        self._hash_up_to(None)
        return self._hash.hexdigest()

    def _hash_up_to(self, end: int | None) -> None:
        while end is None or self._hashed < end:
            data = self._read_at(self._hashed, BLOCK_BYTES if end is None else min(BLOCK_BYTES, end - self._hashed))
            if not data:
                return
            self._hash.update(data)
            self._hashed += len(data)
