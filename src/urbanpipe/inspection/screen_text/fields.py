"""Proposals for inspection data from on-screen text."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pydantic import ValidationError

from urbanpipe.contracts.inspection_data import InspectionData, printable, words_of
from urbanpipe.contracts.quantities import CLOCK, DATE, clock_time
from urbanpipe.inspection.screen_text.distance import SURE
from urbanpipe.inspection.screen_text.frames import ReadFrame
from urbanpipe.inspection.screen_text.places import in_one_row
from urbanpipe.inspection.screen_text.reader import TextLine
from urbanpipe.inspection.screen_text.words import BOTH_MANHOLES, MANHOLES, NamedText, named_texts, plain_line
from urbanpipe.settings import plain_message

MAX_CHARACTERS = 60
"""Longest value; longer text is a sentence."""
_NUMERIC = ("length_m", "diameter_mm")
_CHANGING = 3  # values of a number from which on it is a counter
_YEAR = re.compile(r"\d{4}")  # names of manholes may look like a date without one
_NOMINAL = re.compile(r"(?:\bDN|(?<=[a-zA-Z\s])DN|[ØøΦφ⌀Ф])\s?[:.]?\s?(\d{2,4})(?!\d)")
_QUANTITY = re.compile(r"\d{1,5}(?:[.,]\d{1,3})?\s?(?:mm|cm|m|米|毫米|ft|in\b|[\"”″'’′])?", re.IGNORECASE)
_BETWEEN = re.compile(r"\s*(?:->|=>|→|至|到|~|–|—|>)\s*")
_ZERO = re.compile(r"(?<=\d)o(?=o?(?:\d|\s?mm|$))", re.IGNORECASE)
_MANHOLE = re.compile(r"^(?:MH|manhole|schacht)[\s:.]*(?=\S)", re.IGNORECASE)
_AS_READ = (*["street", "segment", "from_manhole", "to_manhole", "material", "operator", "job", "client", "weather"],)


@dataclass(frozen=True)
class Proposal:
    """A value for a field of `InspectionData` that was read on the screen; a person must check it.

    Attributes:
        field: name of the field.
        value: the value, as a table has it; empty where the text has no certain meaning.
        text: the text as it was read.
        seconds: when it was read first.
        score: mean confidence of the recognition, from 0 to 1.
        doubt: why a person must look closely; empty without a reason.
    """

    field: str
    value: str
    text: str
    seconds: float
    score: float
    doubt: str = ""


@dataclass(frozen=True)
class _Read:
    """A text for a field, as one frame shows it."""

    field: str
    text: str
    line: str
    seconds: float
    score: float


def proposals_of(frames: Sequence[ReadFrame]) -> list[Proposal]:
    """Return the proposals from the text of some frames of a video, at most one per field.

    Of several values of a field, the one that was read most often and most certainly is proposed. A clock gives its
    first time. A length or diameter that changes is a counter, and none.
    """
    by_field: dict[str, list[_Read]] = defaultdict(list)
    for frame in frames:
        for read in _read_in(frame):
            by_field[read.field].append(read)
    names = [name for name in InspectionData.model_fields if name in by_field]
    found = [one for name in names if (one := _proposal(name, by_field[name]))]
    return [_with_order_doubt(one, found) for one in found]


def _proposal(field: str, reads: Sequence[_Read]) -> Proposal | None:
    by_value: dict[str, list[_Read]] = defaultdict(list)
    doubts: dict[str, str] = {}
    for read in reads:
        value, doubt = _value(field, read.text)
        if value or doubt:
            value = next((known for known in by_value if _without_spaces(known) == _without_spaces(value)), value)
            by_value[value].append(read)
            doubts.setdefault(value, doubt)
    if not by_value or (field in _NUMERIC and len(by_value) >= _CHANGING):
        return None
    first = min(by_value, key=lambda value: by_value[value][0].seconds)
    best = first if field == "time" else max(by_value, key=lambda value: _weight(value, by_value[value]))
    others = [value for value in by_value if value not in (best, "") and field != "time"]
    doubt = doubts[best] or (f"also read as {others[0]!r}" if others else "")
    chosen = by_value[best]
    score = sum(read.score for read in chosen) / len(chosen)
    variants = Counter(_value(field, read.text)[0] for read in chosen)
    spaced = max(variants, key=lambda value: (value.count(" "), variants[value]))
    return Proposal(field, spaced, chosen[0].line, chosen[0].seconds, round(score, 3), doubt)


def _without_spaces(text: str) -> str:
    """Return a text as the recognition of other frames may have it, which loses spaces."""
    return text.replace(" ", "").casefold()


def _weight(value: str, reads: Sequence[_Read]) -> tuple[bool, float]:
    return bool(value), sum(read.score for read in reads)


def _with_order_doubt(one: Proposal, found: Sequence[Proposal]) -> Proposal:
    """Return the proposal; a first manhole of an upstream inspection gets a doubt, as it may be the lower one."""
    against = any(other.field == "direction" and other.value == "upstream" for other in found)
    if not against or one.doubt or one.field not in ("from_manhole", "to_manhole"):
        return one
    order = "upper and lower manhole may be the other way round: the camera goes upstream"
    return Proposal(one.field, one.value, one.text, one.seconds, one.score, order)


def _read_in(frame: ReadFrame) -> Iterator[_Read]:
    """Yield the texts for fields in a frame; uncertain lines are left out."""
    sure = [line for line in frame.lines if line.score >= SURE]
    for line in sure:
        plain, named = plain_line(line.text), named_texts(line.text)
        for one in _manholes_apart(named):
            value = None if one.text else _text_beside(line, sure)
            text, score = (value.text, min(line.score, value.score)) if value else (one.text, line.score)
            whole = f"{plain} {plain_line(text)}" if value else plain
            if one.field == "time" and _is_elapsed(text, frame.seconds):
                continue
            yield _Read(one.field, plain_line(text), whole, frame.seconds, score)
        texts = " ".join(one.text for one in named) if named else plain  # `Upstream MH: 12` says no direction
        for field, text in _unnamed(texts, {one.field for one in named if one.text}):
            if field != "time" or not _is_elapsed(text, frame.seconds):
                yield _Read(field, text, plain, frame.seconds, line.score)


def _manholes_apart(named: Sequence[NamedText]) -> Iterator[NamedText]:
    """Yield fields of inspection data: two manholes after one word become two fields."""
    for number, one in enumerate(named):
        following = named[number + 1].field if number + 1 < len(named) else ""
        parts = _BETWEEN.split(one.text)
        if one.field == BOTH_MANHOLES and len(parts) == 1:
            parts = _halves(one.text)
        if one.field in (MANHOLES, BOTH_MANHOLES, "segment", "from_manhole") and len(parts) == 2:
            yield NamedText("from_manhole", parts[0])
            yield NamedText("to_manhole", _MANHOLE.sub("", parts[1]))
        elif one.field not in (MANHOLES, BOTH_MANHOLES):
            yield one
        elif following == "to_manhole":
            yield NamedText("from_manhole", one.text)


def _halves(text: str) -> list[str]:
    """Return the two names that a dash separates, which may have as many dashes each: `1-153-1-154`."""
    parts = text.split("-")
    half = len(parts) // 2
    return ["-".join(parts[:half]), "-".join(parts[half:])] if len(parts) == 2 * half else [text]


def _text_beside(line: TextLine, lines: Sequence[TextLine]) -> TextLine | None:
    """Return the next line to the right in the same row, unless it begins another field."""
    right = [
        other for other in lines if other.box[0] >= line.box[0] + line.box[2] / 2 and in_one_row(line.box, other.box)
    ]
    nearest = min((other for other in right if other is not line), key=lambda other: other.box[0], default=None)
    return nearest if nearest and not named_texts(nearest.text) else None


def _unnamed(line: str, named: set[str]) -> Iterator[tuple[str, str]]:
    """Yield fields whose values need no word before them, unless the line names them."""
    if "date" not in named and (day := DATE.search(line)) and _YEAR.search(day[0]):
        yield "date", day[0]
    if "time" not in named and (clock := CLOCK.search(DATE.sub(" ", line))) and ":" in clock[0]:
        yield "time", clock[0]
    if "diameter_mm" not in named and (nominal := _NOMINAL.search(line)):
        yield "diameter_mm", nominal[0]
    if "direction" not in named and (word := _direction_words().search(line.casefold())):
        yield "direction", word[0]


def _is_elapsed(clock: str, seconds: float) -> bool:
    """Return whether a clock, as hh:mm:ss or mm:ss, counts the time since the begin of the video."""
    found = CLOCK.search(clock)
    if not found or found["before"] or found["after"]:
        return False
    parts = [int(part) for part in (found["hour"], found["minute"], found["second"]) if part]
    *hours, minutes, rest = parts
    return not any(hours) and abs(minutes * 60 + rest - seconds) < 5


@lru_cache
def _direction_words() -> re.Pattern[str]:
    words = [word for word in words_of("direction") if len(word) > 3 or (len(word) > 1 and not word.isascii())]
    patterns = (r"\s?".join(map(re.escape, word.split())) for word in sorted(words, key=len, reverse=True))
    return re.compile(f"(?<![a-z])(?:{'|'.join(patterns)})(?![a-z])", re.IGNORECASE)


def _value(field: str, text: str) -> tuple[str, str]:
    """Return the value of a text as a table has it, and a doubt; both empty where the text is none."""
    if field in _AS_READ:
        text = _NOMINAL.split(text)[0]
        if field in ("from_manhole", "to_manhole", "segment", "material"):
            text = _direction_words().split(text)[0]
        text = text.strip(" ,;:-/()")
        known = any(mark.isalnum() for mark in text) and len(text) <= MAX_CHARACTERS
        return (printable(text) if known else ""), ""
    found = _typed_text(field, text)
    if not found:
        return "", ""
    try:
        row = InspectionData.model_validate({"video": "video", field: found})
    except ValidationError as error:
        first = error.errors()[0]
        is_date = field == "date" and first["type"] == "value_error"
        return "", plain_message(first["msg"]) if is_date else ""
    value = getattr(row, field)
    return f"{value:g}" if isinstance(value, float) else str(value), ""


def _typed_text(field: str, text: str) -> str:
    """Return the part of a text that a field with a type may hold."""
    if field == "direction":
        spaced = {word.replace(" ", ""): key for word, key in words_of("direction").items()}
        return spaced.get(text.replace(" ", "").casefold(), "")
    if field == "time":
        clock = CLOCK.search(text)
        return clock_time(re.sub(r"\s", "", clock[0])) if clock else ""
    pattern = DATE if field == "date" else _QUANTITY
    found = pattern.search(_ZERO.sub("0", text))
    return re.sub(r"\s", "", found[0]) if found else ""
