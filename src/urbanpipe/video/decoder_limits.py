"""Limits of time and memory that a decoder process sets itself."""

import os
import signal
import sys
import threading
import time

from urbanpipe.platform_support import limit_address_space, used_memory_bytes

MEMORY_EXIT = 86
"""Exit code of a process that used too much memory where the system has no limit for it."""
TIME_EXIT = 87
"""Exit code of a process that took too long where the system has no timer for it."""
_LOOK_SECONDS = 0.25


class ProcessLimits:
    """Ends this process when it uses too much memory or takes too long.

    On Linux the system does both, whatever the process is busy with: an allocation beyond the limit fails, and a signal
    ends the process. Where it has no such limit (macOS, Windows) or no such timer (Windows), a thread looks four times
    a second; memory that is taken between two looks is not limited.

    Args:
        max_bytes: address space on Linux; committed memory on Windows, resident memory on macOS.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = None if limit_address_space(max_bytes) else max_bytes
        self._has_timer = hasattr(signal, "setitimer")
        self._deadline = float("inf")
        if self._max_bytes is not None or not self._has_timer:
            threading.Thread(target=self._watch, daemon=True).start()

    def end_in(self, seconds: float) -> None:
        """End this process after a time, also inside the decoder; 0 cancels it."""
        if sys.platform != "win32" and self._has_timer:
            signal.setitimer(signal.ITIMER_REAL, seconds)
        else:
            self._deadline = time.monotonic() + seconds if seconds else float("inf")

    def _watch(self) -> None:
        while True:
            time.sleep(_LOOK_SECONDS)
            if time.monotonic() >= self._deadline:
                os._exit(TIME_EXIT)
            if self._max_bytes is not None and used_memory_bytes() > self._max_bytes:
                os._exit(MEMORY_EXIT)
