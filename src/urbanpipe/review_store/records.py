"""What a review store takes and gives: changes, authors, and decisions as recorded."""

from dataclasses import dataclass
from typing import Any

State = dict[str, Any] | None
"""Fields of a decision, of a video's review or of its inspection data; None for what nobody has decided on."""


@dataclass(frozen=True)
class Change:
    """A new state of an item.

    Attributes:
        video: digest of the video.
        item: key of the item.
        after: its new state; None to return to the proposal.
        version: the version that the person saw: number of the last decision on the item, 0 if there was none.
        bundle: digest of the bundle whose proposals the person saw.
    """

    video: str
    item: str
    after: State
    version: int
    bundle: str = ""


@dataclass(frozen=True)
class Author:
    """Who decides, and when in their visit to the page.

    Attributes:
        who: name of the person.
        is_lead: whether they may change a video that was reviewed in full.
        visit: identifies one opening of a page.
        elapsed_seconds: time since then.
        request: identifies the action: the same request is stored once, however often it is sent. Empty: a new action.
    """

    who: str
    is_lead: bool = True
    visit: str = ""
    elapsed_seconds: float = 0.0
    request: str = ""


@dataclass(frozen=True)
class RecordedDecision:
    """A decision in the log.

    Attributes:
        seq: its number, which is the version of the item from then on.
        at: time, ISO 8601 in UTC. Clocks can go back: the order of decisions is that of `seq`.
        who: name of the person.
        bundle: digest of the bundle whose proposals the person saw.
        video: digest of the video.
        item: key of the item.
        before: state before.
        after: state after.
        action: number of the first decision of the same action.
        reverts: the action that this one undoes; None for an ordinary one.
        visit: identifies one opening of a page.
        elapsed_seconds: time since then.
    """

    seq: int
    at: str
    who: str
    bundle: str
    video: str
    item: str
    before: State
    after: State
    action: int
    reverts: int | None
    visit: str
    elapsed_seconds: float


@dataclass(frozen=True)
class VideoStatus:
    """The review of one video.

    Attributes:
        reviewed: whether it was reviewed in full.
        decided: number of items with a decision other than `open`.
        seq: number of the last decision on it.
    """

    reviewed: bool
    decided: int
    seq: int


@dataclass(frozen=True)
class StoredPrediction:
    """What a bundle said about a class of a video, kept so that bundles can be compared after another inspection.

    Attributes:
        video: digest of the video.
        bundle: digest of the bundle.
        bundle_name: its name.
        code: the class.
        probability: probability of the class, in [0, 1].
        triage: what the software proposed: `accept`, `review` or `reject`.
    """

    video: str
    bundle: str
    bundle_name: str
    code: str
    probability: float
    triage: str
