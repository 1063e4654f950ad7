"""While one video is inspected, the next one is examined, and no other."""

import threading
from pathlib import Path
from typing import cast

import pytest

from urbanpipe.archive.examined import Examined, examined_ahead
from urbanpipe.errors import VideoError

VIDEOS = [(name, Path(name)) for name in ("a", "b", "c")]


def test_the_next_video_is_examined_while_the_caller_works() -> None:
    begun = {name: threading.Event() for name, _ in VIDEOS}

    def examine(path: Path) -> Examined:
        begun[path.name].set()
        return cast("Examined", path)

    videos = examined_ahead(VIDEOS, examine)
    name, first = next(videos)
    assert (name, first.result()) == ("a", Path("a"))
    assert begun["b"].wait(5)
    assert not begun["c"].is_set()
    assert [(name, video.result()) for name, video in videos] == [("b", Path("b")), ("c", Path("c"))]


def test_one_is_examined_at_a_time() -> None:
    busy, most = threading.Semaphore(1), list[bool]()

    def examine(path: Path) -> Examined:
        most.append(busy.acquire(blocking=False))
        busy.release()
        return cast("Examined", path)

    for _, video in examined_ahead(VIDEOS * 20, examine):
        video.result()
    assert all(most)


def test_an_error_is_that_of_its_video() -> None:
    def examine(path: Path) -> Examined:
        if path.name == "b":
            raise VideoError(path, "no frames")
        return cast("Examined", path)

    results = list(examined_ahead(VIDEOS, examine))
    with pytest.raises(VideoError, match="no frames"):
        results[1][1].result()
    assert results[2][1].result() == Path("c")


def test_nothing_is_examined_after_the_caller_has_left() -> None:
    examined_names = list[str]()

    def examine(path: Path) -> Examined:
        examined_names.append(path.name)
        return cast("Examined", path)

    for _, video in examined_ahead(VIDEOS, examine):
        video.result()
        break
    assert "c" not in examined_names
