"""The time budget of `fit`: wall time over all calls in one folder."""

import re
import time

from urbanpipe.errors import RunError

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([hms])")


def parse_budget(text: str) -> float:
    """Return the seconds of a budget such as `2h`, `45m` or `1h30m`.

    Raises:
        RunError: the text is not a positive duration.

    Example:
        >>> parse_budget("1h30m"), parse_budget("45m")
        (5400.0, 2700.0)
    """
    lowered = text.strip().lower()
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(lowered))
    if _PART.sub("", lowered).strip() or seconds <= 0:
        raise RunError(f"the budget {text!r} is not a duration; give hours, minutes or seconds, such as 2h or 1h30m")
    return seconds


class Budget:
    """Wall time that is left.

    Args:
        seconds: the whole budget.
        spent_seconds: time that earlier calls have used.
        started: `time.monotonic()` at the start of this call; default: now.
    """

    def __init__(self, seconds: float, spent_seconds: float = 0.0, started: float | None = None) -> None:
        self.seconds, self._before = seconds, spent_seconds
        self._started = time.monotonic() if started is None else started

    @property
    def spent_seconds(self) -> float:
        """Time used by this call and by earlier ones."""
        return self._before + time.monotonic() - self._started

    @property
    def left_seconds(self) -> float:
        """Time left, at least 0."""
        return max(0.0, self.seconds - self.spent_seconds)
