"""What the page of a video shows, as plain values: the inspection, its items, and what people decided about them."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from urbanpipe.contracts.findings import Evidence, Finding, Inspection, Occurrence
from urbanpipe.contracts.remarks import sentence
from urbanpipe.exports.rules import read_rules
from urbanpipe.report.timeline import lane, span_seconds, ticks
from urbanpipe.report.verdict import verdict
from urbanpipe.report.wording import wording
from urbanpipe.review_store.decision import DATA_KEY, REVIEW_KEY, as_proposed, proposal_key
from urbanpipe.review_store.records import RecordedDecision

LANGUAGES = ("en", "zh")


def proposals(inspection: Inspection) -> Iterator[tuple[str, Finding, Occurrence | None]]:
    """Yield key, finding and occurrence of everything that a person can decide about, the likeliest findings first."""
    for finding in inspection.defects:
        for occurrence in finding.occurrences or (None,):
            yield proposal_key(finding.code, occurrence), finding, occurrence


def video_view(inspection: Inspection, decided: Mapping[str, RecordedDecision]) -> dict[str, Any]:
    """Return the video, its classes with curves, its items, and its inspection data.

    Args:
        inspection: the inspection, with its timeline where it has one.
        decided: the last decision on each item.
    """
    span = span_seconds(inspection)
    return {
        "video": inspection.video.model_dump(mode="json", exclude={"path", "relative"}),
        "bundle": inspection.bundle.model_dump(mode="json"),
        "made_at": inspection.made_at,
        "exclusive": inspection.exclusive,
        "remarks": [
            {"kind": one.kind} | {language: sentence(one, language) for language in LANGUAGES}
            for one in inspection.remarks
        ],
        "verdict": {language: verdict(inspection, wording(language)).text for language in LANGUAGES},
        "span": span,
        "ticks": [{"x": one.x, "label": one.label, "minor": one.minor} for one in ticks(span)],
        "classes": [_class(inspection, one, span) for one in inspection.findings],
        "items": list(_items(inspection, decided)),
        "choices": _choices(),
        "review": _state(decided.get(REVIEW_KEY)),
        "data": _state(decided.get(DATA_KEY)),
    }


@lru_cache
def _choices() -> dict[str, list[dict[str, str]]]:
    """Return the regions and soils from which the condition figures of CJJ 181 choose, with their texts."""
    rules = read_rules()
    return {
        name: [{"key": one.key} | {language: one.in_(language) for language in LANGUAGES} for one in choices]
        for name, choices in (("region", rules.regions), ("soil", rules.soils))
    }


def _class(inspection: Inspection, finding: Finding, span: float) -> dict[str, Any]:
    drawn = lane(inspection, finding, span)
    return {
        "code": finding.code,
        "en": finding.en,
        "zh": finding.zh or finding.en,
        "kind": finding.kind,
        "probability": finding.probability,
        "triage": finding.triage,
        "curve": drawn.curve,
    }


def _items(inspection: Inspection, decided: Mapping[str, RecordedDecision]) -> Iterator[dict[str, Any]]:
    """Yield the proposals, then the defects that people added, or decided about when another bundle proposed them."""
    shown = set()
    for key, finding, occurrence in proposals(inspection):
        if key not in shown:
            shown.add(key)
            yield _proposal(key, finding, occurrence, decided.get(key))
    for key, row in decided.items():
        if key not in shown and key not in (REVIEW_KEY, DATA_KEY) and row.after is not None:
            yield {"key": key, "proposal": None, "evidence": []} | _state(row)


def _proposal(
    key: str, finding: Finding, occurrence: Occurrence | None, row: RecordedDecision | None
) -> dict[str, Any]:
    proposed = as_proposed(finding, occurrence).model_dump(mode="json")
    facts = {
        "code": finding.code,
        "probability": finding.probability,
        "triage": finding.triage,
        "unlikely": finding.unlikely,
        "score": occurrence.score if occurrence else finding.score,
    }
    evidence = [_evidence(one) for one in occurrence.evidence] if occurrence else []
    state = _state(row)
    player = occurrence.player_seconds if occurrence else None
    return {
        "key": key,
        "proposal": proposed | facts | {"player_seconds": player},
        "evidence": evidence,
        **state,
        "decision": state["decision"] or proposed,
    }


def _evidence(one: Evidence) -> dict[str, Any]:
    return one.model_dump(mode="json", include={"seconds", "frame", "score", "picture", "heat", "hottest"}) | {
        "player_seconds": one.seconds if one.player_seconds is None else one.player_seconds,
        "distance_text": one.distance_text,
    }


def _state(row: RecordedDecision | None) -> dict[str, Any]:
    """Return the state of an item, and the version that a change of it must name."""
    if row is None:
        return {"decision": None, "version": 0, "who": "", "at": ""}
    return {"decision": row.after, "version": row.seq, "who": row.who, "at": row.at}


def recorded_view(row: RecordedDecision) -> dict[str, Any]:
    """Return a decision of the log as plain values."""
    return {
        "seq": row.seq,
        "at": row.at,
        "who": row.who,
        "item": row.item,
        "video": row.video,
        "before": row.before,
        "after": row.after,
        "reverts": row.reverts,
        "action": row.action,
    }
