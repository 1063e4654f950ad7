"""`demo`: the whole way of the data on simulated videos, from files to ranked defects of videos nobody labelled."""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from urbanpipe.catalog.folds import folds as make_folds
from urbanpipe.catalog.labels import label_matrix, read_labels
from urbanpipe.catalog.scan import scan
from urbanpipe.contracts.predictions import Predictions
from urbanpipe.errors import OutputError
from urbanpipe.evaluation.audit import audit
from urbanpipe.evaluation.average_precision import Scores, score
from urbanpipe.evaluation.runs import read_out_of_fold
from urbanpipe.evaluation.tables import markdown_table
from urbanpipe.inference.predict import predict
from urbanpipe.outputs import output_folder, write_json, write_text
from urbanpipe.simulate.generator import simulate
from urbanpipe.simulate.options import ClassMix, VideoOptions
from urbanpipe.taxonomy import Taxonomy, default_taxonomy
from urbanpipe.training.crossval import CrossvalResult, crossval
from urbanpipe.training.options import FoldOptions, RunOptions

RECIPES = ("demo-mobilenetv3", "demo-byobnet")
CLASSES = ("ZC", "CJ", "CK", "ZW", "FZ", "FS", "CQ")
"""Seven of the seventeen: the fewer classes, the more examples of each; these are large in the picture."""
SIZE = (320, 240)
FPS = 8.0
BALANCE = 0.8
SECONDS = (3.0, 6.0)
SHOWN = 5


@dataclass(frozen=True)
class Demo:
    """What the demonstration found; figures are fractions in [0, 1].

    Attributes:
        experiment: the cross-validated runs and the ensemble.
        learned: mAP over the defects of the ensemble, on simulated videos that no model has seen.
        chance: the mAP over the defects that a random order of the same videos can expect.
        summary: the table of both, in Markdown: learned and chance by class, cross-validated and on unseen videos.
    """

    experiment: CrossvalResult
    learned: float
    chance: float
    summary: Path


def demo(
    out: Path, *, videos: int = 240, unseen: int = 60, folds: int = 3, seed: int = 0, overrides: Sequence[str] = ()
) -> Demo:
    """Simulate, scan, audit, make folds, cross-validate and ensemble two small recipes, and predict unseen videos.

    The two networks start from random weights.

    Args:
        out: folder for everything; run again with the same arguments, it goes on where it was.
        videos: how many to learn from.
        unseen: how many to predict.
        folds: of the cross-validation.
        seed: of the videos.
        overrides: `section.key=value` for both recipes, for example `training.epochs=10` for a quicker look.

    Raises:
        OutputError: `out` cannot be written to, or holds a demonstration with other videos or folds.
        RunError: it holds one with other overrides.
        UrbanpipeError: another argument that cannot be used.
    """
    started = time.perf_counter()
    data, fresh = out / "data", out / "unseen"
    _claim(out, {"videos": videos, "unseen": unseen, "folds": folds, "seed": seed})
    print(f"everything goes to {out}; interrupted, run the same command again and it goes on", file=sys.stderr)
    _say(f"1/6 simulate: {videos} videos to learn from, {unseen} others to predict; classes {' '.join(CLASSES)}")
    _simulate(data, videos, 2 * seed)
    _simulate(fresh, unseen, 2 * seed + 1)
    catalog = _prepare(data, out, folds)
    _say(f"5/6 crossval: {len(RECIPES)} small networks from random weights, each trained {folds} times; then ensemble")
    experiment = crossval(
        catalog,
        RECIPES,
        out=out,
        overrides=overrides,
        split=FoldOptions(folds=out / "folds.csv"),
        options=RunOptions(cache=out / "frames"),
    )
    assert experiment.ensemble is not None
    _say(f"6/6 predict: {unseen} videos that no network has seen; the most probable classes of the first {SHOWN}")
    found = predict(experiment.ensemble, [fresh / "videos"], out=out / "predictions.json").predictions
    known = read_labels(fresh / "labels.json", default_taxonomy())
    _show(found, known, default_taxonomy())
    done = _judge(experiment, found, known, out / "summary.md")
    _say(f"done in {(time.perf_counter() - started) / 60:.1f} minutes")
    return done


def _claim(out: Path, asked: dict[str, int]) -> None:
    """Note in the folder what it is for, or find that it is for this."""
    path = output_folder(out) / "demo.json"
    if not path.exists():
        write_json(path, asked)
    elif (found := json.loads(path.read_text(encoding="utf-8"))) != asked:
        begun = ", ".join(f"{key} {value}" for key, value in found.items())
        raise OutputError(f"{out} holds a demo with {begun}; ask for the same to go on with it, or give another --out")


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
    """Scan, audit, make folds; returns the catalog."""
    catalog = out / "catalog.csv"
    _say("2/6 scan: what is in the files")
    rows = scan(data / "videos", out=catalog, labels=data / "labels.json")
    print(f"{len(rows.ok)} of {len(rows.videos)} videos can be read, {len(rows.labelled)} have labels", file=sys.stderr)
    _say("3/6 audit: what is rare, and do names, durations or sizes give labels away?")
    for warning in audit(catalog).warnings or ["nothing suspicious"]:
        print(warning, file=sys.stderr)
    _say(f"4/6 folds: {folds}, the videos of a site together, each class spread evenly")
    make_folds(catalog, out=out / "folds.csv", folds=folds)
    return catalog


def _show(found: Predictions, known: Mapping[str, tuple[int, ...]], taxonomy: Taxonomy) -> None:
    """Print what is predicted for the first videos, beside what they show."""
    for name, scores in list(zip(found.names, found.scores, strict=True))[:SHOWN]:
        best = np.argsort(-scores, kind="stable")[:3]
        ranked = ", ".join(f"{taxonomy.codes[index]} {scores[index]:.2f}" for index in best)
        truth = " ".join(taxonomy.codes[index] for index in known[name])
        print(f"{name}: {ranked}  (shows {truth})", file=sys.stderr)


def _judge(experiment: CrossvalResult, found: Predictions, known: Mapping[str, tuple[int, ...]], path: Path) -> Demo:
    """Write the summary: AP learned and by chance, of the videos learned from (out of fold) and of the unseen ones."""
    assert experiment.ensemble is not None
    taxonomy = default_taxonomy()
    targets = label_matrix(list(known), dict(known), len(taxonomy))
    unseen = score(found.aligned(list(known)), targets, taxonomy, empty="skip")
    networks = {run.name.removeprefix("demo-"): run for run in experiment.runs} | {"ensemble": experiment.ensemble}
    learned = {name: _out_of_fold(run, taxonomy) for name, run in networks.items()}
    text = f"AP of {learned['ensemble'].videos} videos, each judged by the networks that have not learned from it\n\n"
    text += f"{_table(learned, taxonomy)}\nAP of {unseen.videos} videos that no network has seen\n\n"
    write_text(path, text + _table({"ensemble": unseen}, taxonomy))
    return Demo(experiment, unseen.map_defects, _map_defects(chance(unseen), taxonomy), path)


def _out_of_fold(run: Path, taxonomy: Taxonomy) -> Scores:
    found = read_out_of_fold(run)
    return score(found.scores, found.targets, taxonomy, empty="skip")


def _table(judged: Mapping[str, Scores], taxonomy: Taxonomy) -> str:
    """AP by chance and of each column, for the classes that occur; their mean over the defects at last."""
    first = next(iter(judged.values()))
    figures = [chance(first), *(scores.ap for scores in judged.values())]
    rows = [
        [item.code, item.en, str(first.positives[item.index]), *(f"{ap[item.index]:.3f}" for ap in figures)]
        for item in taxonomy.classes
        if first.positives[item.index]
    ]
    rows.append(["mAP", "mean over the defects", "", *(f"{_map_defects(ap, taxonomy):.3f}" for ap in figures)])
    return markdown_table(["class", "name", "videos", "chance", *judged], rows, left=2)


def _map_defects(values: NDArray[np.float64], taxonomy: Taxonomy) -> float:
    return float(np.nanmean(values[list(taxonomy.defects)]))


def chance(scores: Scores) -> NDArray[np.float64]:
    """Expected AP (C,) of every class when the videos are ranked at random; NaN for a class without positives.

    With P positives among n videos, one at rank k has on average 1 + (k - 1)(P - 1)/(n - 1) positives up to it, and it
    is as likely at every k: the mean over k of that divided by k. It is a little above the share P/n.
    """
    n = scores.videos
    harmonic = float((1 / np.arange(1, n + 1)).sum())
    positives = np.where(scores.positives > 0, scores.positives, np.nan)
    return (harmonic + (positives - 1) / max(1, n - 1) * (n - harmonic)) / n


def _say(text: str) -> None:
    print(f"\n== {text}", file=sys.stderr, flush=True)
