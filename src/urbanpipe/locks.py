"""Locks on files and folders, shared by all processes."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from urbanpipe.errors import BusyError
from urbanpipe.outputs import output_folder

log = logging.getLogger(__name__)


@contextmanager
def folder_lock(folder: Path, wait: bool = False) -> Iterator[None]:
    """Lock a folder while the block runs; the lock is also released when the process ends in any way.

    Args:
        folder: the folder, created if it does not exist.
        wait: whether to wait for another process to release the lock, instead of raising.

    Raises:
        BusyError: another process holds the lock.
        OutputError: the folder cannot be written to.
    """
    output_folder(folder)
    with file_lock(folder / ".lock", busy=folder, wait=wait):
        yield


@contextmanager
def file_lock(path: Path, busy: Path, wait: bool = False) -> Iterator[None]:
    """Hold a lock file while the block runs; its folder must exist.

    Args:
        path: path of the lock file.
        busy: file or folder that the lock protects, for messages.
        wait: whether to wait for another process to release the lock, instead of raising.

    Raises:
        BusyError: another process holds the lock.
    """
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise BusyError(f"another process is working in {busy}; wait for it, or give another --out") from None
        log.info("waiting for another process in %s", busy)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
