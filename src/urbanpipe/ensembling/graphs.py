"""The graphs of a bundle: exported, and compared with torch on videos that the networks were not trained on."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from urbanpipe.catalog.catalog_file import Video
from urbanpipe.catalog.folds import read_folds
from urbanpipe.ensembling.graph_export import MapLayer, export_encoder, export_head, map_layer
from urbanpipe.errors import BundleError, VideoError
from urbanpipe.evaluation.average_precision import score
from urbanpipe.evaluation.evaluation_set import EvaluationSet
from urbanpipe.inference.bundle import ManifestMember, graph_files, graph_runtimes
from urbanpipe.inference.members import Member
from urbanpipe.inference.prediction import VideoPrediction
from urbanpipe.inference.runtime import Runtime
from urbanpipe.inference.scoring import predict_batches
from urbanpipe.inference.torch_runtime import TorchRuntime
from urbanpipe.inputs.batches import batches_of
from urbanpipe.inputs.frame_timeline import FrameTimeline
from urbanpipe.inputs.new_videos import new_samples
from urbanpipe.inputs.view import View
from urbanpipe.models.layers import noise
from urbanpipe.progress import track
from urbanpipe.video.isolated import index_frames, read_frames

log = logging.getLogger(__name__)

MAX_AP_DROP = 0.002  # of any class, on videos that the networks were not trained on
MAX_LOGIT_DIFFERENCE = 0.1
BATCHES = (1, 7, 60)  # numbers of segments that must agree; the last one only for the head
CHECKED_VIDEOS = 300  # per member
MAP_SEGMENTS = 32  # segments of training videos over which the channels of a layer are weighted
_BATCH_SIZE = 8
_EPSILON = 1e-12
Pair = tuple[Runtime, Runtime]
"""A network in torch and as graphs."""


@dataclass(frozen=True, eq=False)
class GraphCheck:
    """The comparison of a bundle's graphs with torch.

    Attributes:
        runtime: what ran the graphs.
        logit_difference: largest difference of a video's logits, by the number of segments in a batch.
        videos: number of videos, over all members, that both predicted.
        ap_drop: largest drop of AP over classes and members, 0 to 1; negative if every AP rises, and minus infinity if
            no class is in some of the videos only.
        code: class with the largest drop.
        videos_are: what the videos are, for people.
    """

    runtime: str
    logit_difference: Mapping[int, float]
    videos: int
    ap_drop: float
    code: str
    videos_are: str = "out-of-fold"

    @property
    def line(self) -> str:
        """The comparison in a line."""
        differences = ", ".join(f"{value:.1e} at {size}" for size, value in self.logit_difference.items())
        points = f"{100 * max(self.ap_drop, 0.0):.2f} points ({self.code})"
        drop = points if np.isfinite(self.ap_drop) else "unknown: no class varies"
        return (
            f"{self.runtime} against torch: largest logit difference {differences} segments; largest drop of AP on "
            f"{self.videos} {self.videos_are} videos {drop}"
        )

    def to_table(self) -> dict[str, object]:
        """Return the comparison for `metrics.json`."""
        return {
            "logit_difference": {str(size): value for size, value in self.logit_difference.items()},
            "videos": self.videos,
            "videos_are": self.videos_are,
            "largest_ap_drop": round(self.ap_drop, 6) if np.isfinite(self.ap_drop) else None,
        }

    def refuse(self) -> None:
        """Refuse graphs that predict worse than torch.

        Raises:
            BundleError: a class has a lower AP, or logits differ.
        """
        if self.ap_drop > MAX_AP_DROP or max(self.logit_difference.values()) > MAX_LOGIT_DIFFERENCE:
            limit = f"at most {100 * MAX_AP_DROP:.1f} points of AP and {MAX_LOGIT_DIFFERENCE} of a logit may change"
            raise BundleError(f"the export is refused, as its graphs predict differently: {self.line}; {limit}")


def write_graphs(
    members: Sequence[Member],
    written: Sequence[ManifestMember],
    videos: Mapping[str, Video],
    folder: Path,
    *,
    half: bool,
) -> tuple[ManifestMember, ...]:
    """Write the graphs of all networks; return the members as they are recorded in the manifest.

    Args:
        members: the networks, in torch on the CPU.
        written: the members in the bundle.
        videos: training videos by name.
        folder: folder of the bundle.
        half: whether weights are stored in half precision.

    Raises:
        BundleError: the extra `onnx` is not installed, or no video can be read.
    """
    return tuple(
        _written(member, recorded, videos, folder, half=half) for member, recorded in zip(members, written, strict=True)
    )


def check_graphs(
    members: Sequence[Member],
    written: Sequence[ManifestMember],
    data: EvaluationSet,
    *,
    runs: Sequence[Path],
    videos: Mapping[str, Video],
    folder: Path,
    runtime: str,
) -> GraphCheck:
    """Compare the graphs in a bundle with torch, each network on videos of its own held-out fold.

    Args:
        members: the networks, in torch on the CPU.
        written: the members in the bundle, with graphs.
        data: labels of the videos.
        runs: run folder of each member.
        videos: the videos by name.
        folder: folder of the bundle.
        runtime: what runs the graphs.

    Raises:
        BundleError: the runtime is not installed, or none of the videos can be read.
    """
    differences = dict.fromkeys(BATCHES, 0.0)
    count, drops = 0, []
    for member, recorded, run in zip(members, written, runs, strict=True):
        graphs = graph_runtimes(folder, recorded, runtime, len(data.taxonomy))
        pairs: list[Pair] = list(zip(member.runtimes, graphs, strict=True))
        for size in BATCHES:
            differences[size] = max([differences[size], *(logit_difference(pair, member, size) for pair in pairs)])
        rows, of_torch, of_graph = _held_out(pairs, member.recipe.view, data, run, videos)
        count += len(rows)
        before, after = (score(scores, data.targets[rows], data.taxonomy, "skip") for scores in (of_torch, of_graph))
        drops.append(np.nan_to_num(before.ap - after.ap, nan=-np.inf))
    worst = np.max(drops, axis=0)
    return GraphCheck(runtime, differences, count, float(worst.max()), data.taxonomy.codes[int(worst.argmax())])


def _written(
    member: Member, recorded: ManifestMember, videos: Mapping[str, Video], folder: Path, *, half: bool
) -> ManifestMember:
    """Write the graphs of a member; networks with the same frozen encoder share one."""
    runtimes = [runtime for runtime in member.runtimes if isinstance(runtime, TorchRuntime)]
    encoders = [
        next(earlier for earlier in range(number + 1) if earlier == number or runtimes[earlier].shares_encoder(runtime))
        for number, runtime in enumerate(runtimes)
    ]
    recorded = recorded.model_copy(update={"encoders": tuple(encoders)})
    layer = _layer_of_maps(runtimes[0], member.recipe.view, list(videos.values()))
    width = runtimes[0].encode(noise(member.recipe.input).numpy(), np.array([member.recipe.input.frames]))
    for number, (encoder, head) in enumerate(graph_files(recorded)):
        if encoders[number] == number:
            export_encoder(runtimes[number], None if number else layer, folder / encoder, half=half)
        export_head(runtimes[number], width.features.shape[1], folder / head, half=half)
    return recorded


def _layer_of_maps(runtime: TorchRuntime, view: View, videos: list[Video]) -> MapLayer:
    """Weigh the channels of a layer over one segment of each of some training videos."""
    chance, images, real = np.random.default_rng(0), [], []
    for number in chance.permutation(len(videos)).tolist():
        try:
            segment, count = _random_segment(videos[number].path, view, chance)
        except VideoError as error:
            log.warning("left out of the weights of heat maps: %s: %s", videos[number].name, error.reason)
            continue
        images.append(segment)
        real.append(count)
        if len(images) == MAP_SEGMENTS:
            break
    if not images:
        raise BundleError(f"none of the {len(videos)} videos can be read; give the catalog of the run as --data")
    return map_layer(runtime, torch.from_numpy(np.stack(images)), torch.tensor(real))


def _random_segment(path: Path, view: View, chance: np.random.Generator) -> tuple[NDArray[np.uint8], int]:
    index = index_frames(path)
    selection = view.evaluation_sample(FrameTimeline(index.frame_count, index.duration_seconds, index.times_seconds))
    row = int(chance.integers(len(selection)))
    frames = read_frames(path, selection.frames[row], view.frame_size, index, "conceal")
    return view.evaluation_input(frames), int(selection.real[row])


def logit_difference(pair: Pair, member: Member, size: int) -> float:
    """Return the largest difference of the logits of a video of `size` segments of noise."""
    config, chance = member.recipe.input, np.random.default_rng(0)
    encoded = min(size, _BATCH_SIZE)
    images = chance.integers(256, size=(encoded, *config.segment_shape), dtype=np.uint8)
    real, seconds = np.full(encoded, config.frames), np.stack([np.arange(size), np.arange(size) + 1.0], axis=1)
    noise_of = chance.normal(1, 0.1, (size, 1)).astype(np.float32)
    one, other = (
        runtime.aggregate(np.resize(features, (size, features.shape[1])) * noise_of, seconds).scores
        for runtime in pair
        for features in [runtime.encode(images, real).features]
    )
    return float(np.abs(_logit(one) - _logit(other)).max())


def _logit(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    clipped = probabilities.clip(_EPSILON, 1 - _EPSILON)
    logits: NDArray[np.float64] = np.log(clipped / (1 - clipped))
    return logits


def _held_out(
    pairs: Sequence[Pair],
    view: View,
    data: EvaluationSet,
    run: Path,
    videos: Mapping[str, Video],
) -> tuple[list[int], NDArray[np.float64], NDArray[np.float64]]:
    """Return rows of held-out videos, and their scores in torch and as graphs, (rows, classes) each."""
    assignment = read_folds(run / "folds.csv")
    folds = sorted(set(assignment.values()))
    drawn = np.random.default_rng(0).permutation(len(data.names))
    rows = [row for row in drawn.tolist() if data.names[row] in videos and data.names[row] in assignment]
    by_row: dict[int, list[VideoPrediction]] = {}
    for fold, pair in zip(folds, pairs, strict=True):
        held = [row for row in rows[:CHECKED_VIDEOS] if assignment[data.names[row]] == fold]
        by_row |= dict(predicted(pair, view, held, [videos[data.names[row]] for row in held]))
    if not by_row:
        raise BundleError(f"none of the {len(rows)} videos can be read; give the catalog of the run as --data")
    scores = [np.stack([by_row[row][number].scores for row in by_row]) for number in (0, 1)]
    return list(by_row), scores[0], scores[1]


def predicted(
    pair: Pair, view: View, rows: Sequence[int], videos: Sequence[Video]
) -> Iterator[tuple[int, list[VideoPrediction]]]:
    """Yield (row, predictions in torch and as graphs) of the readable videos; the log names the others."""
    samples = new_samples([video.path for video in videos], view, _BATCH_SIZE)
    results = predict_batches(pair, batches_of(samples, _BATCH_SIZE))
    for index, result in track(results, len(rows), "checking graphs", "videos"):
        if isinstance(result, VideoError):
            log.warning("left out of the check of graphs: %s: %s", videos[index].name, result.reason)
        else:
            yield rows[index], result
