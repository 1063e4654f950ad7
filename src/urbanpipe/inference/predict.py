"""`predict`: probabilities of every class for unlabelled videos."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from urbanpipe.contracts.predictions import Predictions, read_predictions, write_predictions
from urbanpipe.contracts.segment_scores import write_segment_scores
from urbanpipe.errors import OutOfMemoryError, OutputError, PredictionError, VideoError
from urbanpipe.inference.combine import combined, mean_prediction
from urbanpipe.inference.members import Models, groups_by_pixels, load_models
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
    """The result of `predict`.

    Attributes:
        predictions: names and probabilities of the readable videos.
        failures: errors of the other videos, by name.
        videos_per_second: throughput, including decoding.
        taxonomy: the classes.
    """

    predictions: Predictions
    failures: dict[str, str]
    videos_per_second: float
    taxonomy: Taxonomy

    def lines(self, top: int) -> Iterator[str]:
        """Yield one line per video with its most probable classes, best first."""
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
    """Predict the probability of every class in every video; an unreadable video is reported and skipped.

    Args:
        model: folder of a run, of an ensemble, or of an experiment, whose ensemble is used.
        videos: files and folders.
        out: prediction file, as JSON or CSV; the other format is written beside it. Unreadable videos are listed in
            `<out>.failures.csv`. If the model is a single run whose method has many segments, the scores of every frame
            or clip are written to `<out>.segments.npz`.
        workers: decoding processes; -1 uses the available processors.
        options: device and batch size.

    Raises:
        CatalogError: there is no video.
        RunError: the model cannot be loaded.
        PredictionError: none of the videos could be read.
        OutOfMemoryError: all networks and one batch do not fit into memory together.
        OutputError: the result cannot be written, which is checked before prediction starts.
    """
    if workers < -1 or options.batch_size < 1:
        raise PredictionError(f"workers {workers}, batch size {options.batch_size}: give -1 or more, and 1 or more")
    output_folder(out.parent)
    paths_by_name = named_videos(videos)
    from urbanpipe.models.device import choose_device

    chosen = choose_device(options.device)
    models = load_models(model, chosen)
    _check_out(out, models.taxonomy)
    names, paths = list(paths_by_name), list(paths_by_name.values())
    started = time.perf_counter()
    try:
        by_member, failures = _predicted(models, paths, workers, options.batch_size)
    except OutOfMemoryError as error:
        advice = (
            f"lower --batch-size (now {options.batch_size}), predict with one run instead of an ensemble, "
            "or use --device cpu"
        )
        raise OutOfMemoryError(f"{error}: {advice}") from error
    seconds = time.perf_counter() - started
    bad = {names[index]: error.reason for index, error in sorted(failures.items())}
    done = [index for index in range(len(names)) if index not in failures]
    if not done:
        name, reason = next(iter(bad.items()))
        raise PredictionError(f"none of the {len(bad)} videos could be read; the first, {name}: {reason}")
    named = tuple(names[index] for index in done)
    predictions = Predictions(named, combined(models, by_member, done))
    write_predictions(predictions, out, models.taxonomy)
    _write_segments(models, named, [by_member[0][index] for index in done], out)
    _write_failures(out, bad)
    return Predicted(predictions, bad, len(names) / seconds, models.taxonomy)


def _check_out(out: Path, taxonomy: Taxonomy) -> None:
    """Refuse a name that does not suit a prediction file, and to overwrite any other file."""
    if out.suffix not in (".json", ".csv") or out.is_dir():
        raise OutputError(
            f"cannot write {out}: give the name of a .json or .csv file; the other format is written beside it"
        )
    for path in (out.with_suffix(".json"), out.with_suffix(".csv")):
        if path.exists():
            try:
                read_predictions(path, taxonomy)
            except PredictionError:
                raise OutputError(
                    f"cannot write {path}: it exists and is not a prediction file; give another --out"
                ) from None


def _predicted(
    models: Models, paths: Sequence[Path], workers: int, batch_size: int
) -> tuple[list[dict[int, VideoPrediction]], dict[int, VideoError]]:
    """Return the predictions of each member for the readable videos, by index, and the errors of the others."""
    from urbanpipe.inputs.loading import SampleLoader  # its worker processes need torch

    by_member: list[dict[int, VideoPrediction]] = [{} for _ in models.members]
    failures: dict[int, VideoError] = {}
    for group in groups_by_pixels(models.members):
        view = models.members[group[0]].recipe.view
        batches = batches_of(SampleLoader(paths, view, batch_size, workers), batch_size)
        runtimes = [runtime for number in group for runtime in models.members[number].runtimes]
        results = predict_batches(runtimes, batches)
        for index, result in track(results, len(paths), "predicting", "videos"):
            if not isinstance(result, VideoError) and not all(np.isfinite(video.scores).all() for video in result):
                result = VideoError(paths[index], "the networks predict NaN")
            if isinstance(result, VideoError):
                failures[index] = result
                continue
            for number in group:
                member = models.members[number]
                by_member[number][index] = mean_prediction([result.pop(0) for _ in member.runtimes])
    return by_member, failures


def _write_segments(models: Models, names: tuple[str, ...], predictions: Sequence[VideoPrediction], out: Path) -> None:
    path = out.with_suffix(".segments.npz")
    if len(models.members) > 1 or not models.members[0].recipe.input.many_segments:
        path.unlink(missing_ok=True)
        return
    write_segment_scores(segment_scores_of(names, predictions), path, models.taxonomy)


def _write_failures(out: Path, failures: dict[str, str]) -> None:
    path = out.with_suffix(".failures.csv")
    if failures:
        write_csv(path, ["video", "reason"], failures.items())
    else:
        path.unlink(missing_ok=True)
