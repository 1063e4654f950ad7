"""What the library logs, on standard error; the library itself prints nothing."""

import logging
import sys

from urbanpipe.outputs import plain_text


class _StandardError(logging.Handler):
    """Write messages to whatever `sys.stderr` is now, one per line."""

    def emit(self, record: logging.LogRecord) -> None:
        print(plain_text(self.format(record)), file=sys.stderr, flush=True)


def show_logs() -> None:
    """Show what the library logs from level INFO on; calling it again changes nothing."""
    logger = logging.getLogger("urbanpipe")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    if not any(isinstance(handler, _StandardError) for handler in logger.handlers):
        logger.addHandler(_StandardError())
