"""Reads the text exchange format of EN 13508-2.

Sections begin with `#A` (the file), `#B` (an inspection), `#C` (its observations) and `#Z` (its end).
"""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from urbanpipe.contracts.coded.model import SECTIONS, Code, CodedFile, CodedInspection, Direction, Observation
from urbanpipe.contracts.coded.numbers import decimal, hour, quantity, whole
from urbanpipe.contracts.coded.terms import term_of_code
from urbanpipe.contracts.coded.times import from_video_reference
from urbanpipe.errors import LabelError
from urbanpipe.text_files import read_bytes

DIRECTIONS: dict[str, Direction] = {"A": "downstream", "B": "upstream"}
MAX_BYTES = 64 << 20
_SECTION = re.compile(r"#([ABC])(\d{0,2})=(.*)", re.ASCII)
_ENCODINGS = ("utf-8", "iso-8859-1", "iso-8859-15", "cp1252", "gb18030")
_CONTINUOUS = re.compile(r"([ABC])(\d{0,2})", re.ASCII)


class _Style(NamedTuple):
    delimiter: str = ","
    point: str = "."
    quote: str = '"'


def read_en13508(path: Path) -> CodedFile:
    """Read the inspections of a file.

    Raises:
        LabelError: the file cannot be read, is too large, or is not in the text exchange format.
    """
    lines = [(number, line.strip(" ")) for number, line in enumerate(re.split(r"\r\n|\r|\n", _read(path)), 1)]
    style, notes = _style(lines, path), Counter[str]()
    inspections: list[CodedInspection] = []
    for block in _blocks(lines):
        fields, rows = _parts(block, style, path, notes)
        observations = [one for row in rows if (one := _observation(row, notes))]
        inspections.append(_inspection(fields, tuple(observations)))
    if not inspections:
        raise LabelError(f"{path} holds no inspection: it has no line that begins with #B01=")
    return CodedFile(tuple(inspections), tuple(f"{what}: {number}" for what, number in notes.items()))


def _read(path: Path) -> str:
    data = read_bytes(path, max_bytes=MAX_BYTES).removeprefix(b"\xef\xbb\xbf")
    named = re.match(rb"\s*#A1=([\w:.-]*)", data)
    encoding = named[1].decode().lower().split(":")[0] if named else "utf-8"
    encoding = {"windows-1252": "cp1252", "utf8": "utf-8", "": "utf-8"}.get(encoding, encoding)
    if encoding not in _ENCODINGS:
        raise LabelError(f"{path}: #A1 names the encoding {encoding[:40]!r}; known are {', '.join(_ENCODINGS)}")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise LabelError(f"{path} is not {encoding}, as its #A1 says; save it in this encoding") from error


def _blocks(lines: Iterable[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    """Yield the lines of each inspection with their numbers: from `#B01` to `#Z` or the next `#B01`."""
    block: list[tuple[int, str]] = []
    for number, line in lines:
        if line.startswith("#B01=") and block:
            yield block
            block = []
        if block or line.startswith("#B01="):
            block.append((number, line))
        if line.startswith("#Z") and block:
            yield block
            block = []
    if block:
        yield block


def _parts(
    block: Sequence[tuple[int, str]], style: _Style, path: Path, notes: Counter[str]
) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Return an inspection as its fields and its observations, by code of the field."""
    fields: dict[str, str] = {}
    rows: list[dict[str, str]] = []
    kind, columns = "", [""]
    for number, line in block:
        where = f"{path}, line {number}"
        if match := _SECTION.fullmatch(line):
            kind, columns = match[1], _cells(match[3], style, where)
        elif line and not line.startswith("#"):
            row = _row(columns, _cells(line, style, where), style)
            if row is None:
                notes["lines with more fields than their heading, not read"] += 1
            elif kind == "B":
                fields |= row
            else:
                rows.append(row)
    return fields, rows


def _style(lines: Iterable[tuple[int, str]], path: Path) -> _Style:
    style = _Style()
    for number, line in lines:
        match = _SECTION.fullmatch(line)
        if match and match[1] == "A":
            style = _styled(style, match[2], match[3], f"{path}, line {number}")
    return style


def _styled(style: _Style, number: str, value: str, where: str) -> _Style:
    field = {"3": "delimiter", "4": "point", "5": "quote"}.get(number)
    if field is None:
        return style
    if len(value) != 1 or value in "\r\n":
        raise LabelError(f"{where}: #A{number} is {value[:20]!r}; expected one character")
    return style._replace(**{field: value})


def _cells(line: str, style: _Style, where: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=style.delimiter, quotechar=style.quote), [])
    except (csv.Error, TypeError, ValueError) as error:
        raise LabelError(f"{where} cannot be split into fields: {error}") from error


def _row(columns: Sequence[str], cells: Sequence[str], style: _Style) -> dict[str, str] | None:
    """Return the cells of a line by their columns; None if it has more cells, so that it is unclear which is which."""
    if any(cell.strip() for cell in cells[len(columns) :]):
        return None
    row = {name.strip(): " ".join(cell.split()) for name, cell in zip(columns, cells, strict=False)}
    if style.point != ".":
        row |= {key: row[key].replace(style.point, ".") for key in ("I", "D", "E", "ABQ") if key in row}
    return row


def _inspection(fields: Mapping[str, str], observations: tuple[Observation, ...]) -> CodedInspection:
    get = fields.get
    direction = DIRECTIONS.get(get("AAK", ""), "")
    upstream, downstream = _nodes(get("AAB", ""), get("AAD", ""), get("AAF", ""), direction)
    coding = get("ABA", "") or "EN 13508-2"
    return CodedInspection(
        name=get("AAA", ""),
        direction=direction,
        upstream=upstream,
        downstream=downstream,
        date=get("ABF", ""),
        time=get("ABG", ""),
        inspector=get("ABH", ""),
        client=get("AAM", ""),
        job=get("ABJ", ""),
        street=get("AAJ", ""),
        weather=term_of_code(get("ADA", ""), "weather", "en13508"),
        length_m=decimal(get("ABQ", "")),
        height_mm=whole(get("ACB", "")),
        width_mm=whole(get("ACC", "")),
        shape=term_of_code(get("ACA", ""), "shapes", "en13508"),
        material=term_of_code(get("ACD", ""), "materials", "en13508"),
        films=tuple(filter(None, [get("ABS", "")])),
        video_reference=get("ABO", ""),
        remark=get("ADE", ""),
        en13508="13508" in coding,
        observations=observations,
    )


def _nodes(start: str, node1: str, node2: str, direction: Direction) -> tuple[str, str]:
    """Return the upper and the lower node, by the start node, as files number the nodes in two ways."""
    if not direction or start not in (node1, node2):
        return node1, node2
    finish = node2 if start == node1 else node1
    return (start, finish) if direction == "downstream" else (finish, start)


def _observation(row: Mapping[str, str], notes: Counter[str]) -> Observation | None:
    get = row.get
    if not (main := get("A", "").upper()):
        notes["observations without a code, not read"] += 1
        return None
    seconds = from_video_reference(get("N", ""))
    if get("N") and seconds is None:
        notes["times that are no times, not read"] += 1
    mark = _CONTINUOUS.fullmatch(get("J", "").upper())
    return Observation(
        code=Code(main, get("B", "").upper(), get("C", "").upper()),
        station=decimal(get("I", "")),
        seconds=seconds,
        clock_from=hour(get("G", "")),
        clock_to=hour(get("H", "")),
        quantification1=quantity(get("D", "")),
        quantification2=quantity(get("E", "")),
        joint=True if get("K") else None,
        continuous=SECTIONS.get(mark[1], "") if mark else "",
        number=int(mark[2] or 0) if mark else 0,
        photo=get("M", ""),
        remark=get("F", ""),
    )
