"""Rows of the tables of a part, from outcomes of videos."""

from collections.abc import Iterator, Mapping
from typing import Any

from urbanpipe.archive_store.outcomes import VideoOutcome
from urbanpipe.contracts.findings import Evidence, Finding, Inspection, Occurrence, Timeline

Row = dict[str, Any]
_FACTS = ("name", "digest", "duration_seconds", "frame_count", "width", "height", "frame_rate")


def video_row(outcome: VideoOutcome, part: str, host: str, offset: int) -> Row:
    """Return the row of a video.

    Args:
        outcome: the outcome.
        part: name of the part.
        host: name of the machine.
        offset: where in the pack its pictures begin.
    """
    planned, inspection = outcome.video, outcome.inspection
    return {
        "id": planned.id,
        "uri": planned.uri,
        "size": planned.size,
        "etag": planned.etag,
        "version": planned.version,
        "status": outcome.status,
        "stage": outcome.stage,
        "kind": outcome.kind,
        "message": outcome.message,
        **(_inspection_columns(inspection) if inspection else {}),
        "part": part,
        "attempts": outcome.attempts,
        "seconds": round(outcome.seconds, 3),
        "host": host,
        "pictures": _places(outcome.pictures, offset),
        "inspection": inspection.model_dump_json() if inspection else None,
    }


def finding_rows(outcome: VideoOutcome, part: str) -> Iterator[Row]:
    """Yield the rows of the classes of a video."""
    findings = outcome.inspection.findings if outcome.inspection else ()
    for position, finding in enumerate(findings):
        yield {"id": outcome.video.id, "uri": outcome.video.uri, "position": position, "part": part} | _finding(finding)


def timeline_row(identifier: str, timeline: Timeline) -> Row:
    """Return the row of the scores over time of a video."""
    return {"id": identifier, "codes": timeline.codes, "seconds": timeline.seconds, "scores": timeline.scores}


def _inspection_columns(inspection: Inspection) -> Row:
    shown = inspection.defects
    return {
        **{name: getattr(inspection.video, name) for name in _FACTS},
        "accepted": [finding.code for finding in shown if finding.triage == "accept"],
        "to_review": [finding.code for finding in shown if finding.triage == "review"],
        "remarks": [remark.kind for remark in inspection.remarks],
    }


def _places(pictures: Mapping[str, bytes], offset: int) -> list[Row]:
    places = []
    for name, data in pictures.items():
        places.append({"name": name, "offset": offset, "length": len(data)})
        offset += len(data)
    return places


def _finding(finding: Finding) -> Row:
    return {
        **{name: getattr(finding, name) for name in ("code", "en", "kind", "probability", "score", "triage")},
        "occurrences": [_occurrence(occurrence) for occurrence in finding.occurrences],
    }


def _occurrence(occurrence: Occurrence) -> Row:
    columns = ("seconds", "begin_seconds", "end_seconds", "player_seconds", "score")
    return {name: getattr(occurrence, name) for name in columns} | {
        "evidence": [_evidence(evidence) for evidence in occurrence.evidence]
    }


def _evidence(evidence: Evidence) -> Row:
    return evidence.model_dump(exclude={"hottest"})
