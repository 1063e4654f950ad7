"""Locks between processes, on files and folders."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from urbanpipe.errors import RunError
from urbanpipe.outputs import output_folder

log = logging.getLogger(__name__)


@contextmanager
def folder_lock(folder: Path, wait: bool = False) -> Iterator[None]:
    """Hold a folder while the block runs; the hold ends with the process, however it ends.

    Args:
        folder: made if it is not there.
        wait: for another process to let go of it, instead of giving up.

    Raises:
        RunError: another process works in it.
        OutputError: it cannot be written to.
    """
    output_folder(folder)
    with file_lock(folder / ".lock", busy=folder, wait=wait):
        yield


@contextmanager
def file_lock(path: Path, busy: Path, wait: bool = False) -> Iterator[None]:
    """Hold a lock file, in a folder that exists, while the block runs.

    Args:
        path: of the lock file.
        busy: what it stands for, for messages.
        wait: for another process to let go of it, instead of giving up.

    Raises:
        RunError: another process holds it.
    """
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise RunError(f"another process is working in {busy}; wait for it, or give another --out") from None
        log.info("waiting for another process in %s", busy)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
