"""Words that name fields of inspection data: on the screen, and in the headings of tables."""

import re
import tomllib
from functools import lru_cache
from pathlib import Path
from unicodedata import normalize

from urbanpipe.contracts.quantities import UNITS
from urbanpipe.text_files import INVISIBLE

_WORDS = Path(__file__).with_suffix(".toml")
_MARKS = {"length_m": UNITS, "diameter_mm": UNITS, "region": {"k"}, "soil": {"t"}}
"""What may stand after the name of a field in a heading: units, or the letter of the factor."""
_BARE = re.compile(r"-?(?:\d+(?:[.,]\d+)?|[.,]\d+)")


@lru_cache
def words_by_field() -> dict[str, list[str]]:
    """Return the words that name each field of inspection data, and manholes."""
    known: dict[str, list[str]] = tomllib.loads(_WORDS.read_text(encoding="utf-8"))
    return known


def field_of(heading: str) -> tuple[str, str]:
    """Return the field that a heading names and the unit after it, in any case and with or without spaces.

    A heading that names no field is returned unchanged, as is one with another unit than its field has in its name.

    >>> field_of("Length (ft)"), field_of("管径 mm"), field_of("From manhole"), field_of("length_m (ft)")
    (('length_m', 'ft'), ('diameter_mm', 'mm'), ('from_manhole', ''), ('length_m (ft)', ''))
    """
    plain = normalize("NFKC", heading.translate(INVISIBLE)).casefold().strip()
    if field := _fields().get(_joined(plain)):
        return field, ""
    found = _mark_pattern().fullmatch(plain)
    field = _fields().get(_joined(found["name"])) if found else None
    if not found or not field or found["mark"] not in _MARKS.get(field, ()):
        return heading, ""
    if _joined(found["name"]) == _joined(field) and field.endswith("m") and found["mark"] != field.split("_")[-1]:
        return heading, ""
    return field, found["mark"] if _MARKS[field] is UNITS else ""


def with_unit(number: str, unit: str) -> str:
    """Return a cell with the unit of its heading, unless it is no bare number.

    >>> with_unit("40", "ft"), with_unit("12 m", "ft"), with_unit("40", "")
    ('40 ft', '12 m', '40')
    """
    return f"{number} {unit}" if unit and _BARE.fullmatch(normalize("NFKC", number).strip()) else number


def _joined(text: str) -> str:
    return re.sub(r"[\s_]", "", text)


@lru_cache
def _fields() -> dict[str, str]:
    from_words = {_joined(word.casefold()): field for field, words in words_by_field().items() for word in words}
    return from_words | {_joined(field): field for field in words_by_field()}


@lru_cache
def _mark_pattern() -> re.Pattern[str]:
    marks = sorted({mark for known in _MARKS.values() for mark in known}, key=len, reverse=True)
    either = "|".join(map(re.escape, marks))
    return re.compile(rf"(?P<name>.+?)(?:\s*[(\[]\s*|[\s_]+)(?P<mark>{either})\s*[)\]]?")
