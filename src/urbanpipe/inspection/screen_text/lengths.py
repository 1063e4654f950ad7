"""Numbers in on-screen text that may be distances."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from urbanpipe.contracts.quantities import DATE, METRES_PER_FOOT

_FEET_AND_INCHES = re.compile(
    r"(?<![\d.,])(?P<sign>-?)(?P<feet>\d{1,4})\s*(?:ft|feet|['’′])\s*(?P<inches>\d{1,2}(?:\.\d+)?)\s*(?:in|[\"”″]|'')",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"(?<![\d.,])(?<!\d-)(?P<number>[-+]?\d{1,5}(?:[.,]\d{1,3})?)(?![.,]?\d)\s*"
    r"(?P<unit>(?:m|ft|feet)(?![a-z/²³])|[米'’′])?(?!\s*[a-z%‰°℃\"”″/²³度])",
    re.IGNORECASE,
)
_FEET = {"ft", "feet", "'", "’", "′"}
_DATES_AND_CLOCKS = re.compile(DATE.pattern + r"|\d{1,2}\s?:\s?\d{2}(?:\s?[:.]\s?\d{2})?(?:[.,]\d{1,3})?")


@dataclass(frozen=True)
class LengthNumber:
    """A number that may be a length.

    Attributes:
        metres: its value in metres; a number without a unit is in metres.
        unit: `m` or `ft`; empty without a unit.
        begin: position of its first character in the text.
        end: position after its last character, its unit included.
    """

    metres: float
    unit: str
    begin: int
    end: int


def length_numbers(text: str) -> Iterator[LengthNumber]:
    """Yield the numbers in a text that may be lengths: with a unit of length, or with decimals and no unit.

    Parts of dates and clock times, and numbers with another unit are none.

    >>> [(one.metres, one.unit) for one in length_numbers("2021-05-06 10:12:31 D: 12,40 m")]
    [(12.4, 'm')]
    """
    rest = _blanked(_DATES_AND_CLOCKS, text)
    for found in _FEET_AND_INCHES.finditer(rest):
        yield LengthNumber(_metres(found), "ft", *found.span())
    for found in _NUMBER.finditer(_blanked(_FEET_AND_INCHES, rest)):
        number, unit = found["number"].replace(",", "."), (found["unit"] or "").lower()
        if unit or "." in number:
            feet = unit in _FEET
            value = float(number) * (METRES_PER_FOOT if feet else 1)
            yield LengthNumber(value, "ft" if feet else "m" if unit else "", *found.span())


def feet_and_inches(text: str) -> float | None:
    """Return the metres of a text whose only numbers are feet and inches at its end; else None.

    >>> feet_and_inches("Dist 12 ft 6 in"), feet_and_inches("12 ft")
    (3.81, None)
    """
    found = _FEET_AND_INCHES.search(text)
    if not found or found.end() < len(text.rstrip()) or re.search(r"\d", text[: found.start()]):
        return None
    return round(_metres(found), 3)


def _metres(found: re.Match[str]) -> float:
    metres = (int(found["feet"]) + float(found["inches"]) / 12) * METRES_PER_FOOT
    return -metres if found["sign"] else metres


def _blanked(pattern: re.Pattern[str], text: str) -> str:
    """Return a text with spaces in place of what matches a pattern."""
    return pattern.sub(lambda found: " " * len(found[0]), text)
