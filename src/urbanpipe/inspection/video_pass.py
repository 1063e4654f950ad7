"""One pass over a video: all networks see it, and the pictures that may become evidence are kept."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from urbanpipe.inference.combine import mean_prediction
from urbanpipe.inference.members import Models, looking_member, sharing_a_reading
from urbanpipe.inference.prediction import VideoPrediction
from urbanpipe.inference.runtime import Runtime
from urbanpipe.inference.scoring import encode_all
from urbanpipe.inputs.frame_timeline import FrameTimeline, Selection
from urbanpipe.inputs.reading import Assembler
from urbanpipe.inspection.evidence_buffer import Candidate, EvidenceBuffer, Still, shown_offsets, to_jpeg
from urbanpipe.video.decode import FrameIndex, index_frames, stream_decoded
from urbanpipe.video.picture import Pixels, resized, to_rgb

PICTURE_WIDTH = 640  # of evidence, in pixels; smaller videos are shown as they are
DARK = 40  # a frame is dark if 95 % of its pixels are below this grey level
Region = tuple[float, float, float, float]
"""Left, top, width and height of a part of the picture, as shares of its width and height."""


@dataclass(eq=False)
class VideoPassResult:
    """What one pass gave.

    Attributes:
        index: of the video.
        judged: what each member says, mean over its folds.
        features: means over the segments of what the looking network's first layer gave (mean and standard deviation of
            each channel, (2 channels,)) and its head was given, (d,).
        candidates: for evidence.
        dark: share of the wanted frames that are dark.
        damaged: share of them that corrupt data reached, or that could not be decoded at all.
        sizes: width and height of the pictures as they were decoded, all that occur, in order of time.
        seconds: what was spent on `decode` (with resizing) and `network`.
    """

    index: FrameIndex
    judged: list[VideoPrediction]
    features: tuple[NDArray[np.float64], ...]
    candidates: EvidenceBuffer
    dark: float
    damaged: float
    sizes: list[tuple[int, int]]
    seconds: dict[str, float]


class VideoPass:
    """Networks that are ready to watch videos.

    Args:
        models: the networks.
        batch_size: segments at once.
        region: part of the picture that shows the distance; None where it is not to be read.
    """

    def __init__(self, models: Models, batch_size: int = 8, region: Region | None = None) -> None:
        self.models, self.batch_size, self.region = models, batch_size, region
        self.looking = looking_member(models.members)

    def watch(self, path: Path) -> VideoPassResult:
        """Decode a video once and let every network see what it sees of it.

        Raises:
            VideoError: it cannot be read.
        """
        started = time.perf_counter()
        index = index_frames(path)
        parts = [_Part(self, numbers, index) for numbers in sharing_a_reading(self.models.members)]
        wanted = sorted(set().union(*(part.segments.wanted for part in parts)))
        facts = _Facts()
        for found in stream_decoded(index, wanted, "conceal"):
            facts.damaged += found.damaged
            if found.frame is not None:
                picture = to_rgb(found.frame, index, None)
                facts.note(found.frame, picture)
                for part in parts:
                    part.push(found.number, picture)
        judged: dict[int, VideoPrediction] = {}
        for part in parts:
            judged |= part.finish()
        (looking,) = (part for part in parts if part.looks)
        network = sum(part.network_seconds for part in parts)
        return VideoPassResult(
            index=index,
            judged=[judged[number] for number in range(len(self.models.members))],
            features=looking.features,
            candidates=looking.candidates,
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

    def note(self, frame: VideoFrame, picture: Pixels) -> None:
        self.frames += 1
        self.dark += bool(np.percentile(picture[::8, ::8].max(axis=2), 95) < DARK)
        if not self.sizes or self.sizes[-1] != (frame.width, frame.height):
            self.sizes.append((frame.width, frame.height))


@dataclass(frozen=True, eq=False)
class _Came:
    """A frame that was decoded: its number, as the network wants it, and what is kept of it to be shown."""

    number: int
    small: Pixels
    kept: tuple[Pixels, Pixels | None] | None


class _Part:
    """The members that see the same pixels, and how far they have come in a video."""

    def __init__(self, video_pass: VideoPass, numbers: Sequence[int], index: FrameIndex) -> None:
        members = video_pass.models.members
        self.video_pass, self.members = video_pass, {number: members[number] for number in numbers}
        self.looks = video_pass.looking in numbers
        self.runtimes = [runtime for number in numbers for runtime in members[number].runtimes]
        self.looking = members[video_pass.looking].runtimes if self.looks else ()
        self.view = members[numbers[0]].recipe.view
        self.timeline = FrameTimeline(index.frame_count, index.duration_seconds, index.times_seconds)
        self.selection: Selection = self.view.evaluation_sample(self.timeline)
        self.segments: Assembler[_Came] = Assembler(index.path, self.selection)
        self.shown = self._shown() if self.looks else {}
        self.shown_frames = {int(self.selection.frames[p, o]) for p, offsets in self.shown.items() for o in offsets}
        self.waiting: list[tuple[int, Pixels, list[_Came]]] = []
        self.features_of: list[list[NDArray[np.float32]]] = [[] for _ in self.runtimes]
        self.candidates = EvidenceBuffer(video_pass.models.taxonomy.defects)
        self.sums: list[tuple[NDArray[np.float64], ...]] = []
        self.network_seconds = 0.0

    @property
    def features(self) -> tuple[NDArray[np.float64], ...]:
        return tuple(sum(part) / len(self.selection) for part in zip(*self.sums, strict=True))

    def _shown(self) -> dict[int, list[int]]:
        """Offsets of the frames of each segment that may be shown."""
        times = self.timeline.edges_seconds
        rows = zip(self.selection.frames, self.selection.real.tolist(), strict=True)
        return {place: shown_offsets(times[frames], real) for place, (frames, real) in enumerate(rows)}

    def push(self, number: int, picture: Pixels) -> None:
        if number not in self.segments.wanted:
            return
        kept = _kept(picture, self.video_pass.region) if number in self.shown_frames else None
        for place, frames in self.segments.push(number, _Came(number, resized(picture, self.view.frame_size), kept)):
            self._take(place, frames)

    def finish(self) -> dict[int, VideoPrediction]:
        """What each member says of the video."""
        for place, frames in self.segments.rest():
            self._take(place, frames)
        if self.waiting:
            self._see()
        spans = self.timeline.spans(self.selection.frames)
        together = zip(self.runtimes, self.features_of, strict=True)
        said = [runtime.aggregate(np.concatenate(parts), spans) for runtime, parts in together]
        return {
            number: mean_prediction([said.pop(0) for _ in member.runtimes]) for number, member in self.members.items()
        }

    def _take(self, place: int, frames: list[_Came]) -> None:
        image = self.view.evaluation_input(np.stack([frame.small for frame in frames]))
        self.waiting.append((place, image, frames))
        if len(self.waiting) == self.video_pass.batch_size:
            self._see()

    def _see(self) -> None:
        """Show the segments that wait to the networks."""
        started = time.perf_counter()
        places = np.array([place for place, *_ in self.waiting])
        part, images = self.selection[places], np.stack([image for _, image, _ in self.waiting])
        first = self.runtimes.index(self.looking[0]) if self.looks else None
        encoded = encode_all(self.runtimes, images, part.real, observe=first)
        for parts, one in zip(self.features_of, encoded, strict=True):
            parts.append(one.features)
        if first is not None:
            looking = encoded[first : first + len(self.looking)]
            self._look([one.features for one in looking], self.timeline.spans(part.frames))
            self.sums.append(encoded[first].observed)
        self.network_seconds += time.perf_counter() - started
        self.waiting = []

    def _look(self, features: Sequence[NDArray[np.float32]], spans: NDArray[np.float64]) -> None:
        """Keep the segments that speak more for a class than those that were kept."""
        together = zip(self.looking, features, strict=True)
        scores = np.mean([segment_alone(runtime, each) for runtime, each in together], axis=0)
        for (place, image, frames), score, span in zip(self.waiting, scores, spans, strict=True):
            middle = float(span.mean())
            came = [(offset, frames[offset]) for offset in self.shown[place] if frames[offset].kept is not None]
            if came and (labels := self.candidates.wants(middle, score)):
                stills = tuple(self._still(offset, frame) for offset, frame in came)
                real = int(self.selection.real[place])
                self.candidates.add(Candidate(middle, score, image[None], real, stills), labels)

    def _still(self, offset: int, came: _Came) -> Still:
        """The frame that came, which may be the neighbour of one that could not be decoded."""
        assert came.kept is not None, "the caller has looked"
        picture, region = came.kept
        seconds = float(self.timeline.edges_seconds[came.number])
        return Still(offset, came.number, seconds, to_jpeg(picture), region)


def _kept(picture: Pixels, region: Region | None) -> tuple[Pixels, Pixels | None]:
    """The picture at the size of evidence, and its region with the distance, at full size."""
    height, width = picture.shape[:2]
    cut = _cut(picture, region) if region else None
    if width > PICTURE_WIDTH:
        picture = resized(picture, (PICTURE_WIDTH, max(1, round(height * PICTURE_WIDTH / width))))
    return picture, cut


def _cut(picture: Pixels, region: Region) -> Pixels:
    """A copy of a part of the picture, of one pixel at least."""
    height, width = picture.shape[:2]
    left, top, wide, high = region
    x, y = min(round(left * width), width - 1), min(round(top * height), height - 1)
    right, bottom = max(x + 1, round((left + wide) * width)), max(y + 1, round((top + high) * height))
    return picture[y:bottom, x:right].copy()


def segment_alone(runtime: Runtime, features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the probabilities (segments, classes) that a network would give each segment if it were all of the video."""
    nothing = np.zeros((1, 2))
    return np.concatenate([runtime.aggregate(segment[None], nothing).segments for segment in features])
