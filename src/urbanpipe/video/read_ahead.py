"""Decoded pictures that are taken from the decoder process while the caller works on the ones before."""

import threading
from collections import deque
from collections.abc import Iterator

from urbanpipe.video.decoder_messages import DecodedPicture

AHEAD_BYTES = 32 * 2**20
AHEAD_PICTURES = 24


class ReadAhead:
    """Takes pictures from a source in a thread, ahead of its reader by at most `AHEAD_BYTES` and `AHEAD_PICTURES`.

    At least one picture is taken ahead, whatever its size. `close` ends the thread with the next picture of the source.

    Args:
        source: yields pictures; used by the thread alone.

    Attributes:
        waited_times: how often the reader found no picture ready.
    """

    def __init__(self, source: Iterator[DecodedPicture]) -> None:
        self.waited_times = 0
        self._source = source
        self._ready: deque[DecodedPicture] = deque()
        self._bytes = 0
        self._ended = self._closed = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._take_all, name="read-ahead", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[DecodedPicture]:
        """Yield the pictures of the source.

        Raises:
            Exception: what the source raised.
        """
        try:
            while (picture := self._next()) is not None:
                yield picture
        finally:
            self.close()

    def close(self) -> None:
        """End the thread, which closes the source; pictures that are ready are dropped."""
        with self._changed:
            self._closed = True
            self._ready.clear()
            self._changed.notify_all()

    def _next(self) -> DecodedPicture | None:
        with self._changed:
            self.waited_times += not (self._ready or self._ended)
            self._changed.wait_for(lambda: self._ready or self._ended)
            if self._ready:
                picture = self._ready.popleft()
                self._bytes -= _size(picture)
                self._changed.notify_all()
                return picture
        if self._error is not None:
            raise self._error
        return None

    def _take_all(self) -> None:
        try:
            for picture in self._source:
                if not self._put(picture):
                    break
        except BaseException as error:  # raised again in the reader
            self._error = error
        finally:
            close = getattr(self._source, "close", None)
            if close:
                close()
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _put(self, picture: DecodedPicture) -> bool:
        """Add a picture when there is room; return whether more are wanted."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._ready or self._has_room(picture))
            if not self._closed:
                self._ready.append(picture)
                self._bytes += _size(picture)
                self._changed.notify_all()
            return not self._closed

    def _has_room(self, picture: DecodedPicture) -> bool:
        return len(self._ready) < AHEAD_PICTURES and self._bytes + _size(picture) <= AHEAD_BYTES


def _size(picture: DecodedPicture) -> int:
    return 0 if picture.pixels is None else picture.pixels.nbytes
