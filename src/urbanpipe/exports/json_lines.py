"""JSON lines: everything that is known about each row, for other tools."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from urbanpipe.exports.csv_safety import relative
from urbanpipe.exports.records import InspectionRecord, RecordRow
from urbanpipe.outputs import whole_file


def write_lines(inspected: Iterable[InspectionRecord], rows: Iterable[RecordRow], out: Path) -> tuple[Path, ...]:
    """Write one JSON object per line: every row, and an object with the code null for each video without rows."""
    with whole_file(out) as file:
        for one in _objects(inspected, rows, out.parent):
            file.write(json.dumps(one, ensure_ascii=False, allow_nan=False) + "\n")
    return (out,)


def _objects(
    inspected: Iterable[InspectionRecord], rows: Iterable[RecordRow], folder: Path
) -> Iterator[dict[str, Any]]:
    with_rows = set()
    for row in rows:
        with_rows.add(row.inspected.name)
        yield _line(row, folder)
    yield from (_facts(one) | {"code": None} for one in inspected if one.name not in with_rows)


def _facts(one: InspectionRecord) -> dict[str, Any]:
    inspection = one.inspection
    return {
        "video": one.name,
        "path": inspection.video.path,
        "digest": inspection.video.digest,
        "reviewed": bool(one.decisions and one.decisions.is_reviewed),
        "bundle": inspection.bundle.digest,
        "demonstration": inspection.bundle.demonstration,
        "calibrated": inspection.bundle.calibrated,
        "remarks": [remark.text for remark in inspection.remarks],
    }


def _line(row: RecordRow, folder: Path) -> dict[str, Any]:
    finding, occurrence, read, picture, heat = row.finding, row.occurrence, row.distance, row.picture, row.heat
    return (
        _facts(row.inspected)
        | {
            "code": finding.code,
            "en": finding.en,
            "zh": finding.zh,
            "kind": finding.kind,
            "triage": finding.triage,
            "unlikely": finding.unlikely,
            "probability": finding.probability,
            "score": finding.score,
            "seconds": occurrence.seconds if occurrence else None,
            "begin_seconds": occurrence.begin_seconds if occurrence else None,
            "end_seconds": occurrence.end_seconds if occurrence else None,
            "occurrence_score": occurrence.score if occurrence else None,
            "distance_metres": row.metres if row.review else read.distance_metres if read else None,
            "distance_text": read.distance_text if read else "",
            "picture": relative(picture, folder) if picture else None,
            "heat": relative(heat, folder) if heat else None,
        }
        | _review(row)
    )


def _review(row: RecordRow) -> dict[str, Any]:
    """Return what a person decided; the same keys for every row."""
    decision = row.review.decision if row.review else None
    return {
        "decision": decision.status.value if decision else None,
        "reviewed_by": row.review.who if row.review else None,
        "reviewed_at": row.review.at if row.review else None,
        "grade": decision.grade if decision else None,
        "clock_from": decision.clock_from if decision else None,
        "clock_to": decision.clock_to if decision else None,
        "length_metres": decision.length_m if decision else None,
        "continuous": decision.continuous if decision else None,
        "note": decision.note if decision else None,
    }
