"""Signals that end the process: the exit that their handler raises must reach the main program."""

import _thread
import signal
import sys
import threading
from typing import NoReturn

_AGAIN_SECONDS = 0.1


class SignalExit(SystemExit):
    """The end of the process by a signal.

    Args:
        number: number of the signal, whose handler raised it.
        code: exit status.
    """

    def __init__(self, number: int, code: int) -> None:
        super().__init__(code)
        self.number = number


def end_by_signal(number: int, code: int) -> NoReturn:
    """End the process from a signal handler.

    A handler may run anywhere, also in a finalizer or in a callback of a fork, where Python prints an exception and
    goes on. There it is called again soon after. Child processes that the same signal ends are no errors any more:
    torch would raise one, in place of this exit, from its handler of SIGCHLD.

    Args:
        number: number of the signal; its handler must be the caller.
        code: exit status.

    Raises:
        SignalExit: always.
    """
    if hasattr(signal, "SIGCHLD"):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    sys.unraisablehook = _again_where_dropped
    raise SignalExit(number, code)


def _again_where_dropped(dropped: "sys.UnraisableHookArgs", /) -> None:
    """Call the handler of a signal again whose exit Python has dropped.

    Other errors that it drops while the process ends are not printed: they are of objects that the exit left half-made.
    """
    if isinstance(dropped.exc_value, SignalExit):
        timer = threading.Timer(_AGAIN_SECONDS, _signal_main_thread, [dropped.exc_value.number])
        timer.daemon = True
        timer.start()


def _signal_main_thread(number: int) -> None:
    """Send a signal to the main thread, which ends what it waits for where the system can do that."""
    if hasattr(signal, "pthread_kill") and (main := threading.main_thread().ident) is not None:
        signal.pthread_kill(main, number)
    else:
        _thread.interrupt_main(signal.Signals(number))
