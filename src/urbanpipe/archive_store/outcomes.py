"""The outcome of one video of an archive."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from urbanpipe.archive_store.manifest import PlannedVideo
from urbanpipe.contracts.findings import Inspection

Status = Literal["ok", "damaged", "missing", "refused", "failed"]
FINAL = frozenset({"ok", "damaged"})
"""Statuses that another run with the same bundle cannot change; the others can be tried again."""


@dataclass(frozen=True, eq=False)
class VideoOutcome:
    """What came of a video.

    Attributes:
        video: the video as it was planned.
        status: `ok`; `damaged` (cannot be decoded); `missing`; `refused` (changed since the plan, or too large for the
            disk); `failed` (an error that is not the video's).
        stage: where it ended: `read` or `inspect`; empty if it is ok.
        kind: kind of the error.
        message: one line for people.
        attempts: how often it was tried.
        seconds: time of all attempts.
        inspection: the inspection, with its timeline; None unless ok.
        pictures: files of the evidence by name.
    """

    video: PlannedVideo
    status: Status
    stage: str = ""
    kind: str = ""
    message: str = ""
    attempts: int = 1
    seconds: float = 0.0
    inspection: Inspection | None = None
    pictures: Mapping[str, bytes] = field(default_factory=dict)
