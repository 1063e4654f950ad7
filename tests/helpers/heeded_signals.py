"""Signals that a started process must not ignore."""

import signal


def heed_signals() -> None:
    """Undo what a shell does to background jobs, and `nohup` to its command: tests may run in either."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
