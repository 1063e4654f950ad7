"""What the library logs: on standard error, and in a file if one is asked for; the library itself prints nothing."""

import logging
import sys
from contextlib import suppress
from pathlib import Path

from urbanpipe.errors import OutputError
from urbanpipe.outputs import plain_text
from urbanpipe.progress import show_bars

_LOGGER = logging.getLogger("urbanpipe")
_LINE = "%(asctime)s %(levelname)s %(message)s"


class _StandardError(logging.Handler):
    """Write messages to whatever `sys.stderr` is now, one per line."""

    def emit(self, record: logging.LogRecord) -> None:
        print(plain_text(self.format(record)), file=sys.stderr, flush=True)


class _OneLine(logging.Formatter):
    """One line per message, which text of others cannot break or forge; a traceback follows as it is."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        return plain_text(super().formatMessage(record))


class _LogFile(logging.FileHandler):
    """Append messages to a file; if it cannot be written any more, say so once and go on without it."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802
        error = sys.exc_info()[1]
        _LOGGER.removeHandler(self)
        with suppress(OSError):
            self.close()
        _LOGGER.warning("the log file %s cannot be written any more (%s)", self.baseFilename, error)


def show_logs() -> None:
    """Show what the library logs from level INFO on; undoes `quieten` and `log_to`."""
    _LOGGER.setLevel(logging.INFO)
    _LOGGER.propagate = False
    for handler in [handler for handler in _LOGGER.handlers if isinstance(handler, _LogFile)]:
        _LOGGER.removeHandler(handler)
        handler.close()
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # its warnings about its own cache concern nobody
    if not any(isinstance(handler, _StandardError) for handler in _LOGGER.handlers):
        _LOGGER.addHandler(_StandardError())
    _set_shown_level(logging.INFO)


def quieten() -> None:
    """Show warnings and errors only, and no progress; a log file still gets everything."""
    _set_shown_level(logging.WARNING)


def log_to(path: Path) -> None:
    """Also append what is logged to a file, each line with time and level.

    Raises:
        OutputError: the file cannot be opened for writing.
    """
    try:
        file = _LogFile(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"--log-file {path} cannot be written ({reason}); give a file in a writable folder"
        ) from error
    file.setFormatter(_OneLine(_LINE))
    known = {handler.baseFilename for handler in _LOGGER.handlers if isinstance(handler, _LogFile)}
    if file.baseFilename in known:  # given before and after the verb
        file.close()
    else:
        _LOGGER.addHandler(file)


def log_crash() -> None:
    """Add the traceback of the current exception to the log file, if there is one."""
    record = _LOGGER.makeRecord(_LOGGER.name, logging.CRITICAL, "", 0, "unexpected error", (), sys.exc_info())
    for handler in _LOGGER.handlers:
        if isinstance(handler, _LogFile):
            handler.handle(record)


def _set_shown_level(level: int) -> None:
    for handler in _LOGGER.handlers:
        if isinstance(handler, _StandardError):
            handler.setLevel(level)
    show_bars(level <= logging.INFO)
