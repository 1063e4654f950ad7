"""`demo`: the whole pipeline on simulated videos, from files to ranked defects of unlabelled videos."""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from urbanpipe.archive.inspect import inspect
from urbanpipe.catalog.folds import folds as make_folds
from urbanpipe.catalog.labels import label_matrix, read_labels
from urbanpipe.catalog.scan import scan
from urbanpipe.contracts.predictions import Predictions
from urbanpipe.errors import OutputError
from urbanpipe.evaluation.audit import audit
from urbanpipe.evaluation.average_precision import Scores, score
from urbanpipe.evaluation.runs import read_out_of_fold
from urbanpipe.evaluation.tables import markdown_table, per_cent
from urbanpipe.inference.predict import predict
from urbanpipe.outputs import output_folder, write_json, write_text
from urbanpipe.simulate.generator import simulate
from urbanpipe.simulate.options import ClassMix, VideoOptions
from urbanpipe.taxonomy import Taxonomy, default_taxonomy
from urbanpipe.training.crossval import CrossvalResult, crossval
from urbanpipe.training.options import FoldOptions, RunOptions

log = logging.getLogger(__name__)

RECIPES = ("demo-mobilenetv3", "demo-byobnet")
CLASSES = ("ZC", "CJ", "CK", "ZW", "FZ", "FS", "CQ")
"""Seven of the 17 classes: fewer classes mean more examples of each, and these are large in the picture."""
SIZE = (320, 240)
FPS = 8.0
BALANCE = 0.8
SECONDS = (3.0, 6.0)
SHOWN = 5
INSPECTED = 6


@dataclass(frozen=True)
class Demo:
    """Results of the demonstration; figures are fractions in [0, 1].

    Attributes:
        experiment: the cross-validated runs and the ensemble.
        learned: mAP of the ensemble over the defects, on simulated videos that no model was trained on.
        chance: expected mAP over the defects of a random ranking of the same videos.
        summary: Markdown table of AP and chance per class, cross-validated and on unseen videos.
        inspected: inspections of some of the unseen videos, to review.
    """

    experiment: CrossvalResult
    learned: float
    chance: float
    summary: Path
    inspected: Path


def demo(
    out: Path, *, videos: int = 240, unseen: int = 60, folds: int = 3, seed: int = 0, overrides: Sequence[str] = ()
) -> Demo:
    """Simulate, scan, audit, make folds, cross-validate and ensemble two small recipes, predict and inspect new videos.

    The two networks start from random weights.

    Args:
        out: folder for all results. The same command resumes an interrupted demonstration.
        videos: number of videos to train on.
        unseen: number of videos to predict.
        folds: number of folds of the cross-validation.
        seed: random seed of the videos.
        overrides: `section.key=value` for both recipes, for example `training.epochs=10` for a faster run.

    Raises:
        OutputError: `out` cannot be written to, or holds a demonstration with other videos or folds.
        RunError: `out` holds a demonstration with other overrides.
        UrbanpipeError: another argument cannot be used.
    """
    started = time.perf_counter()
    data, fresh = out / "data", out / "unseen"
    _claim(out, {"videos": videos, "unseen": unseen, "folds": folds, "seed": seed})
    log.info("results go to %s; if interrupted, run the same command again to continue", out)
    _say(f"1/7 simulate: {videos} videos to train on, {unseen} others to predict; classes {' '.join(CLASSES)}")
    _simulate(data, videos, 2 * seed)
    _simulate(fresh, unseen, 2 * seed + 1)
    catalog = _prepare(data, out, folds)
    _say(f"5/7 crossval: {len(RECIPES)} small networks from random weights, each trained {folds} times; then ensemble")
    experiment = crossval(
        catalog,
        RECIPES,
        out=out,
        overrides=overrides,
        split=FoldOptions(folds=out / "folds.csv"),
        options=RunOptions(cache=out / "frames"),
    )
    assert experiment.ensemble is not None
    _say(f"6/7 predict: {unseen} videos that no network was trained on; most probable classes of the first {SHOWN}")
    predictions = predict(experiment.ensemble, [fresh / "videos"], out=out / "predictions.json").predictions
    known = read_labels(fresh / "labels.json", default_taxonomy())
    _show(predictions, known, default_taxonomy())
    done = _evaluate(experiment, predictions, known, out / "summary.md")
    _say(f"7/7 inspect: {INSPECTED} of them, with the demonstration bundle of the package; then people decide")
    inspect(sorted((fresh / "videos").iterdir())[:INSPECTED], out=out / "inspected")
    _say(f"done in {(time.perf_counter() - started) / 60:.1f} minutes")
    return done


def _claim(out: Path, asked: dict[str, int]) -> None:
    """Record the arguments in the folder, or check that they match the recorded ones."""
    path = output_folder(out) / "demo.json"
    if not path.exists():
        write_json(path, asked)
        return
    try:
        recorded = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError):
        raise OutputError(f"{path} is damaged; give another --out") from None
    if recorded != asked:
        begun = ", ".join(f"{key} {value}" for key, value in recorded.items())
        raise OutputError(f"{out} holds a demo with {begun}; give the same arguments to resume it, or another --out")


def _simulate(folder: Path, videos: int, seed: int) -> None:
    if (folder / "labels.json").exists():  # written last: the videos are all there
        return
    simulate(
        folder,
        videos=videos,
        seed=seed,
        mix=ClassMix(classes=CLASSES, brief=0.0, balance=BALANCE),
        video=VideoOptions(size=SIZE, fps=FPS, seconds=SECONDS),
    )


def _prepare(data: Path, out: Path, folds: int) -> Path:
    """Scan, audit and make folds; return the catalog."""
    catalog = out / "catalog.csv"
    _say("2/7 scan: read the properties of every video")
    rows = scan(data / "videos", out=catalog, labels=data / "labels.json")
    log.info("%d of %d videos can be read, %d have labels", len(rows.ok), len(rows.videos), len(rows.labelled))
    _say("3/7 audit: what is rare, and do names, durations or sizes give labels away?")
    for warning in audit(catalog).warnings or ["nothing suspicious"]:
        log.info("%s", warning)
    _say(f"4/7 folds: {folds}, the videos of a site together, each class spread evenly")
    make_folds(catalog, out=out / "folds.csv", folds=folds)
    return catalog


def _show(predictions: Predictions, known: Mapping[str, tuple[int, ...]], taxonomy: Taxonomy) -> None:
    """Log the predictions of the first videos beside their labels."""
    for name, scores in list(zip(predictions.names, predictions.scores, strict=True))[:SHOWN]:
        best = np.argsort(-scores, kind="stable")[:3]
        ranked = ", ".join(f"{taxonomy.codes[index]} {scores[index]:.2f}" for index in best)
        truth = " ".join(taxonomy.codes[index] for index in known[name])
        log.info("%s: %s  (shows %s)", name, ranked, truth)


def _evaluate(
    experiment: CrossvalResult, predictions: Predictions, known: Mapping[str, tuple[int, ...]], path: Path
) -> Demo:
    """Write the summary: AP and chance of the training videos (out of fold) and of the unseen videos."""
    assert experiment.ensemble is not None
    taxonomy = default_taxonomy()
    targets = label_matrix(list(known), dict(known), len(taxonomy))
    unseen = score(predictions.aligned(list(known)), targets, taxonomy, empty="skip")
    networks = {run.name.removeprefix("demo-"): run for run in experiment.runs} | {"ensemble": experiment.ensemble}
    learned = {name: _out_of_fold(run, taxonomy) for name, run in networks.items()}
    text = f"AP of {learned['ensemble'].videos} videos, each predicted by the networks that were not trained on it\n\n"
    text += f"{_table(learned, taxonomy)}\nAP of {unseen.videos} videos that no network was trained on\n\n"
    write_text(path, text + _table({"ensemble": unseen}, taxonomy))
    learned_map, chance_map = unseen.map_defects, _map_defects(chance(unseen), taxonomy)
    return Demo(experiment, learned_map, chance_map, path, path.with_name("inspected"))


def _out_of_fold(run: Path, taxonomy: Taxonomy) -> Scores:
    evaluation = read_out_of_fold(run)
    return score(evaluation.scores, evaluation.targets, taxonomy, empty="skip")


def _table(columns: Mapping[str, Scores], taxonomy: Taxonomy) -> str:
    """Return a table of chance and AP in per cent, for the classes that occur; the last row averages the defects."""
    first = next(iter(columns.values()))
    figures = [chance(first), *(scores.ap for scores in columns.values())]
    rows = [
        [item.code, item.en, str(first.positives[item.index]), *(per_cent(ap[item.index]) for ap in figures)]
        for item in taxonomy.classes
        if first.positives[item.index]
    ]
    rows.append(["mAP", "mean over the defects", "", *(per_cent(_map_defects(ap, taxonomy)) for ap in figures)])
    return markdown_table(["class", "name", "videos", "chance", *columns], rows, left=2)


def _map_defects(values: NDArray[np.float64], taxonomy: Taxonomy) -> float:
    return float(np.nanmean(values[list(taxonomy.defects)]))


def chance(scores: Scores) -> NDArray[np.float64]:
    """Return the expected AP (C,) per class when videos are ranked at random; NaN for a class without positives.

    With P positives among n videos, a positive at rank k has on average 1 + (k - 1)(P - 1)/(n - 1) positives at or
    above it, and every k is equally likely. The expected AP is the mean over k of that number divided by k, which is a
    little above the share P/n.
    """
    n = scores.videos
    harmonic = float((1 / np.arange(1, n + 1)).sum())
    positives = np.where(scores.positives > 0, scores.positives, np.nan)
    return (harmonic + (positives - 1) / max(1, n - 1) * (n - harmonic)) / n


def _say(text: str) -> None:
    log.info("== %s", text)
