"""The C library's allocator, told to keep the memory of large tensors."""

import ctypes
import os
import sys
from contextlib import suppress
from functools import cache

# Parameters of mallopt(3) in glibc, and values that keep blocks of up to 1 GiB.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_LARGEST, _KEPT, _PAD = 2**30, 2**31 - 1, 64 * 2**20


@cache
def keep_freed_memory() -> bool:
    """Let glibc keep freed memory for the next tensor; return whether it is glibc, and does.

    By default glibc maps every large tensor anew and gives it back to the kernel afterwards, which clears the pages
    each time: up to a third of the CPU time of a pass through a small network. Memory that is kept counts as resident
    until the process ends (`benchmarks/allocator.md`). On other systems, and where the environment has settings of the
    allocator (`MALLOC_..._`, `GLIBC_TUNABLES`), nothing happens.
    """
    has_settings = any(name == "GLIBC_TUNABLES" or name.startswith("MALLOC_") for name in os.environ)
    if not sys.platform.startswith("linux") or has_settings:
        return False
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        settings = ((_M_MMAP_THRESHOLD, _LARGEST), (_M_TRIM_THRESHOLD, _KEPT), (_M_TOP_PAD, _PAD))
        return all(mallopt(parameter, value) == 1 for parameter, value in settings)
    return False
