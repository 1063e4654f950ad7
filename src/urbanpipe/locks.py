"""Locks on folders."""

import fcntl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from urbanpipe.errors import RunError
from urbanpipe.outputs import output_folder


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
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not wait:
                raise RunError(f"another process is working in {folder}; wait for it, or give another --out") from None
            print(f"waiting for another process in {folder}", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
