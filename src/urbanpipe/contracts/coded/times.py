"""Times of observations in a film: time codes `HHMMSSff` and video references."""

import re

FRAME_RATE = 25
"""Frames per second of a time code whose film has none."""
MAX_SECONDS = 100 * 3600
"""Time codes end before 100 hours."""
_CLOCK = re.compile(r"(\d{1,2}):(\d{2}):(\d{2})(?:([:.])(\d{1,3}))?", re.ASCII)
_COUNTER = re.compile(r"\d{1,6}", re.ASCII)
_LIMIT = 60


def timecode(seconds: float, frame_rate: int | None) -> str:
    """Return a time as `HHMMSSff`; `seconds` is below `MAX_SECONDS`.

    >>> timecode(3723.4, None)
    '01020310'
    """
    rate = frame_rate or FRAME_RATE
    whole, frames = divmod(round(seconds * rate), rate)
    return f"{whole // 3600:02d}{whole % 3600 // 60:02d}{whole % 60:02d}{frames:02d}"


def from_timecode(text: str, frame_rate: int | None) -> float | None:
    """Return the seconds of `HHMMSSff`, whose leading zeros may be missing; None if it is not a time.

    >>> from_timecode("1020310", None)
    3723.4
    """
    if not text.isascii() or not text.isdecimal() or len(text) > len("HHMMSSff"):
        return None
    digits = text.zfill(len("HHMMSSff"))
    hours, minutes, seconds, frames = (int(digits[i : i + 2]) for i in range(0, 8, 2))
    return _seconds(hours, minutes, seconds, frames / (frame_rate or FRAME_RATE))


def clock(seconds: float) -> str:
    """Return a time as `hh:mm:ss`, rounded down to the second.

    >>> clock(3723.44)
    '01:02:03'
    """
    whole = int(seconds)
    return f"{whole // 3600:02d}:{whole % 3600 // 60:02d}:{whole % 60:02d}"


def from_video_reference(text: str) -> float | None:
    """Return the seconds of a video reference of EN 13508-2; None if it is not a time.

    `hh:mm:ss`, `hh:mm:ss.s`, `hh:mm:ss:ff`, `HHMMSSff`, or a counter of up to six digits, `hmmss` without zeros.

    >>> from_video_reference("01:02:03.4"), from_video_reference("14808"), from_video_reference("75")
    (3723.4, 6488.0, None)
    """
    if match := _CLOCK.fullmatch(text):
        hours, minutes, seconds, mark, rest = match.groups()
        fraction = 0.0 if rest is None else float(f"0.{rest}") if mark == "." else int(rest) / FRAME_RATE
        return _seconds(int(hours), int(minutes), int(seconds), fraction)
    if _COUNTER.fullmatch(text):
        digits = text.zfill(6)
        return _seconds(int(digits[:2]), int(digits[2:4]), int(digits[4:]), 0.0)
    return from_timecode(text, None)


def _seconds(hours: int, minutes: int, seconds: int, fraction: float) -> float | None:
    if minutes >= _LIMIT or seconds >= _LIMIT:
        return None
    return round(hours * 3600 + minutes * 60 + seconds + fraction, 3)
