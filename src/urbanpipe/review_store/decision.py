"""The types of decisions, and the keys of what is decided."""

import re
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, Field, FiniteFloat, model_validator

from urbanpipe.contracts.findings import Finding, Occurrence, Seconds
from urbanpipe.contracts.inspection_data import printable
from urbanpipe.settings import Section

MAX_NOTE = 4_000
"""Characters of a note."""
MAX_METRES = 10_000.0
REVIEW_KEY = "review"
"""Item of a video that holds whether it was reviewed in full."""
DATA_KEY = "data"
"""Item of a video that holds its inspection data."""

_KEY = re.compile(r"\+[0-9a-f]{12}|[^\s@+][^@]{0,63}(@\d{1,9})?")


class Status(StrEnum):
    """What a person decided about a proposal; an added defect is accepted from the start."""

    open = "open"
    accepted = "accepted"
    rejected = "rejected"
    unsure = "unsure"
    second_opinion = "second_opinion"


ClockHour = Annotated[int, Field(ge=1, le=12)]
Metres = Annotated[FiniteFloat, Field(ge=0, le=MAX_METRES)]
Note = Annotated[str, Field(max_length=MAX_NOTE), AfterValidator(printable)]


class Decision(Section):
    """The state of one defect: a proposal of the software or an addition of a person.

    Attributes:
        status: what was decided.
        code: class code; differs from the proposed one where a person changed the class.
        seconds: time of the defect after the first frame; None for a class without a time.
        begin_seconds: begin of the defect in the video; None if unknown.
        end_seconds: end of it.
        grade: severity from 1 (slight) to 4 (severe), as in CJJ 181; None if not graded.
        clock_from: begin of the defect on the circumference, as hour of a clock, clockwise.
        clock_to: end of it; None for a single position.
        distance_m: distance from the start of the inspection, in metres.
        length_m: length along the pipe, in metres, of a continuous defect.
        continuous: whether it is a continuous defect and not a point.
        note: any text.
    """

    status: Status
    code: str = Field(min_length=1, max_length=64)
    seconds: Seconds | None = None
    begin_seconds: Seconds | None = None
    end_seconds: Seconds | None = None
    grade: int | None = Field(default=None, ge=1, le=4)
    clock_from: ClockHour | None = None
    clock_to: ClockHour | None = None
    distance_m: Metres | None = None
    length_m: Metres | None = None
    continuous: bool = False
    note: Note = ""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        begin, end = self.begin_seconds, self.end_seconds
        if begin is not None and end is not None and end < begin:
            raise ValueError(f"end_seconds {end:g} lies before begin_seconds {begin:g}")
        if self.clock_to is not None and self.clock_from is None:
            raise ValueError("clock_to needs clock_from")
        return self


class VideoReview(Section):
    """Whether a video was reviewed in full, so that classes without an accepted defect are absent from it."""

    reviewed: bool = False


def proposal_key(code: str, occurrence: Occurrence | None) -> str:
    """Return the key of a proposal: its class and the time of its occurrence in milliseconds.

    It does not depend on the bundle, so that a decision also holds where another bundle proposes the same.

    >>> proposal_key("CK", None)
    'CK'
    """
    return code if occurrence is None else f"{code}@{round(1000 * occurrence.seconds)}"


def is_key(text: str) -> bool:
    """Return whether a text is the key of an item.

    >>> is_key("CK@1250"), is_key("+0123456789ab"), is_key("CK@"), is_key("+1")
    (True, True, False, False)
    """
    return _KEY.fullmatch(text) is not None


def as_proposed(finding: Finding, occurrence: Occurrence | None) -> Decision:
    """Return the state of a proposal that nobody has decided on."""
    if occurrence is None:
        return Decision(status=Status.open, code=finding.code)
    read = [one.distance_metres for one in occurrence.evidence if one.distance_metres is not None]
    distance = next((metres for metres in read if 0 <= metres <= MAX_METRES), None)
    return Decision(
        status=Status.open,
        code=finding.code,
        seconds=occurrence.seconds,
        begin_seconds=occurrence.begin_seconds,
        end_seconds=max(occurrence.begin_seconds, occurrence.end_seconds),
        distance_m=distance,
    )
