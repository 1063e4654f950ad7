"""Work in a thread of its own that several callers wait for, and that ends with the process."""

import atexit
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any, Generic, TypeVar
from weakref import WeakSet

T = TypeVar("T")
PATIENCE_SECONDS = 5.0
Report = Callable[[float], None]


class Job(Generic[T]):
    """Work that has been started.

    Attributes:
        share: how much of the work is done, from 0 to 1.

    Args:
        work: the function to run; it gets a function that it calls with the share done, and that raises
            `CancelledError` once the job is cancelled.
        name: name of the thread.
    """

    def __init__(self, work: Callable[[Report], T], *, name: str) -> None:
        self.share = 0.0
        self._cancelled = threading.Event()
        self._future: Future[T] = Future()
        self._thread = threading.Thread(target=self._run, args=(work,), name=name, daemon=True)
        _jobs.add(self)
        self._thread.start()

    @property
    def is_done(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self._future.done()

    @property
    def error(self) -> BaseException | None:
        """What it failed with; None if it did not, or has not ended."""
        return self._future.exception() if self._future.done() else None

    def result(self) -> T:
        """Wait for the end, and return what the work returned or raise what it raised."""
        return self._future.result()

    def cancel(self) -> None:
        """Let the next report of the work end it."""
        self._cancelled.set()

    def join(self, seconds: float) -> None:
        """Wait for the end for at most some seconds."""
        self._thread.join(seconds)

    def _report(self, share: float) -> None:
        if self._cancelled.is_set():
            raise CancelledError
        self.share = share

    def _run(self, work: Callable[[Report], T]) -> None:
        try:
            value = work(self._report)
        except BaseException as error:  # the callers get it
            self._future.set_exception(error)
        else:
            self.share = 1.0
            self._future.set_result(value)


_jobs: "WeakSet[Job[Any]]" = WeakSet()


def _end_all() -> None:
    running = [job for job in _jobs if not job.is_done]
    for job in running:
        job.cancel()
    for job in running:
        job.join(PATIENCE_SECONDS)


atexit.register(_end_all)
