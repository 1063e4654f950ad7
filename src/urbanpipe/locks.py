"""Locks on files and folders, shared by all processes."""

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from urbanpipe.errors import BusyError
from urbanpipe.outputs import explained, output_folder

log = logging.getLogger(__name__)

_NO_LOCK_SERVICE = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}


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

    If the file system has no working lock service, the block runs without a lock, after one warning.

    Raises:
        BusyError: another process holds the lock.
        OutputError: the lock file cannot be written.
    """
    lock = FileLock(path, thread_local=False)
    try:
        _acquire(lock, busy, wait)
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno not in _NO_LOCK_SERVICE:
            with explained(path):
                raise
        _warn_once(getattr(error, "strerror", None) or str(error))
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: BaseFileLock, busy: Path, wait: bool) -> None:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise BusyError(f"another process is working in {busy}; wait for it, or give another --out") from None
        log.info("waiting for another process in %s", busy)
        lock.acquire()


@cache
def _warn_once(reason: str) -> None:
    log.warning("this file system has no file locks (%s): do not run two processes with the same folder", reason)
