"""What differs between Linux, macOS and Windows: the only module that imports what not all of them have."""

import ctypes
import errno
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeVar

T = TypeVar("T")

IS_WINDOWS = os.name == "nt"
MAX_WINDOWS_PATH = 259  # characters of a path in programs without support for longer ones
_PAUSES_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
_GPU_DEVICES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")


def retried(action: Callable[[], T]) -> T:
    """On Windows, call a function again, for at most 1.6 s, while it raises PermissionError.

    There, a file that a virus scanner, a search index or a reader has open can be neither replaced nor removed. Most of
    them close it within milliseconds. On other systems the error means missing rights, so nothing is tried again.
    """
    for pause in _PAUSES_SECONDS if IS_WINDOWS else ():
        try:
            return action()
        except PermissionError:
            time.sleep(pause)
    return action()


def is_broken_pipe(error: OSError) -> bool:
    """Return whether the reader of a pipe has closed it.

    Windows then says that an argument is invalid, as it does of the name of a file, which the error then has.
    """
    is_of_pipe = error.errno == errno.EINVAL and error.filename is None
    return isinstance(error, BrokenPipeError) or (IS_WINDOWS and is_of_pipe)


def is_too_long(path: Path) -> bool:
    """Return whether a path is longer than Windows allows, unless it is set up for long paths."""
    return IS_WINDOWS and len(os.path.abspath(path)) > MAX_WINDOWS_PATH  # noqa: PTH100 - it need not exist


def loader_start_method() -> Literal["fork", "spawn"]:
    """Return how processes that load training data start: a fork, which is fast, where it is safe."""
    return "fork" if sys.platform.startswith("linux") and hasattr(os, "fork") else "spawn"


def may_have_gpu() -> bool:
    """Return whether the machine may have a GPU for CUDA or ROCm, without importing torch."""
    if IS_WINDOWS:
        return Path(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32", "nvcuda.dll").exists()
    return any(Path(path).exists() for path in _GPU_DEVICES)


def peak_memory_bytes() -> int:
    """Return the largest resident memory of this process so far; on Linux, since `reset_peak_memory`.

    Where the system counts no peak, it is the resident memory now.
    """
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) << 10
    if sys.platform != "win32":
        with suppress(ImportError):
            import resource

            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            return peak if sys.platform == "darwin" else peak << 10
    memory = _memory()
    return int(getattr(memory, "peak_wset", memory.rss))  # of Windows


def reset_peak_memory() -> None:
    """Begin a new measurement of the peak on Linux; elsewhere nothing happens."""
    if sys.platform.startswith("linux"):
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)  # freed memory that the C library keeps would count as resident
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def used_memory_bytes() -> int:
    """Return the memory of this process: committed on Windows, resident elsewhere."""
    memory = _memory()
    return int(getattr(memory, "private", memory.rss))


def _memory() -> Any:
    import psutil  # not for every command

    return psutil.Process().memory_info()


def limit_address_space(max_bytes: int) -> bool:
    """Let allocations of this process fail beyond a size; return whether the system does so (Linux does).

    Also switches off core dumps. A lower limit that is already set stays.
    """
    if sys.platform != "win32":
        with suppress(ImportError, OSError, ValueError):
            import resource

            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            if sys.platform.startswith("linux"):  # macOS accepts the limit and ignores it
                resource.setrlimit(resource.RLIMIT_AS, (max_bytes, max_bytes))
                return True
    return False


def enlarge_pipe(stream: BinaryIO, size_bytes: int) -> None:
    """Let a pipe hold more bytes where the system can (Linux); larger pipes save switches between processes."""
    if sys.platform.startswith("linux"):
        with suppress(ImportError, OSError):
            import fcntl

            fcntl.fcntl(stream, fcntl.F_SETPIPE_SZ, size_bytes)
