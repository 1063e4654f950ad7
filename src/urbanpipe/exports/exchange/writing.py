"""Writes inspections as ISYBAU XML, as EN 13508-2 text, or in the shape of a WinCan VX project."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

from urbanpipe.contracts.coded.terms import Format
from urbanpipe.contracts.inspection_data import InspectionData
from urbanpipe.errors import InspectionError
from urbanpipe.exports.columns import word
from urbanpipe.exports.csv_safety import write_new
from urbanpipe.exports.exchange.coding import Coded, coded
from urbanpipe.exports.exchange.en13508 import en13508_text
from urbanpipe.exports.exchange.isybau import isybau_xml
from urbanpipe.exports.exchange.wincan import wincan_operators, wincan_project
from urbanpipe.exports.records import InspectionRecord, RecordRow
from urbanpipe.exports.written import Written
from urbanpipe.taxonomy import Taxonomy

Exchange = Literal["isybau", "en13508", "wincan"]
_CODES: dict[Exchange, Format] = {"isybau": "isybau", "en13508": "en13508", "wincan": "en13508"}
"""Format whose codes each exchange format has."""
_EMPTY = "Liegenschaftsnummer and Liegenschaftsbezeichnung are empty; fill them in before you hand the file in"
_UNTRIED = "written for readers of WinCan VX projects; WinCan itself was never tried"


class _Content(NamedTuple):
    """Files by their paths, and what a person has to know about them."""

    files: dict[Path, bytes]
    notes: tuple[str, ...]


def write_exchange(
    inspected: Iterable[InspectionRecord],
    rows: Iterable[RecordRow],
    out: Path,
    to: Exchange,
    *,
    data: Mapping[str, InspectionData],
    taxonomy: Taxonomy,
) -> Written:
    """Write one file with all inspections that the format can hold; the others are named.

    Args:
        inspected: the inspections.
        rows: their defects.
        out: the file.
        to: the format.
        data: inspection data by the name of the video.
        taxonomy: classes with their codes.

    Raises:
        InspectionError: no inspection can be written, or a file with other content exists.
        OutputError: the file cannot be written.
    """
    dated = to == "wincan"
    result = coded(inspected, rows, data, folder=out.parent, taxonomy=taxonomy, form=_CODES[to], dated=dated)
    if not result.inspections:
        raise InspectionError(f"{out}: no inspection can be written as {to}; {result.lines[0]}")
    content = _content(result, inspected, out, to)
    for path, data_of_file in content.files.items():
        write_new(path, data_of_file)
    lines = (*result.all_lines(), *content.notes)
    return Written(tuple(content.files), result.rows, result.reviewed, incomplete=bool(result.lines), lines=lines)


def _content(result: Coded, inspected: Iterable[InspectionRecord], out: Path, to: Exchange) -> _Content:
    if to == "en13508":
        text, notes = en13508_text(result.inspections)
        return _Content({out: text}, notes)
    unreviewed = result.reviewed < result.rows or not all(one.decisions for one in inspected)
    title = "Proposals by software, not reviewed" if unreviewed else "Inspections, reviewed by people"
    demonstration = any(one.inspection.bundle.demonstration for one in inspected)
    comment = f"{title}; {word('demonstration', 'en')}" if demonstration else title
    if to == "isybau":
        today = datetime.now(UTC).astimezone().date()
        text, notes = isybau_xml(result.inspections, title=title, comment=comment, made=today)
        return _Content({out: text}, (*notes, _EMPTY))
    project = wincan_project(result.inspections, title=title, comment=comment)
    operators = out.with_name(f"{out.stem}_meta{out.suffix}")
    return _Content({out: project, operators: wincan_operators(result.inspections)}, (_UNTRIED,))
