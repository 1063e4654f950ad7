"""The decisions on one video, as exports and training read them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import ValidationError

from urbanpipe.contracts.inspection_data import InspectionData
from urbanpipe.errors import ReviewError
from urbanpipe.review_store.decision import DATA_KEY, REVIEW_KEY, Decision, Status
from urbanpipe.review_store.records import RecordedDecision
from urbanpipe.review_store.store import ReviewStore
from urbanpipe.settings import Section, complaint

T = TypeVar("T", bound=Section)
UNDECIDED = (Status.unsure, Status.second_opinion)
"""Decisions that say neither yes nor no."""


@dataclass(frozen=True)
class Review:
    """What a person decided about a defect.

    Attributes:
        decision: the decision.
        who: name of the person.
        at: time, ISO 8601 in UTC.
    """

    decision: Decision
    who: str
    at: str

    @property
    def date(self) -> str:
        """Date of the decision in UTC, ISO 8601."""
        return self.at[:10]


@dataclass(frozen=True)
class VideoDecisions:
    """The decisions on a video.

    Attributes:
        last: the last decision on each item, by key.
    """

    last: dict[str, RecordedDecision] = field(default_factory=dict)

    @cached_property
    def reviews(self) -> dict[str, Review]:
        """What was decided about each defect, by key; without those that are as they were proposed."""
        return {
            key: Review(_valid(Decision, row), row.who, row.at)
            for key, row in self.last.items()
            if key not in (REVIEW_KEY, DATA_KEY) and row.after is not None
        }

    @property
    def review(self) -> RecordedDecision | None:
        """The decision by which somebody marked the video as reviewed in full; None if it is not."""
        return self.last[REVIEW_KEY] if (self._state(REVIEW_KEY) or {}).get("reviewed") else None

    @property
    def is_reviewed(self) -> bool:
        """Whether the video was reviewed in full."""
        return self.review is not None

    @property
    def reviewer(self) -> str:
        """Who marked the video as reviewed in full; empty if nobody has."""
        return self.review.who if self.review else ""

    def data(self, video: str) -> InspectionData | None:
        """Return the inspection data that people entered for a video; None if they entered none."""
        row = self.last.get(DATA_KEY)
        return _valid(InspectionData, row, {"video": video}) if row and row.after else None

    @property
    def present(self) -> set[str]:
        """Codes of the classes that a person accepted."""
        return {one.decision.code for one in self.reviews.values() if one.decision.status is Status.accepted}

    @property
    def undecided(self) -> set[str]:
        """Codes of the classes that are unsure or wait for a second opinion, and that nobody accepted elsewhere."""
        unsure = {one.decision.code for one in self.reviews.values() if one.decision.status in UNDECIDED}
        return unsure - self.present

    def _state(self, key: str) -> dict[str, Any] | None:
        row = self.last.get(key)
        return row.after if row else None


def _valid(kind: type[T], row: RecordedDecision, known: Mapping[str, str] = MappingProxyType({})) -> T:
    """Return the state after a decision.

    Args:
        kind: its type.
        row: the decision.
        known: fields that the store does not hold.

    Raises:
        ReviewError: the state is no valid one.
    """
    try:
        return kind.model_validate((row.after or {}) | dict(known))
    except ValidationError as error:
        raise ReviewError(
            f"decision {row.seq} in the review store is damaged: {complaint(error)}; use a backup of the store"
        ) from error


def decisions_on(store: ReviewStore, video: str) -> VideoDecisions:
    """Return the decisions on a video, by its digest."""
    return VideoDecisions(store.items(video))
