"""Coded inspections from inspected videos: which can be written, and what is missing from the others."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from urbanpipe.contracts.coded.model import FINISH, LEFT_OUT, START, Code, CodedInspection, Observation
from urbanpipe.contracts.coded.terms import Format, Kind, code_of, term_of
from urbanpipe.contracts.coded.times import MAX_SECONDS
from urbanpipe.contracts.inspection_data import InspectionData
from urbanpipe.exports.columns import word
from urbanpipe.exports.exchange.observations import Proposed, observations_of, title
from urbanpipe.exports.exchange.text import one_line
from urbanpipe.exports.records import InspectionRecord, RecordRow
from urbanpipe.taxonomy import Taxonomy

REQUIRED = {"segment": "segment", "direction": "direction", "length_m": "length"}
"""Fields of inspection data without which no format can hold an inspection, and their names in messages."""
MAX_STATION = 999.99
"""Greatest distance in metres that ISYBAU XML 2013-02 holds."""
_FINISH_REMARK = "end of the segment by its length; whether the camera reached it was not checked"
_SHOWN = 5


@dataclass
class Coded:
    """Inspections to write.

    Attributes:
        form: the format.
        inspections: the inspections.
        rows: rows that they hold.
        reviewed: rows of these that a person decided about.
        lines: what was not written, and why.
        open: how often a person has to add what.
    """

    form: Format
    inspections: list[CodedInspection] = field(default_factory=list)
    rows: int = 0
    reviewed: int = 0
    lines: list[str] = field(default_factory=list)
    open: Counter[str] = field(default_factory=Counter)

    def all_lines(self) -> Iterator[str]:
        """Yield what was not written and what is open."""
        yield from self.lines
        if self.open:
            parts = ", ".join(f"{what} ({number})" for what, number in self.open.most_common())
            yield f"open, for a person to complete: {parts}"


def coded(
    inspected: Iterable[InspectionRecord],
    rows: Iterable[RecordRow],
    data: Mapping[str, InspectionData],
    *,
    folder: Path,
    taxonomy: Taxonomy,
    form: Format,
    dated: bool = False,
) -> Coded:
    """Return the inspections as coded ones, in the order of the videos.

    Args:
        inspected: the inspections.
        rows: their defects.
        data: inspection data by the name of the video.
        folder: folder of the file.
        taxonomy: classes with their codes.
        form: the format whose codes of materials, shapes and weather are used.
        dated: whether the format needs the date of an inspection.
    """
    required = REQUIRED | ({"date": "date"} if dated else {})
    result = Coded(form)
    by_video: defaultdict[str, list[RecordRow]] = defaultdict(list)
    for row in rows:
        by_video[row.inspected.name].append(row)
    for one in inspected:
        known = data.get(one.name)
        if why := _refusal(known, required, MAX_STATION if form == "isybau" else None):
            result.lines.append(f"{one.name}: not written; {why}")
        elif known is not None:
            _add(result, one, by_video[one.name], known, partial(observations_of, folder=folder, taxonomy=taxonomy))
    return result


def _add(
    result: Coded,
    one: InspectionRecord,
    rows: Sequence[RecordRow],
    known: InspectionData,
    propose: Callable[[RecordRow, float, int], Proposed],
) -> None:
    """Add an inspection to the result, or a line that says why it cannot be written."""
    length = known.length_m or 0.0
    kept, lost = _placed(rows, length)
    if lost and not kept:
        result.lines.append(f"{one.name}: not written; {'; '.join(lost)}; correct the distances in `urbanpipe review`")
        return
    result.lines += [f"{one.name}: {line}" for line in lost]
    observations: list[Observation] = []
    number = 1
    for row, station in kept:
        proposed = propose(row, station, number)
        number += len(proposed.observations) > 1
        observations += proposed.observations
        result.open.update(proposed.open)
    result.rows += len(kept)
    result.reviewed += sum(row.review is not None for row, _ in kept)
    notes = [*lost, *_uncoded(known, result.form)]
    result.inspections.append(_inspection(one, known, observations, [row for row, _ in kept], notes))


def _refusal(known: InspectionData | None, required: Mapping[str, str], longest: float | None) -> str:
    """Return why the inspection data does not suffice; empty if it does."""
    if known is None:
        return (
            f"it has no inspection data; give {', '.join(required)} with --inspection-data or enter them in the review"
        )
    if missing := [name for key, name in required.items() if getattr(known, key) in ("", None)]:
        return f"its inspection data lacks {' and '.join(missing)}"
    if longest is not None and known.length_m is not None and known.length_m > longest:
        return f"its length is {known.length_m:g} m, and the format ends at {longest:g} m"
    return "" if one_line(known.segment) else "the name of its segment has no printable character"


def _placed(rows: Sequence[RecordRow], length: float) -> tuple[list[tuple[RecordRow, float]], list[str]]:
    """Return rows that have a distance within the segment with it, and what to say about the others."""
    kept = [(row, row.metres) for row in rows if row.metres is not None and _end(row) <= length]
    without = [title(row) for row in rows if row.metres is None]
    beyond = [f"{title(row)}, {_end(row):g} m" for row in rows if row.metres is not None and _end(row) > length]
    lost = [f"{LEFT_OUT} no distance is known: {_listed(without)}"] if without else []
    return kept, lost + ([f"{LEFT_OUT} beyond the segment of {length:g} m: {_listed(beyond)}"] if beyond else [])


def _end(row: RecordRow) -> float:
    decision = row.review.decision if row.review else None
    return (row.metres or 0.0) + ((decision.length_m or 0.0) if decision and decision.continuous else 0.0)


def _listed(items: Sequence[str]) -> str:
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(items[:_SHOWN]) + more


def _inspection(
    one: InspectionRecord,
    known: InspectionData,
    observations: Sequence[Observation],
    rows: Sequence[RecordRow],
    notes: Sequence[str],
) -> CodedInspection:
    video = one.inspection.video
    end = min(video.duration_seconds, MAX_SECONDS - 1.0)
    begin = Observation(Code(START), 0.0, 0.0)
    finish = Observation(Code(FINISH), known.length_m, end, remark=_FINISH_REMARK)
    diameter = round(known.diameter_mm) if known.diameter_mm and known.shape == "circular" else None
    return CodedInspection(
        name=one_line(known.segment),
        direction=known.direction,
        upstream=one_line(known.from_manhole),
        downstream=one_line(known.to_manhole),
        date=known.date,
        time=known.time,
        inspector=one_line(known.operator),
        client=one_line(known.client),
        job=one_line(known.job),
        street=one_line(known.street),
        weather=term_of(known.weather, "weather"),
        length_m=known.length_m,
        height_mm=diameter,
        width_mm=diameter,
        shape=term_of(known.shape, "shapes"),
        material=term_of(known.material, "materials"),
        films=(one_line(one.name),),
        video_reference=one_line(Path(one.name).stem),
        digest=video.digest,
        frame_rate=min(max(round(video.frame_rate), 1), 99),
        remark=one_line("; ".join(_remarks(one, known, rows, notes))),
        observations=(begin, *sorted(observations, key=lambda item: item.station or 0.0), finish),
    )


def _remarks(
    one: InspectionRecord, known: InspectionData, rows: Sequence[RecordRow], notes: Sequence[str]
) -> Iterator[str]:
    """Yield what a reader of the file has to know about an inspection."""
    if one.inspection.bundle.demonstration:
        yield word("demonstration", "en")
    if any(row.review is None for row in rows) or not (one.decisions and one.decisions.reviewer):
        yield word("proposal", "en")
    else:
        yield f"reviewed by {one.decisions.reviewer}"
    yield from notes
    yield from (remark.text for remark in one.inspection.remarks)
    if known.diameter_mm and known.shape != "circular":
        yield f"diameter {known.diameter_mm:g} mm"


def _uncoded(known: InspectionData, form: Format) -> Iterator[str]:
    """Yield what is known of the pipe and the day for which the format has no code."""
    kinds: dict[str, Kind] = {"shape": "shapes", "material": "materials", "weather": "weather"}
    for name, kind in kinds.items():
        text = getattr(known, name)
        if text and not code_of(term_of(text, kind), kind, form):
            yield f"{name} {text}"
