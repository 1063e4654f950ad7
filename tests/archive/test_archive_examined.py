"""While one video is inspected, the next one is examined, and no other."""

import threading
from pathlib import Path
from typing import Any

import pytest

from urbanpipe.archive.examined import examined_ahead
from urbanpipe.errors import VideoError

VIDEOS = [(name, Path(name)) for name in ("a", "b", "c")]


def test_the_next_video_is_examined_while_the_caller_works() -> None:
    begun = {name: threading.Event() for name, _ in VIDEOS}

    def examine(path: Path) -> Any:
        begun[path.name].set()
        return path

    videos = examined_ahead(VIDEOS, examine)
    name, first = next(videos)
    assert (name, str(first.result())) == ("a", "a")
    assert begun["b"].wait(5)
    assert not begun["c"].is_set()
    assert [(name, str(video.result())) for name, video in videos] == [("b", "b"), ("c", "c")]


def test_one_is_examined_at_a_time() -> None:
    busy, most = threading.Semaphore(1), list[bool]()

    def examine(path: Path) -> Any:
        most.append(busy.acquire(blocking=False))
        busy.release()
        return path

    for _, video in examined_ahead(VIDEOS * 20, examine):
        video.result()
    assert all(most)


def test_an_error_is_that_of_its_video() -> None:
    def examine(path: Path) -> Any:
        if path.name == "b":
            raise VideoError(path, "no frames")
        return path

    results = list(examined_ahead(VIDEOS, examine))
    with pytest.raises(VideoError, match="no frames"):
        results[1][1].result()
    assert str(results[2][1].result()) == "c"


def test_nothing_is_examined_after_the_caller_has_left() -> None:
    examined_names = list[str]()

    def examine(path: Path) -> Any:
        examined_names.append(path.name)
        return path

    for _, video in examined_ahead(VIDEOS, examine):
        video.result()
        break
    assert "c" not in examined_names
