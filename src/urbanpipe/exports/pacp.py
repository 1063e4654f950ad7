"""CSV files in the shape of PACP: tables and columns named as in NASSCO's exchange database, filled with proposals.

The files are not certified and are not a coded survey. Codes are families that a certified coder completes or replaces,
and fields that only a person knows (surveyor, pipe, values, clock positions) stay empty.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from urbanpipe.contracts.coded.crosswalk import codes_of
from urbanpipe.contracts.findings import Occurrence
from urbanpipe.contracts.inspection_data import InspectionData
from urbanpipe.csv_cells import write_rows
from urbanpipe.errors import InspectionError
from urbanpipe.exports.cjj181 import source_words
from urbanpipe.exports.columns import word
from urbanpipe.exports.csv_safety import new_table, relative
from urbanpipe.exports.records import InspectionRecord, RecordRow
from urbanpipe.exports.written import Written
from urbanpipe.locations import folder_of, is_address, is_windows_path
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
VIDEOS = ("MediaID", "InspectionID", "Video_Name", "Video_Location")
_IDENTITY = ("from_manhole", "direction", "time")  # fields of inspection data, beside the date
_UNCODED = "no PACP code proposed"
_DIRECTIONS = {"downstream": "D", "upstream": "U"}


def write_pacp(
    inspected: Iterable[InspectionRecord],
    rows: Iterable[RecordRow],
    out: Path,
    taxonomy: Taxonomy,
    data: Mapping[str, InspectionData],
) -> Written:
    """Write the four tables into a folder.

    Importers refuse a blank date, and tell inspections apart by upstream manhole, direction, date and time. Inspections
    without a date, and those that share all four, are left out and named.

    Args:
        inspected: the inspections; they may be read anew on every iteration.
        rows: their defects.
        out: the folder.
        taxonomy: classes with their PACP codes.
        data: inspection data by the name of the video.

    Raises:
        InspectionError: no inspection can be written, or a table with other content exists, in which a coder may have
            worked.
        OutputError: the tables cannot be written.
    """
    names = [one.name for one in inspected]
    refused = _refused(names, data)
    lines = tuple(f"{name}: not written; {why}" for name, why in refused.items())
    numbers = {name: number for number, name in enumerate((name for name in names if name not in refused), 1)}
    if not numbers:
        raise InspectionError(f"{out}: no inspection can be written as pacp; {lines[0]}")
    output_folder(out)
    written = [0, 0]  # rows, and how many of them a person decided about
    tables = {
        "PACP_Inspections.csv": (
            INSPECTIONS,
            (_inspection(one, numbers[one.name], data[one.name]) for one in inspected if one.name in numbers),
        ),
        "PACP_Conditions.csv": (CONDITIONS, _conditions(rows, numbers, taxonomy, written)),
        "PACP_Media_Inspections.csv": (
            VIDEOS,
            (_video(one, numbers[one.name], out) for one in inspected if one.name in numbers),
        ),
        "PACP_Media_Conditions.csv": (MEDIA, _media((row for row in rows if row.inspected.name in numbers), out)),
    }
    for name, (header, values) in tables.items():
        # No byte order mark: importers read it as part of the first column's name.
        with new_table(out / name) as file:
            write_rows(file, [header])
            write_rows(file, ([one.get(key) for key in header] for one in values))
    number, reviewed = written
    return Written(tuple(out / name for name in tables), number, reviewed, bool(refused), lines)


def _conditions(
    rows: Iterable[RecordRow], numbers: Mapping[str, int], taxonomy: Taxonomy, written: list[int]
) -> Iterator[dict[str, object]]:
    """Yield the rows of defects, and count them and those that a person decided about."""
    for row in rows:
        if row.inspected.name in numbers:
            written[0] += 1
            written[1] += row.review is not None
            yield _condition(row, written[0], numbers[row.inspected.name], taxonomy)


def _refused(videos: Sequence[str], data: Mapping[str, InspectionData]) -> dict[str, str]:
    """Return why an inspection cannot be written, by the name of its video."""
    refused: dict[str, str] = {}
    by_identity: dict[tuple[str, ...], list[str]] = {}
    for video in videos:
        known = data.get(video)
        if known is None or not known.date:
            refused[video] = "its date is unknown; give it in the inspection data, or one for all with --date"
        else:
            # Importers may ignore case, as Access does.
            identity = (known.from_manhole.strip().casefold(), known.direction, known.date, known.time)
            by_identity.setdefault(identity, []).append(video)
    for (manhole, direction, _, time), names in by_identity.items():
        empty = [name for name, value in zip(_IDENTITY, (manhole, direction, time), strict=True) if not value]
        hint = f"give {' or '.join(empty)}" if empty else "correct one of them"
        for name in names if len(names) > 1 else ():
            other = next(other for other in names if other != name)
            refused[name] = f"upstream manhole, direction, date and time are the same as of {other}; {hint}"
    return {video: refused[video] for video in videos if video in refused}


def _inspection(one: InspectionRecord, number: int, known: InspectionData) -> dict[str, object]:
    """Return a row for a survey; its date is that of the survey, never the time of the software's run."""
    demonstration = [word("demonstration", "en")] if one.inspection.bundle.demonstration else []
    reviewer = one.decisions.reviewer if one.decisions else ""
    notes = [
        *([] if reviewer else [word("proposal", "en")]),
        *demonstration,
        *(remark.text for remark in one.inspection.remarks),
        *(f"{field}: {value}" for field in ("shape", "material") if (value := getattr(known, field))),
    ]
    return {
        "InspectionID": number,
        "Surveyed_By": known.operator,
        "Reviewed_By": reviewer or None,
        "Customer": known.client,
        "Media_Label": one.name,
        "Project": known.job,
        "Inspection_Date": known.date,
        "Inspection_Time": known.time,
        "Pipe_Segment_Reference": known.segment,
        "Street": known.street,
        "Upstream_MH": known.from_manhole,
        "Downstream_MH": known.to_manhole,
        "Direction": _DIRECTIONS.get(known.direction),
        "Height": known.diameter_mm,
        "Total_Length": known.length_m,
        "IsImperial": 0,
        "Additional_Info": "; ".join(notes),
    }


def _video(one: InspectionRecord, number: int, out: Path) -> dict[str, object]:
    path, way = one.inspection.video.path, one.inspection.video.relative
    is_elsewhere = is_address(path) or (not way and is_windows_path(path))
    folder = (one.folder / way).parent if way else Path(path).parent
    return {
        "MediaID": number,
        "InspectionID": number,
        "Video_Name": one.inspection.video.name,
        "Video_Location": folder_of(path) if is_elsewhere else relative(folder, out),
    }


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
    codes = str(codes_of(code, taxonomy))
    european = f"EN 13508-2 {codes}" if codes else ""
    proposed = walk.get("pacp") or known.get("code", "")
    complete = known.get("complete", "") if proposed or known else _UNCODED
    return proposed, "; ".join(filter(None, [complete, european, "to be coded by a certified person"]))


@lru_cache
def _families() -> dict[str, dict[str, str]]:
    table: dict[str, Any] = tomllib.loads(Path(__file__).with_name("pacp.toml").read_text(encoding="utf-8"))
    return dict(table["classes"])
