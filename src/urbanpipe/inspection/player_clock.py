"""Times of an inspection on the clock of a video player, which is the clock of the file."""

from collections.abc import Iterator

import numpy as np

from urbanpipe.contracts.findings import Finding, Occurrence
from urbanpipe.video.index import FrameIndex

TOLERANCE_SECONDS = 0.25  # of the anchors, which place clicks on the time axis; frames have exact times of their own


def on_player_clock(finding: Finding, index: FrameIndex) -> Finding:
    """Return the finding with the player's times of its occurrences and evidence."""
    placed = tuple(_placed(occurrence, index) for occurrence in finding.occurrences)
    return finding.model_copy(update={"occurrences": placed})


def player_anchors(index: FrameIndex) -> tuple[tuple[float, float], ...]:
    """Return (seconds after the first frame, seconds on the player's clock) wherever their difference changes."""
    return tuple(_anchors(index))


def _placed(occurrence: Occurrence, index: FrameIndex) -> Occurrence:
    seconds = min(max(occurrence.seconds, 0.0), index.duration_seconds)
    frames = [int(index.frame_at(np.array(seconds))), *(evidence.frame for evidence in occurrence.evidence)]
    at, *shown = index.player_seconds(np.array(frames)).tolist()
    evidence = [
        one.model_copy(update={"player_seconds": time}) for one, time in zip(occurrence.evidence, shown, strict=True)
    ]
    return occurrence.model_copy(update={"player_seconds": at, "evidence": tuple(evidence)})


def _anchors(index: FrameIndex) -> Iterator[tuple[float, float]]:
    clock = index.clock_seconds - min(0.0, float(index.clock_seconds.min()))
    offsets = clock - index.times_seconds
    current = np.inf
    for seconds, offset in zip(index.times_seconds.tolist(), offsets.tolist(), strict=True):
        if abs(offset - current) > TOLERANCE_SECONDS:
            current = offset
            yield seconds, seconds + offset
