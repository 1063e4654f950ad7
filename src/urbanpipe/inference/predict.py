"""Probabilities of every class for videos that nobody has labelled."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from urbanpipe.contracts.predictions import Predictions, read_predictions, write_predictions
from urbanpipe.contracts.segment_scores import write_segment_scores
from urbanpipe.errors import OutOfMemoryError, OutputError, PredictionError, VideoError
from urbanpipe.inference.combine import combined, mean_prediction
from urbanpipe.inference.members import Models, load_models, sharing_a_reading
from urbanpipe.inference.options import InferenceOptions
from urbanpipe.inference.prediction import VideoPrediction, segment_scores_of
from urbanpipe.inference.scoring import predict_batches
from urbanpipe.inputs.batches import batches_of
from urbanpipe.inputs.new_videos import named_videos
from urbanpipe.outputs import output_folder, write_csv
from urbanpipe.progress import track
from urbanpipe.taxonomy import Taxonomy


@dataclass(frozen=True)
class Predicted:
    """What `predict` found.

    Attributes:
        predictions: names and probabilities of the videos that could be read.
        failures: reasons, by name, of the others.
        videos_per_second: decoding and networks together.
        taxonomy: the classes.
    """

    predictions: Predictions
    failures: dict[str, str]
    videos_per_second: float
    taxonomy: Taxonomy

    def lines(self, top: int) -> Iterator[str]:
        """A line a video: its most probable classes, best first."""
        for name, scores in zip(self.predictions.names, self.predictions.scores, strict=True):
            best = np.argsort(-scores, kind="stable")[:top]
            yield f"{name}: " + ", ".join(f"{self.taxonomy.codes[index]} {scores[index]:.2f}" for index in best)


def predict(
    model: Path,
    videos: Sequence[Path],
    *,
    out: Path,
    workers: int = -1,
    options: InferenceOptions = InferenceOptions(),
) -> Predicted:
    """Rank every class in every video; a bad video is named and skipped.

    Args:
        model: a run folder, an ensemble's, or an experiment's, whose ensemble then predicts.
        videos: files and folders.
        out: gets the predictions as JSON, and as CSV beside it; also `<out>.failures.csv` where videos were bad, and
            `<out>.segments.npz` with what every frame or clip says, where one run predicts whose method sees many.
        workers: decoding processes; -1 for as many as the machine allows.
        options: device, and segments (super-images, frames, clips) at once.

    Raises:
        CatalogError: there is no video.
        RunError: the model cannot be loaded.
        PredictionError: none of the videos could be read.
        OutOfMemoryError: all networks are held at once, and a batch beside them.
        OutputError: the result cannot be written, which is tried before the work.
    """
    if workers < -1 or options.batch_size < 1:
        raise PredictionError(f"workers {workers}, batch size {options.batch_size}: give -1 or more, and 1 or more")
    output_folder(out.parent)
    found = named_videos(videos)
    from urbanpipe.models.device import choose_device

    chosen = choose_device(options.device)
    models = load_models(model, chosen)
    _check_out(out, models.taxonomy)
    names, paths = list(found), list(found.values())
    started = time.perf_counter()
    try:
        judged, failures = _judged(models, paths, workers, options.batch_size)
    except OutOfMemoryError as error:
        advice = f"lower --batch-size (now {options.batch_size}), predict with one run instead of an ensemble, or --device cpu"
        raise OutOfMemoryError(f"{error}: {advice}") from error
    seconds = time.perf_counter() - started
    bad = {names[place]: error.reason for place, error in sorted(failures.items())}
    done = [place for place in range(len(names)) if place not in failures]
    if not done:
        name, reason = next(iter(bad.items()))
        raise PredictionError(f"none of the {len(bad)} videos could be read; the first, {name}: {reason}")
    named = tuple(names[place] for place in done)
    predictions = Predictions(named, combined(models, judged, done))
    write_predictions(predictions, out, models.taxonomy)
    _write_segments(models, named, [judged[0][place] for place in done], out)
    _write_failures(out, bad)
    return Predicted(predictions, bad, len(names) / seconds, models.taxonomy)


def _check_out(out: Path, taxonomy: Taxonomy) -> None:
    """Refuse a name that is not a prediction file's, and to write over anything that is not one."""
    if out.suffix not in (".json", ".csv") or out.is_dir():
        raise OutputError(f"cannot write {out}: give the name of a .json or .csv file; the other form goes beside it")
    for path in (out.with_suffix(".json"), out.with_suffix(".csv")):
        if path.exists():
            try:
                read_predictions(path, taxonomy)
            except PredictionError:
                raise OutputError(
                    f"cannot write {path}: it is there and is no prediction file; give another --out"
                ) from None


def _judged(
    models: Models, paths: Sequence[Path], workers: int, batch_size: int
) -> tuple[list[dict[int, VideoPrediction]], dict[int, VideoError]]:
    """What each member says of each video that could be read, by place; and the errors of the others."""
    from urbanpipe.inputs.loading import SampleLoader  # its worker processes are torch's

    found: list[dict[int, VideoPrediction]] = [{} for _ in models.members]
    failures: dict[int, VideoError] = {}
    for group in sharing_a_reading(models.members):
        view = models.members[group[0]].recipe.view
        batches = batches_of(SampleLoader(paths, view, batch_size, workers), batch_size)
        runtimes = [runtime for number in group for runtime in models.members[number].runtimes]
        judged = predict_batches(runtimes, batches)
        for place, said in track(judged, len(paths), "predicting", "videos"):
            if not isinstance(said, VideoError) and not all(np.isfinite(one.scores).all() for one in said):
                said = VideoError(paths[place], "the networks say nothing of it but NaN")
            if isinstance(said, VideoError):
                failures[place] = said
                continue
            for number in group:
                member = models.members[number]
                found[number][place] = mean_prediction([said.pop(0) for _ in member.runtimes])
    return found, failures


def _write_segments(models: Models, names: tuple[str, ...], judged: Sequence[VideoPrediction], out: Path) -> None:
    path = out.with_suffix(".segments.npz")
    if len(models.members) > 1 or not models.members[0].recipe.input.many_segments:
        path.unlink(missing_ok=True)
        return
    write_segment_scores(segment_scores_of(names, judged), path, models.taxonomy)


def _write_failures(out: Path, failures: dict[str, str]) -> None:
    path = out.with_suffix(".failures.csv")
    if failures:
        write_csv(path, ["video", "reason"], failures.items())
    else:
        path.unlink(missing_ok=True)
