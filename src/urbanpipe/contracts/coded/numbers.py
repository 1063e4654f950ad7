"""Numbers as exchange files hold them; what is not a number is None."""

import math
import re

_DECIMAL = re.compile(r"-?\d{1,9}(\.\d{1,9})?", re.ASCII)
_WHOLE = re.compile(r"\d{1,10}", re.ASCII)
_HOURS = range(1, 13)


def decimal(text: str) -> float | None:
    """Return a decimal number with a point, or None."""
    return float(text) if _DECIMAL.fullmatch(text) else None


def whole(text: str) -> int | None:
    """Return a whole number of 0 or more, or None."""
    return int(text) if _WHOLE.fullmatch(text) else None


def hour(text: str) -> int | None:
    """Return an hour of a clock from 1 to 12, or None; 0 stands for no position."""
    number = whole(text)
    return number if number in _HOURS else None


def quantity(text: str) -> str:
    """Return a quantification, a number without trailing zeros.

    >>> quantity("100.00"), quantity("20-30")
    ('100', '20-30')
    """
    number = decimal(text)
    return text if number is None or not math.isfinite(number) else f"{number:.9g}"
