"""Observations of EN 13508-2 from the rows of an export; what nobody entered stays empty and is named as open."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from urbanpipe.contracts.coded.crosswalk import ClassCodes, codes_of
from urbanpipe.contracts.coded.model import REMARK, Observation
from urbanpipe.contracts.coded.times import MAX_SECONDS
from urbanpipe.exports.cjj181 import source_words
from urbanpipe.exports.csv_safety import minutes, relative
from urbanpipe.exports.exchange.text import one_line
from urbanpipe.exports.records import RecordRow
from urbanpipe.review_store.decision import Decision
from urbanpipe.taxonomy import Taxonomy

MAX_NUMBER = 99
"""Highest number of a continuous defect."""


@dataclass(frozen=True)
class Proposed:
    """The observations of one row.

    Attributes:
        observations: one, or begin and end of a continuous defect.
        open: what a person has to add.
    """

    observations: tuple[Observation, ...]
    open: tuple[str, ...]


def observations_of(row: RecordRow, station: float, number: int, folder: Path, taxonomy: Taxonomy) -> Proposed:
    """Return the observations of a row.

    Args:
        row: the row.
        station: distance from the start of the inspection in metres.
        number: number of the next continuous defect; above `MAX_NUMBER` it becomes a point.
        folder: folder of the file, to which the picture's path is relative.
        taxonomy: classes with their codes.
    """
    codes = codes_of(row.finding.code, taxonomy)
    decision = row.review.decision if row.review else None
    seconds = row.occurrence.seconds if row.occurrence else None
    lacking = tuple(_open(codes, decision))
    point = Observation(
        code=codes.written,
        station=round(station, 2),
        seconds=seconds if seconds is not None and seconds < MAX_SECONDS else None,
        clock_from=decision.clock_from if decision else None,
        clock_to=decision.clock_to if decision else None,
        photo=relative(row.picture, folder) if row.picture else "",
        remark=one_line("; ".join(_remarks(row, codes, decision, lacking))),
    )
    if decision is None or not decision.continuous or not decision.length_m or number > MAX_NUMBER:
        return Proposed((point,), lacking)
    end = replace(point, station=round(station + decision.length_m, 2), continuous="B", number=number, seconds=None)
    return Proposed((replace(point, continuous="A", number=number), end), lacking)


def title(row: RecordRow) -> str:
    """Return what a row is about, for messages: class and time."""
    return f"{row.finding.code} at {minutes(row.occurrence.seconds)}" if row.occurrence else row.finding.code


def _open(codes: ClassCodes, decision: Decision | None) -> Iterator[str]:
    yield from codes.open
    if decision is None or decision.clock_from is None:
        yield "clock position"
    if decision and decision.continuous and not decision.length_m:
        yield "length"


def _remarks(row: RecordRow, codes: ClassCodes, decision: Decision | None, lacking: tuple[str, ...]) -> Iterator[str]:
    yield from source_words(row, "en")
    unlikely = ", unlikely" if row.finding.unlikely else ""
    yield f"{row.finding.code} {row.finding.en}, confidence {row.finding.probability:.2f}{unlikely}"
    if decision and decision.grade is not None:
        yield f"CJJ 181 grade {decision.grade}"
    if decision and decision.note:
        yield decision.note
    if codes.written.main == REMARK and not codes.reads:
        yield "EN 13508-2 has no code for this class"
    yield f"open: {', '.join(lacking)}"
