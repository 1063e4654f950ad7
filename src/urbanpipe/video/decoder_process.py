"""One decoder process: started when needed, killed if it hangs, replaced if it dies."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, cast

import urbanpipe
from urbanpipe.errors import VideoError
from urbanpipe.platform_support import enlarge_pipe
from urbanpipe.video.decoder_limits import MEMORY_EXIT
from urbanpipe.video.decoder_messages import (
    END,
    ERROR,
    LOG,
    PICTURE,
    READY,
    REQUEST,
    TOO_MUCH_MEMORY,
    TROUBLE,
    VALUE,
    packed,
    receive,
    send,
    unpacked,
)
from urbanpipe.video.index import FrameIndex

ANSWER_SECONDS = 60.0
BYTES_PER_SECOND = 2e6
WORKER = "urbanpipe.video.decoder_worker"
READS = {"pictures", "nearest"}  # requests that take an index
LAST = "last"  # stands for the index of the request before
PIPE_BYTES = 2**20
_WINDOWS_CRASH = 0xC0000000  # exit codes from here on say which fault ended a process


class DecoderProcess:
    """One `decoder_worker` process.

    Attributes:
        is_busy: whether it has answers that were not read.
    """

    def __init__(self) -> None:
        self.is_busy = False
        self._last_index: FrameIndex | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """Whether it can take another request."""
        return self._process is not None and not self.is_busy

    def ask(self, name: str, path: Path, arguments: tuple[Any, ...], index: FrameIndex | None) -> Iterator[Any]:
        """Yield the answers to a request, see `decoders.Decoders.ask`.

        A process that dies of a request before its first answer may have been damaged by an earlier video: the request
        is then sent to a new process.
        """
        is_new, has_answered = self._process is None, False
        process = self._process = self._process or _start()
        seconds = ANSWER_SECONDS + _size(path) / BYTES_PER_SECOND
        sent = (self._known(index), *arguments) if name in READS else arguments
        self.is_busy = True
        with _TimeLimit(process, seconds) as limit:
            with suppress(OSError):  # it has died, which its missing answer tells
                send(_pipe(process.stdin), REQUEST, packed((name, seconds, (path.absolute(), *sent))))
            while (message := limit.receive()) is not None:
                kind, content = message
                if kind == LOG:
                    _log(content)
                elif kind in {END, ERROR}:
                    self.is_busy = False
                    if kind == ERROR:
                        raise VideoError(path, json.loads(content))
                    return
                else:
                    has_answered = True
                    yield content if kind == PICTURE else self._remembered(path, _value(path, kind, content))
        code = self.stop(patience_seconds=5.0)
        if not (is_new or has_answered or limit.is_over):
            yield from self.ask(name, path, arguments, index)
            return
        raise VideoError(path, f"{TROUBLE} took more than {seconds:.0f} s" if limit.is_over else _reason(code))

    def _known(self, index: FrameIndex | None) -> FrameIndex | str | None:
        """Return what to send of an index: the process keeps the last one, which for None is one of its own."""
        if index is not None and index is self._last_index:
            return LAST
        self._last_index = index
        return None if index is None else replace(index, path=index.path.absolute())  # without its derived tables

    def _remembered(self, path: Path, value: Any) -> Any:
        """Return a value; an index gets the path that the caller gave, not the absolute one that was sent."""
        if isinstance(value, FrameIndex):
            self._last_index = value = replace(value, path=path)
        return value

    def kill(self) -> None:
        """Kill it; the thread that reads from it notices."""
        if self._process is not None:
            self._process.kill()

    def stop(self, patience_seconds: float = 0.0) -> int:
        """End it, and return its exit code."""
        process, self._process, self._last_index, self.is_busy = self._process, None, None, False
        return 0 if process is None else _stop(process, patience_seconds)

    def forget(self) -> None:
        """Close this process's copies of its pipes, after a fork."""
        process, self._process = self._process, None
        if process is not None:
            process.returncode = 0  # it is the child of another process
            _close_pipes(process)


class _TimeLimit:
    """Kills a process while its answer takes longer than `seconds`.

    Attributes:
        is_over: whether it was killed.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", seconds: float) -> None:
        self.is_over = False
        self._process, self._seconds = process, seconds
        self._deadline = time.monotonic() + seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "_TimeLimit":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def receive(self) -> tuple[bytes, Any] | None:
        """Return the next message; None if the process has ended."""
        self._deadline = time.monotonic() + self._seconds
        try:
            return receive(_pipe(self._process.stdout))
        except (OSError, ValueError):  # its pipes were closed
            return None
        finally:
            self._deadline = float("inf")

    def _watch(self) -> None:
        while not self._ended.wait(min(self._seconds, max(0.0, self._deadline - time.monotonic()))):
            if time.monotonic() >= self._deadline:
                self.is_over = True
                self._process.kill()
                return


def _value(path: Path, kind: bytes, content: bytes) -> Any:
    try:
        if kind == VALUE:
            return unpacked(content)
    except Exception as error:  # the decoder process was taken over or wrote into its own memory
        raise VideoError(path, f"{TROUBLE} broke the decoder ({type(error).__name__})") from error
    raise VideoError(path, "reading it broke the decoder (unknown answer)")


def _log(content: bytes) -> None:
    name, level, text = json.loads(content)
    logging.getLogger(name).log(level, "%s", text)


def _start() -> "subprocess.Popen[bytes]":
    package_parent = str(Path(urbanpipe.__file__).parents[1])
    search = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), package_parent)))
    single_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", WORKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        env={**os.environ, "PYTHONPATH": search, **single_thread},
    )
    enlarge_pipe(_pipe(process.stdout), PIPE_BYTES)
    message = receive(_pipe(process.stdout))
    if message is None or message[0] != READY:
        raise RuntimeError(f"the decoder process did not start (exit {_stop(process)}); python -m {WORKER} says why")
    return process


def _pipe(stream: Any) -> BinaryIO:
    return cast("BinaryIO", stream)


def _stop(process: "subprocess.Popen[bytes]", patience_seconds: float = 0.0) -> int:
    """Kill a process that has not ended by itself within `patience_seconds`; return its exit code."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(patience_seconds)
    process.kill()
    code = process.wait()
    _close_pipes(process)
    return code


def _close_pipes(process: "subprocess.Popen[bytes]") -> None:
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):  # unsent input of a dead process
            if pipe is not None:
                pipe.close()


def _reason(code: int) -> str:
    """Return why a process with this exit code gave no answer."""
    return TOO_MUCH_MEMORY if code == MEMORY_EXIT else f"{TROUBLE} crashed the decoder ({_cause(code)})"


def _cause(code: int) -> str:
    if code >= 0:
        return f"exit {code:#x}" if code >= _WINDOWS_CRASH else f"exit {code}"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
