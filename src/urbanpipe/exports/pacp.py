"""CSV files in the shape of PACP: tables and columns named as in NASSCO's exchange database, filled with proposals.

The files are not certified and are not a coded survey. Codes are families that a certified coder completes or replaces,
and fields that only a person knows (surveyor, pipe, values, clock positions) stay empty.
"""

import tomllib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from urbanpipe.contracts.findings import Occurrence
from urbanpipe.csv_cells import write_rows
from urbanpipe.exports.cjj181 import source_words
from urbanpipe.exports.columns import word
from urbanpipe.exports.csv_safety import new_table, relative
from urbanpipe.exports.records import InspectionRecord, RecordRow
from urbanpipe.outputs import output_folder
from urbanpipe.taxonomy import Taxonomy

INSPECTIONS = (
    *("InspectionID", "Surveyed_By", "Certificate_Number", "Reviewed_By", "Reviewer_Certificate_Number", "Owner"),
    *("Customer", "Media_Label", "Project", "Inspection_Date", "Inspection_Time", "Pipe_Segment_Reference", "Street"),
    *("City", "Upstream_MH", "Downstream_MH", "Direction", "Height", "Width", "Shape", "Material", "Total_Length"),
    *("Length_Surveyed", "IsImperial", "Additional_Info"),
)
CONDITIONS = (
    *("ConditionID", "InspectionID", "Distance", "Counter", "PACP_Code", "Continuous", "Value_1st_Dimension"),
    *("Value_2nd_Dimension", "Value_Percent", "Joint", "Clock_At_From", "Clock_To", "Remarks", "VCR_Time"),
)
MEDIA = ("MediaConditionID", "ConditionID", "Image_Reference", "Image_Path")
_UNCODED = "no PACP code proposed"


def write_pacp(
    inspected: Iterable[InspectionRecord], rows: Iterable[RecordRow], out: Path, taxonomy: Taxonomy
) -> tuple[Path, ...]:
    """Write the three tables into a folder.

    Args:
        inspected: the inspections; they may be read anew on every iteration.
        rows: their defects, likewise.
        out: the folder.
        taxonomy: classes with their PACP codes.

    Raises:
        InspectionError: a table with other content exists, in which a coder may have worked.
        OutputError: the tables cannot be written.
    """
    output_folder(out)
    numbers: dict[str, int] = {}
    tables = {
        "PACP_Inspections.csv": (INSPECTIONS, _inspections(inspected, numbers)),
        "PACP_Conditions.csv": (
            CONDITIONS,
            (_condition(row, number, numbers[row.inspected.name], taxonomy) for number, row in enumerate(rows, 1)),
        ),
        "PACP_Media_Conditions.csv": (MEDIA, _media(rows, out)),
    }
    for name, (header, values) in tables.items():
        # No byte order mark: importers read it as part of the first column's name.
        with new_table(out / name) as file:
            write_rows(file, [header])
            write_rows(file, ([one.get(key) for key in header] for one in values))
    return tuple(out / name for name in tables)


def _inspections(inspected: Iterable[InspectionRecord], numbers: dict[str, int]) -> Iterator[dict[str, object]]:
    """Yield the rows of surveys, and note their numbers by the names of the videos."""
    for number, one in enumerate(inspected, 1):
        numbers[one.name] = number
        yield _inspection(one, number)


def _inspection(one: InspectionRecord, number: int) -> dict[str, object]:
    """Return a row for a survey, without a date: the time of the software's run is not that of the survey."""
    demonstration = [word("demonstration", "en")] if one.inspection.bundle.demonstration else []
    reviewer = one.decisions.reviewer if one.decisions else ""
    notes = [
        *([] if reviewer else [word("proposal", "en")]),
        *demonstration,
        *(remark.text for remark in one.inspection.remarks),
    ]
    facts: dict[str, object] = {
        "InspectionID": number,
        "Reviewed_By": reviewer or None,
        "Media_Label": one.name,
        "IsImperial": 0,
    }
    return facts | {"Additional_Info": "; ".join(notes)}


def _condition(row: RecordRow, number: int, inspection: int, taxonomy: Taxonomy) -> dict[str, object]:
    code, complete = _proposed(row.finding.code, taxonomy)
    unlikely = ", unlikely" if row.finding.unlikely else ""
    finding = f"{row.finding.code} {row.finding.en}, confidence {row.finding.probability:.2f}{unlikely}"
    decision = row.review.decision if row.review else None
    return {
        "ConditionID": number,
        "InspectionID": inspection,
        "Distance": row.metres,
        "Clock_At_From": decision.clock_from if decision else None,
        "Clock_To": decision.clock_to if decision else None,
        "PACP_Code": code,
        "Remarks": "; ".join(
            [*source_words(row, "en"), finding, *([decision.note] if decision and decision.note else []), complete]
        ),
        "VCR_Time": _clock(row.occurrence) if row.occurrence else None,
    }


def _media(rows: Iterable[RecordRow], out: Path) -> Iterator[dict[str, object]]:
    pictures = ((number, row.picture) for number, row in enumerate(rows, 1))
    for media, (number, path) in enumerate(((number, path) for number, path in pictures if path), 1):
        yield {
            "MediaConditionID": media,
            "ConditionID": number,
            "Image_Reference": path.name,
            "Image_Path": relative(path.parent, out),
        }


def _clock(occurrence: Occurrence) -> str:
    """Format the time of an occurrence on the player's clock as `hh:mm:ss`, rounded down to the second."""
    whole = int(occurrence.seconds if occurrence.player_seconds is None else occurrence.player_seconds)
    return f"{whole // 3600:02d}:{whole % 3600 // 60:02d}:{whole % 60:02d}"


def _proposed(code: str, taxonomy: Taxonomy) -> tuple[str, str]:
    """Return the proposed PACP code of a class, and what a coder has to add."""
    walk = next((item.crosswalk for item in taxonomy.classes if item.code == code), {})
    known = _families().get(code, {})
    european = f"EN 13508-2 {walk['en13508']}" if "en13508" in walk else ""
    proposed = walk.get("pacp") or known.get("code", "")
    complete = known.get("complete", "") if proposed or known else _UNCODED
    return proposed, "; ".join(filter(None, [complete, european, "to be coded by a certified person"]))


@lru_cache
def _families() -> dict[str, dict[str, str]]:
    table: dict[str, Any] = tomllib.loads(Path(__file__).with_name("pacp.toml").read_text(encoding="utf-8"))
    return dict(table["classes"])
