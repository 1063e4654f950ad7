"""Writes the text exchange format of EN 13508-2."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from urbanpipe.contracts.coded.en13508 import DIRECTIONS
from urbanpipe.contracts.coded.model import CodedInspection, Observation
from urbanpipe.contracts.coded.terms import code_of
from urbanpipe.contracts.coded.times import clock
from urbanpipe.exports.exchange.text import one_line

STANDARD = "EN 13508-2:2003+A1:2011"
FIELDS = (
    *("AAA", "AAB", "AAD", "AAF", "AAJ", "AAK", "AAM", "ABA", "ABF", "ABG", "ABH", "ABJ", "ABO", "ABQ", "ABS"),
    *("ACA", "ACB", "ACC", "ACD", "ADA", "ADE"),
)
COLUMNS = ("I", "J", "A", "B", "C", "D", "E", "G", "H", "K", "M", "N", "F")
_LETTERS = {direction: letter for letter, direction in DIRECTIONS.items()}


def en13508_text(inspections: Sequence[CodedInspection]) -> tuple[bytes, tuple[str, ...]]:
    """Return a text exchange file, and a line if its characters need UTF-8 and not ISO-8859-1."""
    text = "".join(f"{line}\r\n" for one in inspections for line in _lines(one))
    notes: tuple[str, ...] = ()
    try:
        encoding, data = "ISO-8859-1", text.encode("iso-8859-1")
    except UnicodeEncodeError as error:
        encoding, data = "UTF-8", text.encode()
        notes = (f"written in UTF-8, as #A1 says: ISO-8859-1 has no {text[error.start]!r}",)
    head = [f"#A1={encoding}", "#A2=en", "#A3=,", "#A4=.", '#A5="', "#A6=2010"]
    return "".join(f"{line}\r\n" for line in head).encode() + data, notes


def _lines(one: CodedInspection) -> Iterator[str]:
    yield f"#B01={','.join(FIELDS)}"
    yield _row(_fields(one)[name] for name in FIELDS)
    if one.observations:
        yield f"#C={','.join(COLUMNS)}"
    for observation in one.observations:
        cells = _cells(observation)
        yield _row(cells[name] for name in COLUMNS)
    yield "#Z"


def _row(cells: Iterable[object]) -> str:
    """Return cells as one line; a line that would begin with # is quoted, as that begins a section."""
    texts = ["" if cell is None else one_line(str(cell)) for cell in cells]
    file = io.StringIO()
    csv.writer(file, lineterminator="").writerow(texts)
    line = file.getvalue()
    return line if not line.startswith("#") else f'"{texts[0]}"{line[len(texts[0]) :]}'


def _fields(one: CodedInspection) -> dict[str, object]:
    start = one.downstream if one.direction == "upstream" else one.upstream
    return {
        "AAA": one.name,
        "AAB": start,
        "AAD": one.upstream,
        "AAF": one.downstream,
        "AAJ": one.street,
        "AAK": _LETTERS.get(one.direction, ""),
        "AAM": one.client,
        "ABA": STANDARD,
        "ABF": one.date,
        "ABG": one.time,
        "ABH": one.inspector,
        "ABJ": one.job,
        "ABO": one.video_reference,
        "ABQ": None if one.length_m is None else _metres(one.length_m),
        "ABS": one.films[0] if one.films else "",
        "ACA": code_of(one.shape, "shapes", "en13508"),
        "ACB": one.height_mm,
        "ACC": one.width_mm,
        "ACD": code_of(one.material, "materials", "en13508"),
        "ADA": code_of(one.weather, "weather", "en13508"),
        "ADE": one.remark,
    }


def _cells(row: Observation) -> dict[str, object]:
    main, char1, char2 = row.code
    return {
        "I": None if row.station is None else _metres(row.station),
        "J": f"{row.continuous}{row.number or ''}",
        "A": main,
        "B": char1,
        "C": char2,
        "D": row.quantification1,
        "E": row.quantification2,
        "F": row.remark,
        "G": row.clock_from,
        "H": row.clock_to,
        "K": "A" if row.joint else "",
        "M": row.photo,
        "N": None if row.seconds is None else clock(row.seconds),
    }


def _metres(value: float) -> str:
    """Return metres with at most two decimals.

    >>> _metres(12.0), _metres(12.345)
    ('12', '12.35')
    """
    return f"{value:.2f}".rstrip("0").rstrip(".")
