"""Loading processes that the system ends."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from urbanpipe.errors import LoadingError

_LOST_WORKER = re.compile(r"DataLoader worker \(pid.*\) (?:is killed by signal: ([^.]*)|exited unexpectedly)")


@contextmanager
def lost_workers_explained() -> Iterator[None]:
    """Turn torch's error for a loading process that was ended by the system into one that says what to do.

    torch raises it from a signal handler, that is anywhere in the main process while it loads, not only in a loader.

    Raises:
        LoadingError: a loading process was ended.
    """
    try:
        yield
    except RuntimeError as error:
        if not (lost := _LOST_WORKER.match(str(error))):
            raise
        signal = f" ({lost[1]})" if lost[1] else ""
        raise LoadingError(
            f"a process that loads videos was ended by the system{signal}, most often because memory ran out; run the "
            "same command again, if need be with fewer loading processes: --workers, or --set training.workers; 0 "
            "loads in the main process"
        ) from error
