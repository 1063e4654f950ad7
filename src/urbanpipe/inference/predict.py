"""`predict`: probabilities of every class for unlabelled videos."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from urbanpipe.contracts.predictions import Predictions, read_predictions, write_predictions
from urbanpipe.contracts.segment_scores import write_segment_scores
from urbanpipe.errors import OutOfMemoryError, OutputError, PredictionError, RunError, VideoError
from urbanpipe.inference.bundle import MANIFEST, read_bundle
from urbanpipe.inference.choose_runtime import is_installed
from urbanpipe.inference.combine import combined, mean_prediction
from urbanpipe.inference.kept_predictions import (
    KeptPredictions,
    load_predictions,
    models_identity,
    store_predictions,
)
from urbanpipe.inference.members import Member, Models, groups_by_pixels, load_models
from urbanpipe.inference.options import InferenceOptions
from urbanpipe.inference.prediction import VideoPrediction, segment_scores_of
from urbanpipe.inference.scoring import predict_batches
from urbanpipe.inputs.batches import Sample, batches_of
from urbanpipe.inputs.lost_workers import lost_workers_explained
from urbanpipe.inputs.new_videos import named_videos, new_samples
from urbanpipe.inputs.view import View
from urbanpipe.outputs import output_folder, remove, write_csv
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

    The same call resumes an interrupted one: the predictions of finished videos are kept in a hidden folder beside
    `out` until the results are written.

    Args:
        model: folder of a run, of an ensemble, of an experiment, whose ensemble is used, or of a bundle, whose scores
            are not calibrated here.
        videos: files and folders.
        out: prediction file, as JSON or CSV; the other format is written beside it. Unreadable videos are listed in
            `<out>.failures.csv`. If the model is a single run whose method has many segments, the scores of every frame
            or clip are written to `<out>.segments.npz`.
        workers: decoding processes; -1 uses the available processors.
        options: device, batch size and runtime.

    Raises:
        CatalogError: there is no video.
        RunError: the model cannot be loaded, or runs in torch only.
        BundleError: the bundle is damaged, or the runtime cannot run it.
        PredictionError: none of the videos could be read.
        OutOfMemoryError: all networks and one batch do not fit into memory together.
        LoadingError: a process that decodes videos was ended by the system.
        OutputError: the result cannot be written, which is checked before prediction starts.
    """
    if workers < -1 or options.batch_size < 1:
        raise PredictionError(f"workers {workers}, batch size {options.batch_size}: give -1 or more, and 1 or more")
    output_folder(out.parent)
    paths_by_name = named_videos(videos)
    models, identity = _loaded(model, options)
    _check_out(out, models.taxonomy)
    kept = KeptPredictions(out.with_name(f".{out.stem}.parts"), identity)
    names, paths = list(paths_by_name), list(paths_by_name.values())
    started = time.perf_counter()
    try:
        by_member, failures = _predicted(models, paths, workers, options.batch_size, kept)
    except OutOfMemoryError as error:
        smaller = f"lower --batch-size (now {options.batch_size}), predict with one run instead of an ensemble"
        raise OutOfMemoryError(f"{error}: {smaller}, or use --device cpu") from error
    seconds = time.perf_counter() - started
    bad = {names[index]: error.reason for index, error in sorted(failures.items())}
    predictions = _write_results(models, names, by_member, bad, out)
    kept.remove()
    return Predicted(predictions, bad, len(names) / seconds, models.taxonomy)


def _loaded(model: Path, options: InferenceOptions) -> tuple[Models, str]:
    """Return the networks of a run, an ensemble or a bundle, and what identifies them and how they run."""
    if (model / MANIFEST).is_file():
        bundle = read_bundle(model, device=options.device, runtime=options.runtime)
        return bundle.models, f"{bundle.runtime}\0{bundle.device.split(':')[0]}\0{bundle.digest}"
    if options.runtime not in ("auto", "torch"):
        raise RunError(
            f"--runtime {options.runtime} needs a bundle with graphs; make one of {model} with `urbanpipe bundle "
            f"--runtime {options.runtime}`"
        )
    from urbanpipe.models.device import choose_device

    chosen = choose_device(options.device)
    return load_models(model, chosen), models_identity(model, chosen.type)


def _write_results(
    models: Models,
    names: Sequence[str],
    by_member: Sequence[dict[int, VideoPrediction]],
    bad: dict[str, str],
    out: Path,
) -> Predictions:
    """Write and return the predictions for the readable videos, and write the reasons of the others.

    Raises:
        PredictionError: none of the videos could be read.
    """
    done = [index for index, name in enumerate(names) if name not in bad]
    if not done:
        name, reason = next(iter(bad.items()))
        raise PredictionError(f"none of the {len(bad)} videos could be read; the first, {name}: {reason}")
    named = tuple(names[index] for index in done)
    predictions = Predictions(named, combined(models, by_member, done))
    write_predictions(predictions, out, models.taxonomy)
    _write_segments(models, named, [by_member[0][index] for index in done], out)
    _write_failures(out, bad)
    return predictions


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


@lost_workers_explained()
def _predicted(
    models: Models, paths: Sequence[Path], workers: int, batch_size: int, kept: KeptPredictions
) -> tuple[list[dict[int, VideoPrediction]], dict[int, VideoError]]:
    """Return the predictions of each member for the readable videos, by index, and the errors of the others."""
    by_member: list[dict[int, VideoPrediction]] = [{} for _ in models.members]
    failures: dict[int, VideoError] = {}
    for group in groups_by_pixels(models.members):
        members = [models.members[number] for number in group]
        for index, result in _group_results(group, members, paths, workers, batch_size=batch_size, kept=kept):
            if isinstance(result, VideoError):
                failures[index] = result
                continue
            for number, prediction in zip(group, result, strict=True):
                by_member[number][index] = prediction
    return by_member, failures


def _group_results(
    group: Sequence[int],
    members: Sequence[Member],
    paths: Sequence[Path],
    workers: int,
    *,
    batch_size: int,
    kept: KeptPredictions,
) -> Iterator[tuple[int, list[VideoPrediction] | VideoError]]:
    """Yield (index, one prediction per member or the error) for each video, kept ones first."""
    waiting = []
    files = [kept.file_of(path, group) for path in paths]
    for index, file in enumerate(files):
        if file is None or (earlier := load_predictions(file, len(group))) is None:
            waiting.append(index)
        else:
            yield index, earlier
    if not waiting:
        return
    samples = _samples([paths[index] for index in waiting], members[0].recipe.view, batch_size, workers)
    runtimes = [runtime for member in members for runtime in member.runtimes]
    results = predict_batches(runtimes, batches_of(samples, batch_size))
    for place, result in track(results, len(waiting), "predicting", "videos"):
        index = waiting[place]
        if isinstance(result, VideoError):
            yield index, result
        elif not all(np.isfinite(video.scores).all() for video in result):
            yield index, VideoError(paths[index], "the networks predict NaN")
        else:
            means = [mean_prediction([result.pop(0) for _ in member.runtimes]) for member in members]
            if (file := files[index]) is not None:
                store_predictions(file, means)
            yield index, means


def _samples(paths: Sequence[Path], view: View, batch_size: int, workers: int) -> Iterable[Sample]:
    """Return the segments of videos, which worker processes read where torch is installed."""
    if not is_installed("torch"):
        return new_samples(paths, view, batch_size)
    from urbanpipe.inputs.loading import SampleLoader

    return SampleLoader(paths, view, batch_size, workers)


def _write_segments(models: Models, names: tuple[str, ...], predictions: Sequence[VideoPrediction], out: Path) -> None:
    path = out.with_suffix(".segments.npz")
    if len(models.members) > 1 or not models.members[0].recipe.input.many_segments:
        remove(path)
        return
    write_segment_scores(segment_scores_of(names, predictions), path, models.taxonomy)


def _write_failures(out: Path, failures: dict[str, str]) -> None:
    path = out.with_suffix(".failures.csv")
    if failures:
        write_csv(path, ["video", "reason"], failures.items())
    else:
        remove(path)
