"""Writes inspections as ISYBAU XML or as EN 13508-2 text."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from urbanpipe.contracts.inspection_data import InspectionData
from urbanpipe.errors import InspectionError
from urbanpipe.exports.columns import word
from urbanpipe.exports.csv_safety import write_new
from urbanpipe.exports.exchange.coding import coded
from urbanpipe.exports.exchange.en13508 import en13508_text
from urbanpipe.exports.exchange.isybau import isybau_xml
from urbanpipe.exports.records import InspectionRecord, RecordRow
from urbanpipe.exports.written import Written
from urbanpipe.taxonomy import Taxonomy

_NOTES = ("Liegenschaftsnummer and Liegenschaftsbezeichnung are empty; fill them in before you hand the file in",)


def write_exchange(
    inspected: Iterable[InspectionRecord],
    rows: Iterable[RecordRow],
    out: Path,
    to: Literal["isybau", "en13508"],
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
    result = coded(inspected, rows, data, folder=out.parent, taxonomy=taxonomy, form=to)
    if not result.inspections:
        raise InspectionError(f"{out}: no inspection can be written as {to}; {result.lines[0]}")
    if to == "isybau":
        unreviewed = result.reviewed < result.rows or not all(one.decisions for one in inspected)
        title = "Proposals by software, not reviewed" if unreviewed else "Inspections, reviewed by people"
        demonstration = any(one.inspection.bundle.demonstration for one in inspected)
        comment = f"{title}; {word('demonstration', 'en')}" if demonstration else title
        today = datetime.now(UTC).astimezone().date()
        content, notes = isybau_xml(result.inspections, title=title, comment=comment, made=today)
        notes = (*notes, *_NOTES)
    else:
        content, notes = en13508_text(result.inspections)
    write_new(out, content)
    lines = (*result.all_lines(), *notes)
    return Written((out,), result.rows, result.reviewed, incomplete=bool(result.lines), lines=lines)
