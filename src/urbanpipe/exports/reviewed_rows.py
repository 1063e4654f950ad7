"""Rows of exports with the decisions of people: corrected, added and rejected defects."""

from collections.abc import Iterable, Iterator

from urbanpipe.contracts.findings import Finding, Occurrence
from urbanpipe.exports.records import InspectionRecord, RecordRow, rows_of
from urbanpipe.review_store.decision import Decision, Status, proposal_key
from urbanpipe.review_store.reviewed import UNDECIDED, Review, VideoDecisions


def reviewed_rows(inspected: Iterable[InspectionRecord], *, unlikely: bool) -> Iterator[RecordRow]:
    """Yield one row per defect by time, as people decided.

    Rejected proposals have no row. Where a video was reviewed in full, neither have those that nobody decided about.

    Args:
        inspected: inspections with decisions.
        unlikely: whether to include unlikely proposals that nobody decided about.
    """
    for one in inspected:
        decisions = one.decisions or VideoDecisions()
        rows = [*_normal(one, decisions), *_proposals(one, decisions, unlikely), *_additions(one, decisions)]
        yield from sorted(rows, key=lambda row: row.occurrence.seconds if row.occurrence else -1)


def is_undecided(row: RecordRow) -> bool:
    """Return whether nobody has decided yes or no about a defect."""
    return row.review is None or row.review.decision.status in UNDECIDED


def left_out(inspected: Iterable[InspectionRecord]) -> Iterator[str]:
    """Yield a line per accepted defect of a class that its inspection does not have, which therefore has no row."""
    for one in inspected:
        for code in sorted(one.decisions.present if one.decisions else ()):
            if _finding(one, code) is None:
                yield f"left out: a defect {code} of {one.name}, a class that its inspection does not have"


def _normal(one: InspectionRecord, decisions: VideoDecisions) -> Iterator[RecordRow]:
    """Yield the row that says "nothing wrong": as a person found by reviewing the video in full, or as proposed."""
    finding = _finding(one, one.inspection.exclusive or "")
    if finding is None or decisions.present:
        return
    if decisions.review and not decisions.undecided:
        found = Decision(status=Status.accepted, code=finding.code)
        yield RecordRow(one, finding, None, Review(found, decisions.review.who, decisions.review.at))
    elif not decisions.review and finding.triage == "accept":
        yield RecordRow(one, finding, None)


def _proposals(one: InspectionRecord, decisions: VideoDecisions, unlikely: bool) -> Iterator[RecordRow]:
    for row in rows_of([one], unlikely=True):
        key = proposal_key(row.finding.code, row.occurrence)
        review = decisions.reviews.get(key)
        if row.finding.code == one.inspection.exclusive:
            continue
        if review is None or review.decision.status is Status.open:
            if not decisions.is_reviewed and (unlikely or not row.finding.unlikely):
                yield row
        elif review.decision.status is not Status.rejected:
            yield _corrected(row, review)


def _additions(one: InspectionRecord, decisions: VideoDecisions) -> Iterator[RecordRow]:
    """Yield defects that people added, or decided about when another bundle proposed them."""
    proposed = {proposal_key(row.finding.code, row.occurrence) for row in rows_of([one], unlikely=True)}
    for key, review in decisions.reviews.items():
        if key not in proposed and review.decision.status not in (Status.rejected, Status.open):
            finding = _finding(one, review.decision.code)
            if finding is not None:
                yield _corrected(RecordRow(one, finding.model_copy(update={"occurrences": ()}), None), review)


def _corrected(row: RecordRow, review: Review) -> RecordRow:
    """Return a row with class and time of the decision; pictures stay those of the proposal."""
    decision = review.decision
    finding = row.finding if decision.code == row.finding.code else _finding(row.inspected, decision.code)
    return RecordRow(row.inspected, finding or row.finding, _occurrence(row.occurrence, review), review)


def _occurrence(proposed: Occurrence | None, review: Review) -> Occurrence | None:
    seconds = review.decision.seconds
    if seconds is None:
        return proposed
    begin = min(seconds, seconds if review.decision.begin_seconds is None else review.decision.begin_seconds)
    end = max(seconds, seconds if review.decision.end_seconds is None else review.decision.end_seconds)
    if proposed is None:
        return Occurrence(seconds=seconds, begin_seconds=begin, end_seconds=end, score=1.0)
    times = {"seconds": seconds, "begin_seconds": begin, "end_seconds": end}
    same = abs(proposed.seconds - seconds) < 1e-3
    return proposed.model_copy(update=times | ({} if same else {"player_seconds": None}))


def _finding(one: InspectionRecord, code: str) -> Finding | None:
    return next((finding for finding in one.inspection.findings if finding.code == code), None)
