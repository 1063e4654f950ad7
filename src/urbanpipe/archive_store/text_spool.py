"""Texts in a temporary file, for what is read in one order and needed in another."""

import tempfile
import zlib
from pathlib import Path

from urbanpipe.outputs import explained


class TextSpool:
    """Compressed texts by key in a temporary file, which is gone when the process ends in any way."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.gettempdir())
        with explained(self._folder):
            self._file = tempfile.TemporaryFile(prefix="urbanpipe-")  # noqa: SIM115 - closed by `close`
        self._places: dict[str, tuple[int, int]] = {}
        self._end = 0

    def __contains__(self, key: str) -> bool:
        """Return whether there is a text of this key."""
        return key in self._places

    def add(self, key: str, text: str) -> None:
        """Add a text.

        Raises:
            OutputError: the disk of temporary files is full.
        """
        data = zlib.compress(text.encode(), 1)
        with explained(self._folder):
            self._file.seek(self._end)
            self._file.write(data)
        self._places[key] = (self._end, len(data))
        self._end += len(data)

    def read(self, key: str) -> str:
        """Return the text of a key."""
        begin, length = self._places[key]
        self._file.seek(begin)
        return zlib.decompress(self._file.read(length)).decode()

    def close(self) -> None:
        """Remove the file."""
        self._file.close()
