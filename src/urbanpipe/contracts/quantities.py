"""Lengths, diameters, dates and times as people write them: with units, decimal commas and several orders."""

import re
from datetime import date, timedelta
from decimal import Decimal
from unicodedata import normalize

_UNITS = {
    "1": ("m", "meter", "meters", "metre", "metres", "米", "公尺"),
    "0.01": ("cm", "厘米", "公分"),
    "0.001": ("mm", "毫米"),
    "1000": ("km", "千米", "公里"),
    "0.3048": ("ft", "foot", "feet", "'", "′", "英尺"),
    "0.0254": ("in", "inch", "inches", '"', "″", "''", "英寸"),
}
_METRES = {name: Decimal(metres) for metres, names in _UNITS.items() for name in names}
UNITS = frozenset(name for name in _METRES if name.isalpha())
"""Units of lengths, without marks such as those of feet and inches."""
METRES_PER_FOOT = float(_METRES["ft"])
_NOMINAL = {"dn", "ø", "ф", "φ", "⌀"}
_QUANTITY = re.compile(r"(-?(?:\d{1,9}(?:[.,]\d{1,9})?|[.,]\d{1,9}))([^\d.,]*)")
_THOUSANDS = re.compile(r"[1-9]\d{0,2},\d{3}")
_YEAR_FIRST = re.compile(r"(\d{4})([-/.年])(\d{1,2})[-/.月](\d{1,2})日?")
_DAY_FIRST = re.compile(r"(\d{1,2})\.\s?(\d{1,2})\.\s?(\d{4})")
_ANY_ORDER = re.compile(r"(\d{1,2})[/-](\d{1,2})[/-](\d{4})")
_COMPACT = re.compile(r"((?:19|20)\d{2})(\d{2})(\d{2})")
_SERIAL = re.compile(r"\d{5}")
_SERIAL_DAYS = (36_526, 73_050)  # of the years 2000 to 2099 in Excel
_EXCEL_BEGIN = date(1899, 12, 30)
_MIDNIGHT = re.compile(r"[T ]0?0:00(:00(\.0+)?)?$")
_SHORT_YEAR = re.compile(r"\d{1,2}[-/.]\s?\d{1,2}[-/.]\s?\d{2}")
DATE = re.compile(
    r"\d{4}\s?[-/.年]\s?\d{1,2}\s?[-/.月]\s?\d{1,2}日?|(?<!\d)\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2}(?!\d))"
)
"""Dates within other text, those with a year of two digits among them."""
CLOCK = re.compile(
    r"(?:(?P<before>上午|下午|(?<![a-z])[ap]\.?m\.?)\s?)?"
    r"(?<![\d:])(?P<hour>[01]?\d|2[0-3])\s?(?::|\.(?=[0-5]\d\s?[ap]\.?\s?m))\s?(?P<minute>[0-5]\d)"
    r"(?:\s?:\s?(?P<second>[0-5]\d)(?:\.\d+)?)?(?:\s?(?P<after>[ap]\.?\s?m(?![a-z])\.?))?(?![\d:])",
    re.IGNORECASE,
)
"""Times of day within other text."""


def metres_of(text: str) -> Decimal:
    """Return a length in metres; a number without a unit is in metres.

    >>> [str(metres_of(text)) for text in ("40 m", "3,5", "4000 mm")]
    ['40', '3.5', '4']

    Raises:
        ValueError: it is no length, its unit is not known, or its comma may separate decimals or thousands.
    """
    number, unit = _number_and_unit(text)
    return _short(number * _factor(text, unit or "m"))


def millimetres_of(text: str) -> Decimal:
    """Return a diameter in millimetres; a number without a unit, also after DN, is in millimetres.

    >>> [str(millimetres_of(text)) for text in ("600", "DN 600", "0.6 m", "24 in", '24"')]
    ['600', '600', '600', '609.6', '609.6']

    Raises:
        ValueError: it is no diameter, its unit is not known, or its comma may separate decimals or thousands.
    """
    folded = _folded(text)
    bare = next((folded.removeprefix(sign).strip() for sign in _NOMINAL if folded.startswith(sign)), folded)
    number, unit = _number_and_unit(bare)
    return _short(number * _factor(text, unit or "mm") * 1000)


def iso_date(text: str) -> str:
    """Return a day as year-month-day; text that is no date in a known style is returned unchanged.

    >>> [iso_date(text) for text in ("2026-01-31", "31.1.2026", "2026/01/31", "20260131", "1/31/2026", "46053")]
    ['2026-01-31', '2026-01-31', '2026-01-31', '2026-01-31', '2026-01-31', '2026-01-31']

    Raises:
        ValueError: it is a date in two ways, no day of the calendar, or has a year of two digits.
    """
    text = _MIDNIGHT.sub("", normalize("NFKC", text).strip())
    if found := _YEAR_FIRST.fullmatch(text):
        return _day(int(found[1]), int(found[3]), int(found[4]), text)
    if found := _DAY_FIRST.fullmatch(text):  # no country writes the month first with dots
        return _day(int(found[3]), int(found[2]), int(found[1]), text)
    if found := _ANY_ORDER.fullmatch(text):
        return _either_order(int(found[1]), int(found[2]), int(found[3]), text)
    if found := _COMPACT.fullmatch(text):
        return _day(int(found[1]), int(found[2]), int(found[3]), text)
    if _SERIAL.fullmatch(text) and _SERIAL_DAYS[0] <= int(text) <= _SERIAL_DAYS[1]:
        return (_EXCEL_BEGIN + timedelta(days=int(text))).isoformat()
    if _SHORT_YEAR.fullmatch(text):
        raise ValueError(f"{text} has a year of two digits; write year-month-day, such as 2026-01-31")
    return text


def clock_time(text: str) -> str:
    """Return a time of day as hh:mm; text that is none is returned unchanged.

    >>> clock_time("9:05"), clock_time("14:30:00"), clock_time("2.12 p.m."), clock_time("noon")
    ('09:05', '14:30', '14:12', 'noon')
    """
    found = CLOCK.fullmatch(normalize("NFKC", text).strip())
    if not found:
        return text
    half, hour = (found["before"] or found["after"] or "").casefold(), int(found["hour"])
    is_morning = half.startswith(("a", "上"))
    if is_morning and hour > 12:
        return text
    if half and hour <= 12:
        hour = hour % 12 + (0 if is_morning else 12)
    return f"{hour:02}:{found['minute']}"


def _folded(text: str) -> str:
    """Return a text in lower case; full-width marks become plain, and primes stay."""
    return "".join(mark if mark in "′″" else normalize("NFKC", mark) for mark in text).strip().casefold()


def _number_and_unit(text: str) -> tuple[Decimal, str]:
    found = _QUANTITY.fullmatch(_folded(text))
    if not found:
        raise ValueError(f"{text!r} is not a number with a unit, such as 40 m or 3.5")
    if _THOUSANDS.fullmatch(found[1]):
        point, joined = found[1].replace(",", "."), found[1].replace(",", "")
        raise ValueError(f"{text!r} may be {point} or {joined}; write one of them")
    return Decimal(found[1].replace(",", ".")), found[2].strip().rstrip(".")


def _short(number: Decimal) -> Decimal:
    """Return a number without zeros at its end: 600.00 becomes 600."""
    return number.normalize() + 0


def _factor(text: str, unit: str) -> Decimal:
    if unit not in _METRES:
        raise ValueError(f"{text!r} has an unknown unit; write m, cm, mm, ft or in")
    return _METRES[unit]


def _either_order(first: int, second: int, year: int, text: str) -> str:
    if first == second or second > 12:
        return _day(year, first, second, text)
    if first > 12:
        return _day(year, second, first, text)
    ways = " or ".join(_day(year, month, day, text) for month, day in ((first, second), (second, first)))
    raise ValueError(f"{text} may be {ways}; write one of them")


def _day(year: int, month: int, day: int, text: str) -> str:
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        raise ValueError(f"{text} is no day of the calendar; expected year-month-day, such as 2026-01-31") from None
