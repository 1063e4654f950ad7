"""The pictures that may become evidence: of each class the segments that spoke most for it, few and apart in time."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MOST = 16  # a class
APART_SECONDS = 5.0  # of two nearer ones the better stays
LEAST = 0.01  # score below which a segment is no candidate
JPEG_QUALITY = 85
WIDE_SECONDS = 2.0  # frames of a segment that lasts longer are different views, each of which may be evidence


@dataclass(frozen=True, eq=False)
class Still:
    """A frame that was kept.

    Attributes:
        offset: its place among the frames of its segment.
        frame: its number in the video.
        seconds: when it is shown.
        jpeg: the picture.
        region: pixels of the part of the full picture that shows the distance, uint8 (h, w, 3); None where not wanted.
    """

    offset: int
    frame: int
    seconds: float
    jpeg: bytes
    region: NDArray[np.uint8] | None


@dataclass(frozen=True, eq=False)
class Candidate:
    """A segment that was kept.

    Attributes:
        seconds: its middle.
        scores: (classes,) of the segment alone.
        image: what the network saw, uint8 (1, ...).
        real: frames of it that are not padding.
        stills: its frames that may be shown.
    """

    seconds: float
    scores: NDArray[np.float64]
    image: NDArray[np.uint8]
    real: int
    stills: tuple[Still, ...]


class EvidenceBuffer:
    """The best segments of each class so far; memory is bounded whatever the video's length.

    Args:
        labels: the classes that are to have any.
    """

    def __init__(self, labels: Sequence[int]) -> None:
        self._best: dict[int, list[Candidate]] = {label: [] for label in labels}

    def wants(self, seconds: float, scores: NDArray[np.float64]) -> list[int]:
        """The classes for which a segment with these scores would be kept."""
        return [label for label, best in self._best.items() if _is_better(best, seconds, scores, label)]

    def add(self, candidate: Candidate, labels: Sequence[int]) -> None:
        """Keep a candidate for these classes, in place of those that it beats."""
        for label in labels:
            apart = [one for one in self._best[label] if abs(one.seconds - candidate.seconds) >= APART_SECONDS]
            ranked = sorted([*apart, candidate], key=lambda one: (-one.scores[label], one.seconds))
            self._best[label] = ranked[:MOST]

    def between(self, label: int, begin: float, end: float) -> list[Candidate]:
        """Those of a class in a interval of time, best first."""
        return [one for one in self._best[label] if begin <= one.seconds <= end]


def _is_better(best: Sequence[Candidate], seconds: float, scores: NDArray[np.float64], label: int) -> bool:
    score = scores[label]
    near = [one for one in best if abs(one.seconds - seconds) < APART_SECONDS]
    if score < LEAST or any(one.scores[label] >= score for one in near):
        return False
    return bool(near) or len(best) < MOST or score > best[-1].scores[label]


def shown_offsets(times: NDArray[np.float64], real: int) -> list[int]:
    """Which frames of a segment may be shown: the middle one, or of a segment of several views all.

    Args:
        times: of the segment's frames, (k,).
        real: how many of them are not padding.
    """
    if times[real - 1] - times[0] <= WIDE_SECONDS:
        return [real // 2]
    return list(range(real))


def to_jpeg(picture: NDArray[np.uint8]) -> bytes:
    """The picture (h, w, 3) as JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
