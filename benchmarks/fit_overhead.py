"""How much CPU time does `fit` need outside networks, where features are cached?

    python benchmarks/fit_overhead.py
    python benchmarks/fit_overhead.py --threads

Makes random features of videos in groups, and measures the CPU seconds of the parts of `fit` that run no network: the
audit; two regressions of five folds with their inner folds (on the output of a network, and on four of its layers); for
a growing number of runs the ensemble with its tables, its bundle and its figures; and the page. For comparison,
scikit-learn fits the classes of the first fold one by one. With `--threads`, the choice of a strength and the fit with
one BLAS thread and with all.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import tomli_w
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression

from urbanpipe.contracts.predictions import Predictions, write_predictions
from urbanpipe.contracts.run_folder import DONE, OUT_OF_FOLD, RUN_FORMAT, WEIGHTS
from urbanpipe.ensembling.bundling import bundle
from urbanpipe.ensembling.ensemble import ensemble
from urbanpipe.evaluation.audit import audit
from urbanpipe.evaluation.tables import markdown_table
from urbanpipe.learners import logistic
from urbanpipe.learners.logistic import fit_chosen, fit_regression
from urbanpipe.learners.probe import fit_pooled
from urbanpipe.methods.recipe import load_recipe, write_recipe
from urbanpipe.models.config import STRENGTHS, BagHeadConfig
from urbanpipe.models.regression_head import RegressionHead
from urbanpipe.outputs import write_csv, write_json, write_text
from urbanpipe.taxonomy import default_taxonomy, taxonomy_table
from urbanpipe.tuning.budget import Budget
from urbanpipe.tuning.figures import Figures, Outcome, Point, table_of
from urbanpipe.tuning.page import write_page
from urbanpipe.tuning.steps import frozen_steps

FOLDS, GROUP, FRAMES = 5, 6, 8
RECIPE = "frozen-mobilenetv2"


@contextmanager
def timed(rows: list[list[str]], name: str) -> Iterator[None]:
    """Add a row with the CPU seconds of the block."""
    began = time.process_time()
    yield
    rows.append([name, f"{time.process_time() - began:.1f}"])
    print(*rows[-1], file=sys.stderr, flush=True)


def main(videos: int, widths: Sequence[int], runs: int) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    rng, taxonomy, rows = np.random.default_rng(0), default_taxonomy(), list[list[str]]()
    groups = tuple(str(number // GROUP) for number in range(videos))
    folds = np.array([int(group) % FOLDS for group in groups])
    signal = rng.normal(size=(videos, len(taxonomy)))
    targets = signal + 0.5 * rng.normal(size=signal.shape) > 1.3
    for width in widths:
        _fit_regressions(_bags(signal, width), targets, groups, folds, rows)
    parts = [*rows]
    _compare_with_one_by_one(_bags(signal, widths[0])[folds != 0], targets[folds != 0], rows)
    spent = len(rows)
    scores = 1 / (1 + np.exp(-(signal + rng.normal(size=(runs, *signal.shape)))))
    with TemporaryDirectory() as folder:
        made = _finished_runs(Path(folder), scores, targets, groups, folds)
        _combine(made, Path(folder), rows)
    parts += rows[spent:]
    rows.append(["all parts of `fit`", f"{sum(float(row[1]) for row in parts):.1f}"])
    print(markdown_table(["part", "CPU s"], rows, left=1))


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
    """Audit the labels, combine the first run, the first two and so on as `fit` does, and write the page of each."""
    with timed(rows, "audit"):
        audit(runs[0] / "labels.json")
    points, step = list[Point](), frozen_steps({"mobilenetv2_100": "random"})[0]
    for count in range(1, len(runs) + 1):
        with timed(rows, f"combination of {count} runs: ensemble, bundle, figures and page"):
            made = ensemble(runs[:count], out=folder / "ensemble", weights="bagged") if count > 1 else None
            bundle(made.folder if made else runs[0], out=folder / "bundle")
            table = table_of(made.folder if made else runs[0], made.nested if made else None)
            weights = dict(zip(made.names, made.weights.tolist(), strict=True)) if made else {runs[0].name: 1.0}
            points.append(Point(count, Figures.of(table.rows[0]), weights, runs[count - 1].name))
            write_page(folder, [Outcome(step, runs[0], "", 1.0, points[0].figures)], points, Budget(60))


def _bags(signal: NDArray[np.float64], width: int) -> torch.Tensor:
    """Return features (videos, frames, width) that are alike in a group, with the signal in their first channels."""
    videos, rng = len(signal), np.random.default_rng(width)
    bags = rng.normal(size=(-(-videos // GROUP), 1, width)).astype(np.float32).repeat(GROUP, 0)[:videos]
    bags = bags + rng.standard_normal((videos, FRAMES, width), np.float32)
    bags[:, :, : signal.shape[1]] += signal[:, None].astype(np.float32)
    return torch.from_numpy(bags)


def _fit_regressions(
    bags: torch.Tensor,
    targets: NDArray[np.bool_],
    groups: Sequence[str],
    folds: NDArray[np.int64],
    rows: list[list[str]],
) -> None:
    """Fit the regression of each fold, and add a row with its CPU seconds."""
    for fold in range(FOLDS):
        train, width = np.flatnonzero(folds != fold).tolist(), bags.shape[2]
        head = RegressionHead(width, targets.shape[1], BagHeadConfig(kind="regression"))
        with timed(rows, f"regression of fold {fold}, {len(train)} videos, {2 * width} inputs"):
            fit_pooled(
                head,
                torch.stack([head.pool(bags[row]) for row in train]),
                targets[train],
                [groups[row] for row in train],
                STRENGTHS,
            )


def _compare_with_one_by_one(bags: torch.Tensor, targets: NDArray[np.bool_], rows: list[list[str]]) -> None:
    """Add rows for the fits of a fold at all strengths, by our regression and by scikit-learn's."""
    features = torch.cat([bags.mean(1), bags.amax(1)], 1).numpy()
    with timed(rows, "fits of fold 0 at all strengths, all classes at once"):
        fitted = None
        for strength in STRENGTHS:
            fitted = fit_regression(features, targets, strength, start=fitted)
    inputs = (features - features.mean(0)) / features.std(0)
    with timed(rows, "the same by scikit-learn, one class after the other"):
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
    parser.add_argument(
        "--width",
        dest="widths",
        type=int,
        action="append",
        help="features of a frame, for a regression; default: 1280, and 2816 of four layers of EfficientNet-Lite0",
    )
    parser.add_argument("--runs", type=int, default=5, help="runs that are combined in the end")
    parser.add_argument("--threads", action="store_true", help="compare one BLAS thread with all")
    given = vars(parser.parse_args())
    given["widths"] = given["widths"] or [1280, 2816]
    if given.pop("threads"):
        compare_threads()
    else:
        main(**given)
