"""What commands print: names of others cannot recolour or reorder a terminal, or forge a line."""

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from math import isfinite

from urbanpipe.outputs import plain_text

log = logging.getLogger(__name__)


def show(line: object, *, flush: bool = False) -> None:
    """Print one line, in which control and format characters are escaped."""
    print(plain_text(str(line)), flush=flush)


def complain(line: str) -> None:
    """Log one line as an error: on standard error, escaped in the same way, and in the log file."""
    log.error("%s", line)


def warn(line: str) -> None:
    """Log one line as a warning."""
    log.warning("%s", line)


def warn_of_demonstration() -> None:
    """Warn that the results are those of a demonstration bundle."""
    use = "do not rely on its results for real pipes"
    warn(f"urbanpipe: the bundle is a demonstration, trained on simulated videos: {use}")


def show_text(text: str) -> None:
    """Print text of several lines, such as a table, and escape control and format characters in each."""
    for line in text.split("\n"):
        show(line)


def show_json(data: Mapping[str, object]) -> None:
    """Print one JSON object; paths and dates become text, and numbers that JSON lacks become null.

    Characters that the encoding of the output may lack are escaped.
    """
    is_unicode = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "") == "utf8"
    text = json.dumps(_json_value(data), ensure_ascii=not is_unicode, indent=1, allow_nan=False, default=str)
    print(text, flush=True)


def _json_value(value: object) -> object:
    if hasattr(value, "dtype") and hasattr(value, "tolist"):  # scalars and arrays of numpy
        return _json_value(value.tolist())
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _json_value(item) for key, item in value.items()}
    if isinstance(value, Sequence | set) and not isinstance(value, str | bytes):
        return [_json_value(item) for item in value]
    return value
