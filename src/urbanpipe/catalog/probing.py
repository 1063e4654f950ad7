"""Probe many videos in parallel, so that a video that hangs or crashes the decoder affects only itself."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import urbanpipe

PROBE_SECONDS = 60.0
PROBE_BYTES_PER_SECOND = 2e6
_WORKER = "urbanpipe.catalog.probe_worker"
TIMED_OUT, CRASHED = "reading it took more than", "reading it crashed the decoder"


def probe_all(paths: Sequence[Path], workers: int) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Probe videos in `workers` processes; yield each result when it is ready.

    A process is killed if it gives no answer for `PROBE_SECONDS` plus the time to read the file at
    `PROBE_BYTES_PER_SECOND`.

    Yields:
        The path and either the fields of `VideoInfo` by name or `{"reason": why it cannot be used}`.
    """
    processes = [_Prober() for _ in range(max(1, min(workers, len(paths))))]
    idle: SimpleQueue[_Prober] = SimpleQueue()
    for process in processes:
        idle.put(process)

    def one(path: Path) -> dict[str, Any]:
        process = idle.get()
        try:
            return process.probe(path)
        finally:
            idle.put(process)

    with ThreadPoolExecutor(len(processes)) as pool:
        try:
            waiting = {pool.submit(one, path): path for path in paths}
            for done in as_completed(waiting):
                yield waiting[done], done.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.close()


class _Prober:
    """One `probe_worker` process, started on first use and restarted after it died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._closed = False

    def probe(self, path: Path) -> dict[str, Any]:
        process = self._process = self._process or _start()
        assert process.stdin is not None
        assert process.stdout is not None
        if self._closed:
            self.close()
        limit = PROBE_SECONDS + _size(path) / PROBE_BYTES_PER_SECOND
        late = threading.Event()
        timer = threading.Timer(limit, _kill, (process, late))
        timer.start()
        try:
            process.stdin.write(json.dumps(str(path)) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except (OSError, ValueError):  # it died, or was closed, during the write
            line = ""
        finally:
            timer.cancel()
        if line.endswith("\n"):
            found: dict[str, Any] = json.loads(line)
            return found
        self._process = None
        code = _stop(process, patience_seconds=5.0)
        return {"reason": f"{TIMED_OUT} {limit:.0f} s" if late.is_set() else f"{CRASHED} ({_cause(code)})"}

    def close(self) -> None:
        self._closed = True
        if self._process is not None:
            _stop(self._process)


def _start() -> "subprocess.Popen[str]":
    package_parent = str(Path(urbanpipe.__file__).parents[1])
    search = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), package_parent)))
    process = subprocess.Popen(
        [sys.executable, "-m", _WORKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="ascii",
        env={**os.environ, "PYTHONPATH": search},
    )
    assert process.stdout is not None
    if process.stdout.readline() != "ready\n":
        raise RuntimeError(f"the probing process did not start (exit {_stop(process)}); python -m {_WORKER} says why")
    return process


def _kill(process: "subprocess.Popen[str]", late: threading.Event) -> None:
    late.set()
    process.kill()


def _stop(process: "subprocess.Popen[str]", patience_seconds: float = 0.0) -> int:
    """Kill a process that has not ended by itself within `patience_seconds`; return its exit code."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(patience_seconds)
    process.kill()
    code = process.wait()
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):  # unsent input of a dead process
            if pipe is not None:
                pipe.close()
    return code


def _cause(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit {code}"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
