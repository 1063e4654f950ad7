"""Pictures are decoded ahead of their reader, within bounds, and nothing is left behind."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from urbanpipe.video import read_ahead
from urbanpipe.video.decoder_messages import DecodedPicture
from urbanpipe.video.read_ahead import AHEAD_PICTURES, ReadAhead


def decoded(number: int) -> DecodedPicture:
    return DecodedPicture(number, False, (4, 4), np.full((4, 4, 3), number % 256, np.uint8))


class Source:
    """Counts the pictures that were taken, and knows whether it was closed."""

    def __init__(self, count: int, fails: bool = False) -> None:
        self.taken, self.is_closed, self._count, self._fails = 0, threading.Event(), count, fails

    def pictures(self) -> Iterator[DecodedPicture]:
        try:
            for number in range(self._count):
                self.taken += 1
                yield decoded(number)
            if self._fails:
                raise ValueError("the source broke")
        finally:
            self.is_closed.set()

    def has_taken(self, count: int) -> bool:
        """Wait until as many pictures were taken, and a moment more for too many."""
        deadline = time.monotonic() + 5
        while self.taken < count and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.02)
        return self.taken == count


def test_all_pictures_come_in_order() -> None:
    source = Source(100)
    assert [picture.number for picture in ReadAhead(source.pictures())] == list(range(100))
    assert source.is_closed.wait(5)


def test_pictures_are_taken_while_the_reader_works_but_not_too_many() -> None:
    source = Source(100)
    pictures = iter(ReadAhead(source.pictures()))
    next(pictures)
    assert source.has_taken(1 + AHEAD_PICTURES + 1)  # read, ready, and the one that waits for room


def test_large_pictures_are_bounded_by_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_ahead, "AHEAD_BYTES", 2 * 48)
    source = Source(100)
    pictures = iter(ReadAhead(source.pictures()))
    next(pictures)
    assert source.has_taken(1 + 2 + 1)
    monkeypatch.setattr(read_ahead, "AHEAD_BYTES", 1)  # less than one picture
    assert sum(1 for _ in ReadAhead(Source(20).pictures())) == 20


def test_a_reader_that_leaves_closes_the_source() -> None:
    source = Source(1000)
    for picture in ReadAhead(source.pictures()):
        if picture.number == 3:
            break
    del picture
    assert source.is_closed.wait(5)
    assert source.taken < 1000


def test_what_the_source_raises_comes_after_its_pictures() -> None:
    pictures = iter(ReadAhead(Source(3, fails=True).pictures()))
    assert [next(pictures).number for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="the source broke"):
        next(pictures)
