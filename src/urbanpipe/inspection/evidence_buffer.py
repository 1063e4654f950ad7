"""Buffer of possible evidence: for each class a few of the segments with its highest scores, apart in time."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MOST = 16  # candidates per class
APART_SECONDS = 5.0  # of two candidates closer than this, only the better one is kept
LEAST = 0.01  # minimum score of a candidate
JPEG_QUALITY = 85
WIDE_SECONDS = 2.0  # frames of a longer segment are different views, each of which may be evidence


@dataclass(frozen=True, eq=False)
class Still:
    """A buffered frame.

    Attributes:
        offset: index of the frame in its segment.
        frame: frame number in the video.
        seconds: time of the frame.
        jpeg: the picture.
        region: pixels of the part of the full picture that shows the distance, uint8 (h, w, 3); None if not requested.
    """

    offset: int
    frame: int
    seconds: float
    jpeg: bytes
    region: NDArray[np.uint8] | None


@dataclass(frozen=True, eq=False)
class Candidate:
    """A buffered segment.

    Attributes:
        seconds: middle of the segment.
        scores: scores of the segment alone, (classes,).
        image: network input, uint8 (1, ...).
        real: number of frames that are not padding.
        stills: frames that may be shown.
    """

    seconds: float
    scores: NDArray[np.float64]
    image: NDArray[np.uint8]
    real: int
    stills: tuple[Still, ...]


class EvidenceBuffer:
    """The best segments of each class so far, in memory that does not depend on the length of the video.

    Args:
        labels: indices of the classes that need evidence.
    """

    def __init__(self, labels: Sequence[int]) -> None:
        self._best: dict[int, list[Candidate]] = {label: [] for label in labels}

    def wants(self, seconds: float, scores: NDArray[np.float64]) -> list[int]:
        """Return the classes for which a segment with these scores would be kept."""
        return [label for label, best in self._best.items() if _is_better(best, seconds, scores, label)]

    def add(self, candidate: Candidate, labels: Sequence[int]) -> None:
        """Add a candidate for these classes, replacing worse ones."""
        for label in labels:
            apart = [item for item in self._best[label] if abs(item.seconds - candidate.seconds) >= APART_SECONDS]
            ranked = sorted([*apart, candidate], key=lambda item: (-item.scores[label], item.seconds))
            self._best[label] = ranked[:MOST]

    def between(self, label: int, begin: float, end: float) -> list[Candidate]:
        """Return the candidates of a class in an interval of time, best first."""
        return [item for item in self._best[label] if begin <= item.seconds <= end]


def _is_better(best: Sequence[Candidate], seconds: float, scores: NDArray[np.float64], label: int) -> bool:
    score = scores[label]
    near = [item for item in best if abs(item.seconds - seconds) < APART_SECONDS]
    if score < LEAST or any(item.scores[label] >= score for item in near):
        return False
    return bool(near) or len(best) < MOST or score > best[-1].scores[label]


def shown_offsets(times: NDArray[np.float64], real: int) -> list[int]:
    """Return the indices of the frames of a segment that may be shown: the middle one, or all of a long segment.

    Args:
        times: times of the segment's frames, (k,).
        real: number of frames that are not padding.
    """
    if times[real - 1] - times[0] <= WIDE_SECONDS:
        return [real // 2]
    return list(range(real))


def to_jpeg(picture: NDArray[np.uint8]) -> bytes:
    """Encode a picture (h, w, 3) as JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
