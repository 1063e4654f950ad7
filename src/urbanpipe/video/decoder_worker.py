"""The decoder process: it reads videos for its parent, so that a video that crashes or hangs it affects nothing else.

`decoder_process.py` starts it. It answers one request at a time until its input ends.
"""

import json
import logging
import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from urbanpipe.errors import VideoError
from urbanpipe.video.container import open_video
from urbanpipe.video.decode import Found, OnDamage, read_frames, stream_decoded
from urbanpipe.video.decoder_limits import ProcessLimits
from urbanpipe.video.decoder_messages import (
    END,
    ERROR,
    LOG,
    MEMORY_BYTES,
    READY,
    TOO_MUCH_MEMORY,
    TROUBLE,
    VALUE,
    DecodedPicture,
    packed,
    receive,
    send,
    send_picture,
)
from urbanpipe.video.index import FrameIndex, index_frames, quick_index
from urbanpipe.video.picture import upright
from urbanpipe.video.probe import probe
from urbanpipe.video.stream_facts import stream_facts

PATIENCE_SECONDS = 30.0  # beyond the parent's own time limit

Answers = Iterator[object]


class DecoderWorker:
    """Answers requests; it keeps the index of the last video, so that it is sent once for many reads."""

    def __init__(self) -> None:
        self._index: FrameIndex | None = None
        self.requests: dict[str, Callable[..., Answers]] = {
            "probe": self.probe,
            "index": self.index,
            "stream": self.stream,
            "pictures": self.pictures,
            "nearest": self.nearest,
        }

    def probe(self, path: Path, thorough: bool) -> Answers:
        """Yield the properties of a video."""
        yield probe(path, thorough)

    def index(self, path: Path, thorough: bool, hashed: bool = False) -> Answers:
        """Yield the frame index of a video."""
        self._index = index_frames(path, thorough, hashed=hashed)
        yield replace(self._index)  # without its derived tables

    def stream(self, path: Path) -> Answers:
        """Yield how a video is stored."""
        yield stream_facts(path)

    def pictures(
        self, path: Path, index: FrameIndex | str | None, numbers: NDArray[np.int64], on_damage: OnDamage
    ) -> Answers:
        """Yield the displayed width and height of a video, then the frames `numbers` in presentation order."""
        used = self._index_of(path, index)
        yield used.width, used.height
        for found in stream_decoded(used, numbers, on_damage):
            yield _picture(found, used)

    def nearest(self, path: Path, index: FrameIndex | str | None, number: int) -> Answers:
        """Yield the frame nearest to `number` among all that can be decoded."""
        used = self._index_of(path, index)
        pixels = read_frames(path, [number], None, used, "conceal")[0]
        yield DecodedPicture(number, True, (used.width, used.height), pixels)

    def _index_of(self, path: Path, index: FrameIndex | str | None) -> FrameIndex:
        if index is None:
            with open_video(path) as video:
                self._index = quick_index(video)
        elif isinstance(index, FrameIndex):
            self._index = index
        assert self._index is not None, "the parent names the last index only"
        return self._index


def _picture(found: Found, index: FrameIndex) -> DecodedPicture:
    if found.frame is None:
        return DecodedPicture(found.number, found.damaged, (0, 0), None)
    size = found.frame.width, found.frame.height
    return DecodedPicture(found.number, found.damaged, size, upright(found.frame, index))


class _Forward(logging.Handler):
    """Sends log messages to the parent, which logs them as its own."""

    def __init__(self, answers: BinaryIO) -> None:
        super().__init__()
        self._answers = answers

    def emit(self, record: logging.LogRecord) -> None:
        """Send a message."""
        send(self._answers, LOG, json.dumps([record.name, record.levelno, record.getMessage()]).encode())


def reason_of(error: Exception) -> str:
    """Return why a video cannot be read, on one line."""
    if isinstance(error, VideoError):
        reason = error.reason
    elif isinstance(error, MemoryError):
        reason = TOO_MUCH_MEMORY
    elif isinstance(error, OSError) and error.strerror:
        reason = error.strerror
    else:
        reason = f"{TROUBLE} failed: {type(error).__name__}: {error}"
    return " ".join(reason.split()) or "unknown"


def answer(worker: DecoderWorker, request: tuple[Any, ...], answers: BinaryIO, limits: ProcessLimits) -> None:
    """Send the answers to one request, or an error; the process ends if one takes too long and no parent ends it."""
    name, seconds, arguments = request
    try:
        limits.end_in(seconds + PATIENCE_SECONDS)
        for value in worker.requests[name](*arguments):
            limits.end_in(0)
            if isinstance(value, DecodedPicture):
                send_picture(answers, value)
            else:
                send(answers, VALUE, packed(value))
            limits.end_in(seconds + PATIENCE_SECONDS)
    except BrokenPipeError:
        raise
    except Exception as error:  # whatever one video does, the others are read
        send(answers, ERROR, json.dumps(reason_of(error)).encode())
    else:
        send(answers, END)
    finally:
        limits.end_in(0)


def main(worker: DecoderWorker | None = None) -> None:
    """Answer until the input ends; what FFmpeg prints goes to standard error, not between the answers."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):  # sent to all processes of a terminal: the parent decides
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    limits = ProcessLimits(MEMORY_BYTES)
    requests: BinaryIO = os.fdopen(os.dup(sys.stdin.fileno()), "rb", buffering=0)
    answers: BinaryIO = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    logger = logging.getLogger("urbanpipe")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(_Forward(answers))
    worker = worker or DecoderWorker()
    with suppress(BrokenPipeError):  # the parent has ended or wants no more
        send(answers, READY)
        while message := receive(requests):
            answer(worker, pickle.loads(message[1]), answers, limits)


if __name__ == "__main__":
    main()
