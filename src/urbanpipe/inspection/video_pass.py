"""One streaming pass over a video, which runs all networks and buffers pictures that may become evidence."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from urbanpipe.decision.localization import MomentsConfig
from urbanpipe.inference.combine import mean_prediction
from urbanpipe.inference.members import Models, evidence_member, groups_by_pixels
from urbanpipe.inference.prediction import VideoPrediction
from urbanpipe.inference.runtime import Runtime
from urbanpipe.inference.scoring import encode_all
from urbanpipe.inputs.frame_timeline import FrameTimeline, Selection
from urbanpipe.inputs.reading import Assembler
from urbanpipe.inspection.evidence_buffer import EvidenceBuffer, Segment, Snapshot, shown_offsets
from urbanpipe.inspection.region import Region, cut
from urbanpipe.video.index import FrameIndex
from urbanpipe.video.isolated import index_frames, stream_pictures
from urbanpipe.video.resizing import Pixels, resized

PICTURE_WIDTH = 640  # largest width of evidence in pixels; pictures of smaller videos are not resized
DARK = 40  # a frame is dark if 95 % of its pixels are below this grey level
_DEFAULTS = MomentsConfig()


@dataclass(eq=False)
class VideoPassResult:
    """The result of one pass.

    Attributes:
        index: frame index of the video.
        predictions: predictions of each member, averaged over its folds.
        features: features for the detection of out-of-distribution videos, averaged over the segments: mean and
            standard deviation over positions of the channels of early layers, (2, channels).
        candidates: buffer of possible evidence.
        dark: share of the decoded frames that are dark.
        damaged: share of the requested frames that are affected by corrupt data or could not be decoded.
        sizes: width and height of the decoded pictures, all that occur, in order of time.
        seconds: time spent on `decode` (including resizing) and `network`.
    """

    index: FrameIndex
    predictions: list[VideoPrediction]
    features: NDArray[np.float64]
    candidates: EvidenceBuffer
    dark: float
    damaged: float
    sizes: list[tuple[int, int]]
    seconds: dict[str, float]


class VideoPass:
    """Runs networks on videos in one streaming pass each.

    Args:
        models: the networks.
        batch_size: segments per batch.
        moments: how scores become moments; pictures are buffered where moments may be.
        decoders: processes that decode a video.
    """

    def __init__(
        self,
        models: Models,
        batch_size: int = 8,
        moments: MomentsConfig = _DEFAULTS,
        decoders: int = 1,
    ) -> None:
        self.decoders = decoders
        self.models, self.batch_size, self.moments = models, batch_size, moments
        self.evidence_member = evidence_member(models.members)

    def run(self, path: Path, index: FrameIndex | None = None, region: Region | None = None) -> VideoPassResult:
        """Decode a video once and run every network on its inputs.

        Args:
            path: the video.
            index: its frame index, if known; None reads it, with the digest of the file.
            region: part of the picture that shows the distance; None if it is not read.

        Raises:
            VideoError: the video cannot be read.
        """
        started = time.perf_counter()
        index = index or index_frames(path, hashed=True)
        parts = [_Part(self, numbers, index, region) for numbers in groups_by_pixels(self.models.members)]
        wanted = sorted(set().union(*(part.segments.wanted for part in parts)))
        facts = _Facts()
        for decoded in stream_pictures(index, wanted, "conceal", self.decoders):
            facts.damaged += decoded.damaged
            if decoded.pixels is not None:
                picture = resized(decoded.pixels, (index.width, index.height))
                facts.note(decoded.frame_size, picture)
                for part in parts:
                    part.push(decoded.number, picture)
        predictions: dict[int, VideoPrediction] = {}
        for part in parts:
            predictions |= part.finish()
        (evidence_part,) = (part for part in parts if part.gives_evidence)
        network = sum(part.network_seconds for part in parts)
        return VideoPassResult(
            index=index,
            predictions=[predictions[number] for number in range(len(self.models.members))],
            features=evidence_part.features,
            candidates=evidence_part.candidates,
            dark=facts.dark / max(1, facts.frames),
            damaged=facts.damaged / len(wanted),
            sizes=facts.sizes,
            seconds={"decode": time.perf_counter() - started - network, "network": network},
        )


@dataclass
class _Facts:
    frames: int = 0
    dark: int = 0
    damaged: int = 0
    sizes: list[tuple[int, int]] = field(default_factory=list)

    def note(self, size: tuple[int, int], picture: Pixels) -> None:
        self.frames += 1
        self.dark += bool(np.percentile(picture[::8, ::8].max(axis=2), 95) < DARK)
        if not self.sizes or self.sizes[-1] != size:
            self.sizes.append(size)


@dataclass(frozen=True, eq=False)
class _DecodedFrame:
    """A decoded frame: its number, its pixels at the network's size, and the picture and region for evidence."""

    number: int
    small: Pixels
    kept: tuple[Pixels, Pixels | None] | None


class _Part:
    """The members that use the same pixels, and their progress in a video."""

    def __init__(self, video_pass: VideoPass, numbers: Sequence[int], index: FrameIndex, region: Region | None) -> None:
        members = video_pass.models.members
        self.region = region
        self.video_pass, self.members = video_pass, {number: members[number] for number in numbers}
        self.gives_evidence = video_pass.evidence_member in numbers
        self.runtimes = [runtime for number in numbers for runtime in members[number].runtimes]
        self.evidence_runtimes = members[video_pass.evidence_member].runtimes if self.gives_evidence else ()
        self.view = members[numbers[0]].recipe.view
        self.timeline = FrameTimeline(index.frame_count, index.duration_seconds, index.times_seconds)
        self.selection: Selection = self.view.evaluation_sample(self.timeline)
        self.segments: Assembler[_DecodedFrame] = Assembler(index.path, self.selection)
        self.shown = self._shown() if self.gives_evidence else {}
        self.shown_frames = {int(self.selection.frames[p, o]) for p, offsets in self.shown.items() for o in offsets}
        self.waiting: list[tuple[int, Pixels, list[_DecodedFrame]]] = []
        self.features_of: list[list[NDArray[np.float32]]] = [[] for _ in self.runtimes]
        moments = video_pass.moments
        self.candidates = EvidenceBuffer(
            video_pass.models.taxonomy.defects, moments.smoothing(index.duration_seconds), moments.min_score
        )
        self.sums: list[NDArray[np.float64]] = []
        self.network_seconds = 0.0

    @property
    def features(self) -> NDArray[np.float64]:
        return np.sum(self.sums, axis=0) / len(self.selection)  # type: ignore[no-any-return]

    def _shown(self) -> dict[int, list[int]]:
        """Return the offsets of the frames of each segment that may be shown."""
        times = self.timeline.edges_seconds
        rows = zip(self.selection.frames, self.selection.real.tolist(), strict=True)
        return {row: shown_offsets(times[frames], real) for row, (frames, real) in enumerate(rows)}

    def push(self, number: int, picture: Pixels) -> None:
        if number not in self.segments.wanted:
            return
        kept = _kept(picture, self.region) if number in self.shown_frames else None
        for row, frames in self.segments.push(
            number, _DecodedFrame(number, resized(picture, self.view.frame_size), kept)
        ):
            self._take(row, frames)

    def finish(self) -> dict[int, VideoPrediction]:
        """Return the prediction of each member for the video."""
        for row, frames in self.segments.rest():
            self._take(row, frames)
        if self.waiting:
            self._run_networks()
        self.candidates.finish()
        spans = self.timeline.spans(self.selection.frames)
        together = zip(self.runtimes, self.features_of, strict=True)
        predictions = [runtime.aggregate(np.concatenate(parts), spans) for runtime, parts in together]
        return {
            number: mean_prediction([predictions.pop(0) for _ in member.runtimes])
            for number, member in self.members.items()
        }

    def _take(self, row: int, frames: list[_DecodedFrame]) -> None:
        image = self.view.evaluation_input(np.stack([frame.small for frame in frames]))
        self.waiting.append((row, image, frames))
        if len(self.waiting) == self.video_pass.batch_size:
            self._run_networks()

    def _run_networks(self) -> None:
        """Run the networks on the waiting segments."""
        started = time.perf_counter()
        rows = np.array([row for row, *_ in self.waiting])
        part, images = self.selection[rows], np.stack([image for _, image, _ in self.waiting])
        first = self.runtimes.index(self.evidence_runtimes[0]) if self.gives_evidence else None
        encoded = encode_all(self.runtimes, images, part.real, observe=first)
        for parts, of_network in zip(self.features_of, encoded, strict=True):
            parts.append(of_network.features)
        if first is not None:
            of_evidence = encoded[first : first + len(self.evidence_runtimes)]
            self._buffer_evidence([of_network.features for of_network in of_evidence], self.timeline.spans(part.frames))
            observed = encoded[first].observed
            assert observed is not None, "requested"
            self.sums.append(observed)
        self.network_seconds += time.perf_counter() - started
        self.waiting = []

    def _buffer_evidence(self, features: Sequence[NDArray[np.float32]], spans: NDArray[np.float64]) -> None:
        """Offer the waiting segments to the buffer of evidence."""
        together = zip(self.evidence_runtimes, features, strict=True)
        scores = np.mean([segment_alone(runtime, of_network) for runtime, of_network in together], axis=0)
        for (row, image, frames), score, span in zip(self.waiting, scores, spans, strict=True):
            shown = [(offset, frames[offset]) for offset in self.shown[row] if frames[offset].kept is not None]
            snapshots = tuple(self._snapshot(offset, frame) for offset, frame in shown)
            real = int(self.selection.real[row])
            self.candidates.push(Segment(float(span.mean()), score, image[None], real, snapshots))

    def _snapshot(self, offset: int, decoded: _DecodedFrame) -> Snapshot:
        """Return a decoded frame for the buffer; it may replace a neighbour that could not be decoded."""
        assert decoded.kept is not None, "checked by the caller"
        seconds = float(self.timeline.edges_seconds[decoded.number])
        return Snapshot(offset, decoded.number, seconds, *decoded.kept)


def _kept(picture: Pixels, region: Region | None) -> tuple[Pixels, Pixels | None]:
    """Return the picture at the size of evidence, and its region with the distance at full size."""
    height, width = picture.shape[:2]
    distance = cut(picture, region) if region else None
    if width > PICTURE_WIDTH:
        picture = resized(picture, (PICTURE_WIDTH, max(1, round(height * PICTURE_WIDTH / width))))
    return picture, distance


def segment_alone(runtime: Runtime, features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the probabilities (segments, classes) of each segment as if it were the whole video."""
    nothing = np.zeros((1, 2))
    return np.concatenate([runtime.aggregate(segment[None], nothing).segments for segment in features])
