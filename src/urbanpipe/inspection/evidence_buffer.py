"""Buffer of possible evidence: pictures of the moments at which the smoothed score of a class is highest so far."""

import io
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from urbanpipe.inspection.intervals import MAX_OCCURRENCES, MIN_SHARE

# The five highest peaks, ten seconds apart, have at most four better ones each within ten seconds that are kept too.
MAX_PEAKS = 5 * MAX_OCCURRENCES  # per class
APART_SECONDS = 5.0  # of two peaks closer than this, only the higher one is kept
SLACK = 0.9  # a score smoothed over a part of the window is this close to that of the whole
CLOSE_SECONDS = 3.0  # the best picture of a peak is this close to it
SECOND_SECONDS = (1.0, 3.0)  # distance of a second picture from the best
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


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A frame that may be buffered: a `Still` whose picture, uint8 (h, w, 3), is not encoded yet."""

    offset: int
    frame: int
    seconds: float
    picture: NDArray[np.uint8]
    region: NDArray[np.uint8] | None

    def encoded(self) -> Still:
        """Return the frame with its picture as JPEG."""
        return Still(self.offset, self.frame, self.seconds, to_jpeg(self.picture), self.region)


@dataclass(frozen=True, eq=False)
class Segment:
    """A segment that may be buffered: a `Candidate` whose pictures are not encoded yet.

    Attributes:
        seconds: middle of the segment.
        scores: scores of the segment alone, (classes,).
        image: network input, uint8 (1, ...).
        real: number of frames that are not padding.
        snapshots: frames that may be shown; a segment without any is no evidence.
    """

    seconds: float
    scores: NDArray[np.float64]
    image: NDArray[np.uint8]
    real: int
    snapshots: tuple[Snapshot, ...]

    @cached_property
    def candidate(self) -> Candidate:
        """The segment with encoded pictures; classes share it."""
        stills = tuple(snapshot.encoded() for snapshot in self.snapshots)
        return Candidate(self.seconds, self.scores, self.image, self.real, stills)


@dataclass(frozen=True, eq=False)
class Peak:
    """A local maximum of the smoothed score of a class.

    Attributes:
        seconds: its time.
        score: the smoothed score.
        pictures: the segment with the highest score close to it, and another one a little apart if there is one.
    """

    seconds: float
    score: float
    pictures: tuple[Candidate, ...]


class EvidenceBuffer:
    """The highest peaks of each class so far, in memory that does not depend on the length of the video.

    Segments of the last seconds wait with their pictures, until the smoothed score around each is known.

    Args:
        labels: indices of the classes that need evidence.
        smooth_seconds: standard deviation of the Gaussian that smooths scores over time.
        min_score: a peak must be above this.
    """

    def __init__(self, labels: Sequence[int], smooth_seconds: float, min_score: float = 0.01) -> None:
        self.smooth_seconds, self.min_score = smooth_seconds, min_score
        self.reach = max(CLOSE_SECONDS, 2 * smooth_seconds)
        self._peaks: dict[int, list[Peak]] = {label: [] for label in labels}
        self._recent: deque[Segment] = deque()
        self._waiting: deque[Segment] = deque()
        self._smoothed: list[tuple[Segment, NDArray[np.float64]]] = []  # the last two with known neighbours

    def push(self, segment: Segment) -> None:
        """Take the next segment; drop those that are too old to matter."""
        self._recent.append(segment)
        self._waiting.append(segment)
        while self._waiting[0].seconds <= segment.seconds - self.reach:
            self._smooth(self._waiting.popleft())
        while self._recent[0].seconds < segment.seconds - 3 * self.reach:
            self._recent.popleft()

    def finish(self) -> None:
        """Take the segments that still wait; the video has ended."""
        while self._waiting:
            self._smooth(self._waiting.popleft())
        if self._smoothed:
            self._take(self._smoothed[-1], self._smoothed[:-1])
        self._smoothed, self._recent = [], deque()

    def nearest(self, label: int, seconds: float, begin: float, end: float) -> Peak | None:
        """Return the peak of a class nearest to a time: of those in an interval, or of all if it has none."""
        peaks = self._peaks[label]
        inside = [peak for peak in peaks if begin <= peak.seconds <= end]
        return min(inside or peaks, key=lambda peak: abs(peak.seconds - seconds), default=None)

    def _smooth(self, segment: Segment) -> None:
        """Compute the smoothed scores of a segment; the one before it may be a peak now that both sides are known."""
        window = self._window(segment, self.reach)
        weights = self._weights(segment, window)
        scores = weights @ np.stack([item.scores for item in window]) / weights.sum()
        self._smoothed = [*self._smoothed[-2:], (segment, scores)]
        if len(self._smoothed) > 1:
            self._take(self._smoothed[-2], [*self._smoothed[:-2], self._smoothed[-1]])

    def _take(
        self,
        smoothed: tuple[Segment, NDArray[np.float64]],
        neighbours: Sequence[tuple[Segment, NDArray[np.float64]]],
    ) -> None:
        """Keep a segment for the classes of which it is a peak that is high enough."""
        segment, scores = smoothed
        for label, peaks in self._peaks.items():
            score = float(scores[label])
            if all(score >= other[label] for _, other in neighbours) and self._is_high(peaks, segment.seconds, score):
                self._keep(label, segment, score)

    def _is_high(self, peaks: Sequence[Peak], seconds: float, score: float) -> bool:
        highest = max((peak.score for peak in peaks), default=0.0)
        near = any(abs(peak.seconds - seconds) < APART_SECONDS and peak.score >= score for peak in peaks)
        full = len(peaks) == MAX_PEAKS and peaks[-1].score >= score
        return score > self.min_score and score >= SLACK * MIN_SHARE * highest and not near and not full

    def _keep(self, label: int, segment: Segment, score: float) -> None:
        pictures = self._pictures(label, segment)
        if not pictures:
            return
        least = SLACK * MIN_SHARE * max([score, *(peak.score for peak in self._peaks[label])])
        rest = [
            peak
            for peak in self._peaks[label]
            if abs(peak.seconds - segment.seconds) >= APART_SECONDS and peak.score >= least
        ]
        ranked = sorted([*rest, Peak(segment.seconds, score, pictures)], key=lambda peak: (-peak.score, peak.seconds))
        self._peaks[label] = ranked[:MAX_PEAKS]

    def _pictures(self, label: int, segment: Segment) -> tuple[Candidate, ...]:
        """Return the segment with the highest score close to a peak, and the best one a little apart from it."""
        window = [item for item in self._window(segment, self.reach) if item.snapshots]
        near = [item for item in window if abs(item.seconds - segment.seconds) <= CLOSE_SECONDS]
        if not near:
            return ()
        first = max(near, key=lambda item: float(item.scores[label]))
        low, high = SECOND_SECONDS
        apart = [item for item in window if low <= abs(item.seconds - first.seconds) <= high]
        second = max(apart, key=lambda item: float(item.scores[label]), default=None)
        return (first.candidate,) if second is None else (first.candidate, second.candidate)

    def _window(self, segment: Segment, reach: float) -> list[Segment]:
        """Return the recent segments close to one, which is always among them."""
        close = [item for item in self._recent if abs(item.seconds - segment.seconds) <= reach]
        return close or [segment]

    def _weights(self, segment: Segment, window: Sequence[Segment]) -> NDArray[np.float64]:
        """Return the weight of each segment of a window in the smoothed score of one."""
        away = np.array([item.seconds for item in window]) - segment.seconds
        if self.smooth_seconds == 0:
            exact: NDArray[np.float64] = (away == 0).astype(np.float64)
            return exact
        weights: NDArray[np.float64] = np.exp(-0.5 * (away / self.smooth_seconds) ** 2)
        return weights


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
