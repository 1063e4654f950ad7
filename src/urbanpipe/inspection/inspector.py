"""Inspection of single videos from Python: `Inspector.load(bundle).inspect(video)`."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from urbanpipe.catalog.catalog_file import printable
from urbanpipe.contracts.findings import (
    UNLIKELY,
    BundleFacts,
    Finding,
    Inspection,
    Occurrence,
    Timeline,
    TriageDecision,
    VideoFacts,
)
from urbanpipe.errors import InspectionError, OutOfMemoryError
from urbanpipe.evaluation.peaks import smoothed
from urbanpipe.inference.bundle import DEMONSTRATION, Bundle, read_bundle
from urbanpipe.inference.combine import combined
from urbanpipe.inference.options import RuntimeName
from urbanpipe.inference.prediction import VideoPrediction
from urbanpipe.inspection.evidence import EvidenceMaker, Pictures
from urbanpipe.inspection.heat_maker import heat_maker
from urbanpipe.inspection.intervals import MAX_OCCURRENCES, intervals
from urbanpipe.inspection.placing import placed
from urbanpipe.inspection.player_clock import on_player_clock, player_anchors
from urbanpipe.inspection.region import AUTO, DistanceRegion
from urbanpipe.inspection.remarks import remarks_on
from urbanpipe.inspection.screen_text.counter import CounterSearch
from urbanpipe.inspection.screen_text.distance import DistanceReader
from urbanpipe.inspection.screen_text.screen import find_distance_region
from urbanpipe.inspection.video_pass import VideoPass, VideoPassResult
from urbanpipe.outputs import whole_file
from urbanpipe.taxonomy import DefectClass
from urbanpipe.video.index import FrameIndex
from urbanpipe.video.isolated import digest as digest_of
from urbanpipe.video.isolated import index_frames


@dataclass(frozen=True, eq=False)
class Inspected:
    """The inspection of a video, with its pictures.

    Attributes:
        video: the video file.
        inspection: findings, remarks and facts.
        pictures: content of picture files by the names in the evidence: JPEG of frames, PNG of heat.
        seconds: time spent on `decode`, `network` and `evidence`.
    """

    video: Path
    inspection: Inspection
    pictures: Pictures
    seconds: dict[str, float]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Defects to accept or to review: accepted ones first, then by descending probability."""
        return self.inspection.defects

    def write(self, folder: Path | str) -> Inspection:
        """Write pictures, timeline.json and findings.json to a folder; the last file completes the inspection.

        Raises:
            OutputError: a file cannot be written.
        """
        folder = Path(folder)
        for name, data in self.pictures.items():
            with whole_file(folder / name, "wb") as file:
                file.write(data)
        return placed(self.inspection, self.video, folder)


class Inspector:
    """Inspects videos with the networks, calibration and triage of a bundle.

    Example:
        >>> from urbanpipe.api import Inspector
        >>> inspected = Inspector.load().inspect("video.mp4")  # doctest: +SKIP
        >>> for finding in inspected.findings:  # doctest: +SKIP
        ...     print(finding.code, finding.triage, finding.probability, [s.seconds for s in finding.occurrences])
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        batch_size: int = 8,
        distance_region: DistanceRegion | None = None,
        decoders: int = 1,
    ) -> None:
        if batch_size < 1 or decoders < 1:
            raise InspectionError(f"batch size {batch_size}, {decoders} decoders: give 1 or more")
        self.bundle, self.distance_region = bundle, distance_region
        self._video_pass = VideoPass(bundle.models, batch_size, bundle.manifest.moments, decoders)
        self._distance = DistanceReader() if distance_region else None
        member = bundle.models.members[self._video_pass.evidence_member]
        self._many = member.recipe.input.many_segments
        self._evidence_maker = EvidenceMaker(heat_maker(member, bundle), self._distance)

    @classmethod
    def load(
        cls,
        bundle: Path | str | None = None,
        device: str = "auto",
        batch_size: int = 8,
        distance_region: DistanceRegion | None = None,
        *,
        runtime: RuntimeName = "auto",
        decoders: int = 1,
    ) -> Self:
        """Load a bundle; code in it is never executed.

        Args:
            bundle: folder of the bundle; None takes the demonstration bundle of the package.
            device: `auto`, `cpu`, `cuda` or `cuda:N`.
            batch_size: segments (super-images, frames, clips) per batch.
            distance_region: left, top, width and height, as shares of the picture, of the on-screen distance; `auto`
                looks for it in each video.
            runtime: what runs the networks: `auto`, `torch`, or `onnx` or `openvino`, which need no torch and a bundle
                that was made for them.
            decoders: processes that decode a video at the same time; findings do not depend on it.

        Raises:
            BundleError: the bundle is missing, damaged or of another kind, or the runtime cannot run it.
            InspectionError: the distance is requested but the extra `ocr` is not installed, or the batch size or the
                number of decoders is below 1.
        """
        loaded = read_bundle(Path(bundle or DEMONSTRATION), device=device, runtime=runtime)
        return cls(loaded, batch_size=batch_size, distance_region=distance_region, decoders=decoders)

    def inspect(self, video: Path | str, digest: str | None = None, index: FrameIndex | None = None) -> Inspected:
        """Inspect a video in one pass, in memory that does not grow with its length.

        Args:
            video: the video file.
            digest: digest of the file, if known; None takes that of the index, or computes it.
            index: frame index of the file, if known; None computes it.

        Raises:
            VideoError: the video is missing or cannot be read.
            OutOfMemoryError: the device is out of memory.
        """
        path = Path(video)
        self._evidence_maker.forget()
        try:
            index = index or index_frames(path, hashed=True)
            counter = self._counter(index)
            observed = self._video_pass.run(path, index, counter.region)
            started = time.perf_counter()
            pictures: Pictures = {}
            digest = digest or index.digest or digest_of(path)
            inspection = self._inspection(path, digest, observed, counter=counter, pictures=pictures)
        except OutOfMemoryError as error:
            advice = "lower --batch-size, use a smaller bundle, or --device cpu"
            raise OutOfMemoryError(f"out of memory on {self.bundle.device}: {advice}") from error
        return Inspected(path, inspection, pictures, observed.seconds | {"evidence": time.perf_counter() - started})

    def _counter(self, index: FrameIndex) -> CounterSearch:
        """Return the region of the on-screen distance: the given one, or the one found in the video."""
        if self.distance_region == AUTO:
            assert self._distance is not None, "made for every region"
            return find_distance_region(index, self._distance)
        return CounterSearch(self.distance_region)

    def _inspection(
        self, path: Path, digest: str, observed: VideoPassResult, *, counter: CounterSearch, pictures: Pictures
    ) -> Inspection:
        models, taxonomy = self.bundle.models, self.bundle.models.taxonomy
        scores = combined(models, [{0: prediction} for prediction in observed.predictions], [0])
        probabilities = self.bundle.calibration.apply(scores)[0]
        decisions = self._triage(probabilities)
        times, over_time = self._over_time(
            observed.predictions[self._video_pass.evidence_member], observed.index.duration_seconds
        )
        findings = []
        for item, triage in zip(taxonomy.classes, decisions, strict=True):
            shown = triage != "reject" and item.code != taxonomy.exclusive
            probability, score = float(probabilities[item.index]), float(scores[0, item.index])
            occurrences = (
                self._occurrences(item, probability, times, over_time=over_time, observed=observed, pictures=pictures)
                if shown
                else []
            )
            finding = _finding(item, probability, score, triage, occurrences)
            findings.append(on_player_clock(finding, observed.index))
        return Inspection(
            video=_facts(path, digest, observed.index),
            bundle=self._bundle_facts(),
            distance_region=counter.region,
            distance_region_search=self.distance_region == AUTO,
            exclusive=taxonomy.exclusive,
            findings=tuple(findings),
            timed=self._many,
            timeline=_timeline(times, over_time, taxonomy.codes) if self._many else None,
            remarks=tuple(remarks_on(observed, self.bundle.ood, self._not_learned(), counter)),
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def _triage(self, probabilities: NDArray[np.float64]) -> list[TriageDecision]:
        """Return the triage of each class; a class without training examples is rejected."""
        decided = self.bundle.triage.decide(probabilities[None])[0]
        return np.where(self.bundle.triage.positives > 0, decided, "reject").tolist()  # type: ignore[no-any-return]

    def _over_time(
        self, prediction: VideoPrediction, duration_seconds: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the middles of the segments (m,) and their smoothed scores (m, C)."""
        times = prediction.seconds.mean(axis=1)
        return times, smoothed(times, prediction.segments, self.bundle.manifest.moments.smoothing(duration_seconds))

    def _occurrences(
        self,
        item: DefectClass,
        probability: float,
        times: NDArray[np.float64],
        *,
        over_time: NDArray[np.float64],
        observed: VideoPassResult,
        pictures: Pictures,
    ) -> list[Occurrence]:
        candidates = observed.candidates
        if not self._many:
            return self._evidence_maker.whole(item.index, float(over_time[0, item.index]), candidates, pictures)
        most = MAX_OCCURRENCES if probability >= UNLIKELY else 1  # one moment is enough to review an unlikely class
        moments = intervals(times, over_time[:, item.index], self.bundle.manifest.moments, most)
        return self._evidence_maker.occurrences(item.index, moments, candidates, pictures)

    def _bundle_facts(self) -> BundleFacts:
        return BundleFacts(
            name=self.bundle.manifest.name,
            digest=self.bundle.digest,
            taxonomy=self.bundle.models.taxonomy.name,
            demonstration=self.bundle.manifest.demonstration,
            calibrated=True,
            miss_bound=self.bundle.triage.miss_bound,
        )

    def _not_learned(self) -> list[str]:
        codes = self.bundle.models.taxonomy.codes
        return [code for code, count in zip(codes, self.bundle.triage.positives, strict=True) if count == 0]


def _finding(
    item: DefectClass, probability: float, score: float, triage: TriageDecision, occurrences: Sequence[Occurrence]
) -> Finding:
    return Finding(
        code=item.code,
        en=item.en,
        zh=item.zh,
        kind=item.kind,
        probability=round(probability, 6),
        score=round(score, 6),
        triage=triage,
        occurrences=tuple(occurrences),
    )


def _timeline(times: NDArray[np.float64], scores: NDArray[np.float64], codes: tuple[str, ...]) -> Timeline:
    rows = tuple(tuple(row) for row in scores.clip(0, 1).round(4).tolist())
    return Timeline(seconds=tuple(times.round(3).tolist()), codes=codes, scores=rows)


def _facts(path: Path, digest: str, index: FrameIndex) -> VideoFacts:
    return VideoFacts(
        name=printable(path.name),
        path=printable(str(path.resolve())),
        relative="",
        digest=digest,
        duration_seconds=index.duration_seconds,
        frame_count=index.frame_count,
        width=index.width,
        height=index.height,
        frame_rate=index.frame_count / index.duration_seconds,
        player_anchors=player_anchors(index),
    )
