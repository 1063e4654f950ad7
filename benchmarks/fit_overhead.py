"""How much CPU time does `fit` need outside networks, where features are cached?

    python benchmarks/fit_overhead.py
    python benchmarks/fit_overhead.py --threads

Writes small videos in groups, and stores made-up features of their frames where `fit` looks for them. Measures the CPU
seconds of `fit` with its first two steps, which are regressions, from the scan to the page, with all its processes; and
of that the regressions. Then, for a growing number of runs with made-up scores, what `fit` does after each: tables of
the run, the ensemble, its bundle and the page. For comparison, scikit-learn fits the classes of a regression one by
one, with one BLAS thread. With `--threads`, the choice of a strength and the fit with one BLAS thread and with all.
"""

import argparse
import struct
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import product
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from tempfile import TemporaryDirectory
from unittest.mock import patch

import av
import numpy as np
import tomli_w
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from urbanpipe.catalog.catalog_file import read_catalog
from urbanpipe.catalog.scan import scan
from urbanpipe.contracts.predictions import Predictions, write_predictions
from urbanpipe.contracts.run_folder import DONE, OUT_OF_FOLD, RUN_FORMAT, WEIGHTS
from urbanpipe.ensembling.bundling import bundle
from urbanpipe.ensembling.ensemble import ensemble
from urbanpipe.evaluation.fold_report import write_fold_tables
from urbanpipe.evaluation.tables import markdown_table
from urbanpipe.inputs.dataset import VideoDataset, frame_cache
from urbanpipe.inputs.loading import unreadable
from urbanpipe.learners import logistic, probe
from urbanpipe.learners.features import FeatureStore
from urbanpipe.learners.logistic import fit_chosen, fit_regression
from urbanpipe.methods.recipe import load_recipe, write_recipe
from urbanpipe.models.config import STRENGTHS
from urbanpipe.outputs import write_csv, write_json, write_text
from urbanpipe.taxonomy import default_taxonomy, taxonomy_table
from urbanpipe.training.crossval import resolve
from urbanpipe.training.options import RunOptions
from urbanpipe.tuning import fitting
from urbanpipe.tuning.budget import Budget
from urbanpipe.tuning.figures import Figures, Outcome, Point, figures_of
from urbanpipe.tuning.page import write_page
from urbanpipe.tuning.steps import Step, frozen_steps

FOLDS, GROUP, SECONDS = 5, 6, 8
RECIPE = "frozen-mobilenetv2"
BACKBONE = {"tf_efficientnet_lite0": "random"}


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of the processes that it started and that have ended."""
    return sum(used.ru_utime + used.ru_stime for used in map(getrusage, (RUSAGE_SELF, RUSAGE_CHILDREN)))


@contextmanager
def timed(rows: list[list[str]], name: str) -> Iterator[None]:
    """Add a row with the CPU seconds of the block."""
    began = cpu_seconds()
    yield
    rows.append([name, f"{cpu_seconds() - began:.1f}"])
    print(*rows[-1], file=sys.stderr, flush=True)


def main(videos: int, runs: int) -> None:
    """Print the table."""
    rng, rows = np.random.default_rng(0), list[list[str]]()
    groups = tuple(str(number // GROUP) for number in range(videos))
    folds = np.array([int(group) % FOLDS for group in groups])
    signal = rng.normal(size=(videos, len(default_taxonomy())))
    targets = signal + 0.5 * rng.normal(size=signal.shape) > 1.3
    with TemporaryDirectory() as folder:
        _fit_regressions(signal, targets, Path(folder), rows)
    parts = rows[:1]
    _compare_with_one_by_one(_bags(signal, 1280)[folds != 0], targets[folds != 0], rows)
    spent = len(rows)
    scores = 1 / (1 + np.exp(-(signal + rng.normal(size=(runs, *signal.shape)))))
    with TemporaryDirectory() as folder:
        made = _finished_runs(Path(folder), scores, targets, groups, folds)
        _combine(made, Path(folder), rows)
    parts += rows[spent:]
    rows.append([f"`fit` of {runs} runs, without networks", f"{sum(float(row[1]) for row in parts):.1f}"])
    print(markdown_table(["part", "CPU s"], rows, left=1))


def _fit_regressions(
    signal: NDArray[np.float64], targets: NDArray[np.bool_], folder: Path, rows: list[list[str]]
) -> None:
    """Run `fit` with its first two steps on videos whose features are stored."""
    names = [f"site{number // GROUP:05d}_{number % GROUP}.mp4" for number in range(len(signal))]
    _write_videos(folder / "videos", names)
    codes = np.array(default_taxonomy().codes)
    write_json(folder / "labels.json", {name: codes[row].tolist() for name, row in zip(names, targets, strict=True)})
    steps = frozen_steps(BACKBONE)[:2]
    _store_features(dict(zip(names, signal, strict=True)), steps, folder)
    fits = list[float]()

    def fit_pooled(*given: object, **options: object) -> float:
        began = cpu_seconds()
        strength = probe.fit_pooled(*given, **options)  # type: ignore[arg-type]
        fits.append(cpu_seconds() - began)
        return strength

    with ExitStack() as patches:
        patches.enter_context(patch.object(fitting, "frozen_steps", lambda _: steps))
        patches.enter_context(patch.object(fitting, "candidates", lambda *_, **__: []))
        patches.enter_context(patch("urbanpipe.learners.regression.fit_pooled", fit_pooled))
        with timed(rows, "`fit` of two regressions, five folds, from stored features"):
            fitting.fit(
                folder / "videos",
                out=folder / "out",
                labels=folder / "labels.json",
                budget="9h",
                weights=BACKBONE,
                options=RunOptions(cache=folder / "cache"),
            )
    for step, of_step in zip(steps, (fits[:FOLDS], fits[FOLDS:]), strict=True):
        rows.append([f"of these, {step.about}", f"{sum(of_step):.1f}"])


def _write_videos(folder: Path, names: Sequence[str]) -> None:
    """Write copies of a video of some seconds, which differ in a box at the end that players skip."""
    folder.mkdir(parents=True)
    first = folder / names[0]
    with av.open(str(first), "w") as out:
        stream = out.add_stream("libx264", rate=2)
        stream.width = stream.height = 64
        for shade in range(2 * SECONDS):
            image = np.full((64, 64, 3), 10 * shade, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        out.mux(stream.encode())
    content = first.read_bytes()
    for number, name in enumerate(names):
        (folder / name).write_bytes(content + struct.pack(">I4sQ", 16, b"free", number))


def _store_features(signals: dict[str, NDArray[np.float64]], steps: Sequence[Step], folder: Path) -> None:
    """Fill the cache: all frames, and features that are alike in a group, with the signal in their first channels."""
    scan(folder / "videos", labels=folder / "labels.json", out=folder / "catalog.csv")
    catalog, cache = read_catalog(folder / "catalog.csv"), frame_cache(folder / "cache", 20)
    for step in steps:
        recipe = resolve(step.recipe, catalog)
        dataset = VideoDataset(catalog.labelled, recipe.view, cache)
        assert all(error is None for _, error in unreadable(dataset, -1))
        torch.manual_seed(recipe.training.seed)
        network = recipe.network(len(catalog.taxonomy))
        store = FeatureStore(dataset, network, recipe, torch.device("cpu"))
        for index, video in enumerate(catalog.labelled):
            width, number = network.backbone.pooled_width, int(video.name[4:9])
            rng = np.random.default_rng((number, int(video.name[10])))
            features = np.random.default_rng(number).normal(size=width) + rng.normal(size=(SECONDS, width))
            features[:, : len(catalog.taxonomy)] += signals[video.name]
            store.write(index, features.astype(np.float32))


def _finished_runs(
    folder: Path,
    scores: NDArray[np.float64],
    targets: NDArray[np.bool_],
    groups: Sequence[str],
    folds: NDArray[np.int64],
) -> list[Path]:
    """Write finished cross-validations of random frozen networks with the given out-of-fold scores (runs, n, C)."""
    recipe, taxonomy = load_recipe(RECIPE, ["model.weights=random"]), default_taxonomy()
    names, codes, runs = tuple(map(str, range(len(targets)))), np.array(taxonomy.codes), []
    for number, of_run in enumerate(scores):
        run = folder / f"run-{number}"
        run.mkdir()
        write_recipe(recipe, run / "recipe.toml")
        write_text(run / "taxonomy.toml", tomli_w.dumps(taxonomy_table(taxonomy)))
        write_json(run / "labels.json", {name: codes[row].tolist() for name, row in zip(names, targets, strict=True)})
        write_csv(run / "folds.csv", ["video", "fold"], zip(names, folds.tolist(), strict=True))
        write_csv(run / "groups.csv", ["video", "group"], zip(names, groups, strict=True))
        write_json(run / "environment.json", {"format": RUN_FORMAT, "data": "made up"})
        write_predictions(Predictions(names, of_run), run / OUT_OF_FOLD, taxonomy)
        for fold in range(FOLDS):
            (run / f"fold{fold}").mkdir()
            weights = run / f"fold{fold}" / WEIGHTS
            save_file(recipe.network(len(taxonomy)).state_dict(), weights)
            write_json(run / f"fold{fold}" / DONE, {"weights_bytes": weights.stat().st_size})
        runs.append(run)
    return runs


def _combine(runs: Sequence[Path], folder: Path, rows: list[list[str]]) -> None:
    """Combine the first three runs, the first four and so on as `fit` does, and write the page of each."""
    points, step = list[Point](), frozen_steps(BACKBONE)[0]
    for count in range(3, len(runs) + 1):
        with timed(rows, f"tables, ensemble, bundle and page of run {count}"):
            write_fold_tables(runs[count - 1])
            figures = figures_of(runs[count - 1])
            made = ensemble(runs[:count], out=folder / "ensemble", weights="bagged")
            table = bundle(made.folder, out=folder / "bundle").evaluation.table
            weights = dict(zip(made.names, made.weights.tolist(), strict=True))
            points.append(Point(count, Figures.of(table.rows[0]), weights, runs[count - 1].name))
            write_page(folder, [Outcome(step, runs[0], "", 1.0, figures)], points, Budget(60))


def _bags(signal: NDArray[np.float64], width: int) -> torch.Tensor:
    """Return features (videos, frames, width) that are alike in a group, with the signal in their first channels."""
    videos, rng = len(signal), np.random.default_rng(width)
    bags = rng.normal(size=(-(-videos // GROUP), 1, width)).astype(np.float32).repeat(GROUP, 0)[:videos]
    bags = bags + rng.standard_normal((videos, SECONDS, width), np.float32)
    bags[:, :, : signal.shape[1]] += signal[:, None].astype(np.float32)
    return torch.from_numpy(bags)


def _compare_with_one_by_one(bags: torch.Tensor, targets: NDArray[np.bool_], rows: list[list[str]]) -> None:
    """Add rows for the fits of a fold at all strengths, by our regression and by scikit-learn's."""
    features = torch.cat([bags.mean(1), bags.amax(1)], 1).numpy()
    with timed(rows, "for comparison: fits of a fold at all strengths, 2,560 inputs, all classes at once"):
        fitted = None
        for strength in STRENGTHS:
            fitted = fit_regression(features, targets, strength, start=fitted)
    inputs = (features - features.mean(0)) / features.std(0)
    with timed(rows, "the same by scikit-learn, one class after the other"), threadpool_limits(1, user_api="blas"):
        for strength, column in product(STRENGTHS, targets.T):
            LogisticRegression(C=strength, max_iter=300).fit(inputs, column)


def compare_threads() -> None:
    """Print the seconds of a regression with one BLAS thread and with all."""
    rows = []
    for videos, width, classes in ((394, 5632, 6), (800, 5632, 17), (4800, 2560, 17)):
        rng = np.random.default_rng(0)
        features = rng.normal(size=(videos, width)).astype(np.float32)
        targets = features[:, :classes] + rng.normal(size=(videos, classes)) > 1.5
        groups = [str(number // 3) for number in range(videos)]
        cells = [f"{videos:,}, {width:,}, {classes}"]
        for fewest_bytes in (2**28, 0):
            logistic._MANY_BYTES = fewest_bytes
            began, cpu_began = time.perf_counter(), time.process_time()
            fit_chosen(features, targets, groups, STRENGTHS)
            cells.append(f"{time.perf_counter() - began:.1f} ({time.process_time() - cpu_began:.1f})")
        logistic._MANY_BYTES = 2**28
        rows.append(cells)
    print(markdown_table(["videos, inputs, classes", "one thread, s (CPU s)", "all threads"], rows, left=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=6000)
    parser.add_argument("--runs", type=int, default=5, help="runs that are combined in the end, three or more")
    parser.add_argument("--threads", action="store_true", help="compare one BLAS thread with all")
    given = vars(parser.parse_args())
    if given.pop("threads"):
        compare_threads()
    else:
        main(**given)
