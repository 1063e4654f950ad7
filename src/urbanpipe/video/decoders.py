"""The decoder processes of a process: as many as are needed at the same time, kept for further videos."""

import atexit
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from urbanpipe.video.decoder_process import DecoderProcess
from urbanpipe.video.index import FrameIndex


class Decoders:
    """The decoder processes of this process: as many as there are requests at the same time.

    A forked process starts its own.
    """

    def __init__(self) -> None:
        self._idle: list[DecoderProcess] = []
        self._all: set[DecoderProcess] = set()
        self._closed = False

    def ask(self, name: str, path: Path, *arguments: Any, index: FrameIndex | None = None) -> Iterator[Any]:
        """Yield the answers of a decoder process to a request about a video.

        An answer may take `ANSWER_SECONDS` plus the time to read the file at `BYTES_PER_SECOND`; then the process is
        killed. It is also killed if the caller does not take all answers.

        Args:
            name: name of the request.
            path: the video.
            arguments: what follows the path in the request.
            index: frame index of the video, where the request needs one.

        Raises:
            VideoError: the video cannot be read, or reading it crashed the process or took too long.
        """
        with self._process() as process:
            yield from process.ask(name, path, arguments, index)

    @contextmanager
    def _process(self) -> "Iterator[DecoderProcess]":
        try:
            process = self._idle.pop()
        except IndexError:
            process = DecoderProcess()
            self._all.add(process)
        try:
            yield process
        except BaseException:
            if process.is_busy:
                process.stop()
            raise
        finally:
            if process.is_running and not self._closed:
                self._idle.append(process)
            else:
                process.stop()
                self._all.discard(process)

    def close(self) -> None:
        """End all processes, also those that are reading; their requests then fail."""
        self._closed = True
        for process in list(self._all):
            process.kill()
        while self._idle:
            self._idle.pop().stop()

    def forget(self) -> None:
        """Close this process's copies of the pipes of processes that belong to the process that it was forked from."""
        for process in self._all:
            process.forget()
        self._idle, self._all = [], set()


shared_decoders = Decoders()
atexit.register(shared_decoders.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=shared_decoders.forget)
