"""How many videos must a person review until a model is as good as with all of them: in our order, and in others?

    urbanpipe simulate pool --videos 600 --seed 1000 --size 160x120 --fps 4 --seconds 3:10
    urbanpipe simulate test --videos 150 --seed 1001 --size 160x120 --fps 4 --seconds 3:10
    urbanpipe simulate even --videos 100 --seed 1003 --size 160x120 --fps 4 --seconds 3:10 --balance 1 --brief 0.3
    python benchmarks/active_learning.py OUT --pool pool --test test --test even --weights FILE --strength 0.1

A simulated reviewer answers from the labels. 50 random videos are reviewed first, then 25 at a time, those that the
order puts first; after each batch a logistic regression on frozen features of MobileNetV2 (mean and maximum over the
frames) is fitted anew to all reviewed videos. Without `--strength`, inner folds choose it after every hundred videos.
Control videos are never reviewed for training, in any order.

Without `--test`, the pool is split into five folds of whole groups; each seed tests on one and learns from the others.
With `--labels LABELS.json` instead of `--pool`, features are drawn at random for real labels, which needs no videos.
Features are kept in OUT; so are the curves, as CSV.
"""

import argparse
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from probe_features import VideoSet, video_set
from scipy.special import expit
from simulated_features import drawn_sets

from urbanpipe.catalog.stratify import assign_folds
from urbanpipe.evaluation.average_precision import fold_aps, mean_of_known
from urbanpipe.evaluation.tables import markdown_table
from urbanpipe.learners.logistic import Regression, fit_chosen, fit_regression
from urbanpipe.models.config import STRENGTHS
from urbanpipe.outputs import write_csv
from urbanpipe.review.learning_order import learning_order
from urbanpipe.review_store.control_share import is_control

START, BATCH, CHOICE, SEEDS, ENOUGH = 50, 25, 4, 5, 0.95
Split = tuple[VideoSet, list[VideoSet]]
Order = Callable[[NDArray[np.float64], VideoSet, NDArray[np.bool_], np.random.Generator], NDArray[np.intp]]


def ours(
    probabilities: NDArray[np.float64], pool: VideoSet, reviewed: NDArray[np.bool_], _: np.random.Generator
) -> NDArray[np.intp]:
    return learning_order(probabilities, pool.groups, reviewed=reviewed)


def ours_with_features(
    probabilities: NDArray[np.float64], pool: VideoSet, reviewed: NDArray[np.bool_], _: np.random.Generator
) -> NDArray[np.intp]:
    return learning_order(probabilities, pool.groups, reviewed=reviewed, features=pool.features)


def at_random(
    _: NDArray[np.float64], __: VideoSet, reviewed: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.intp]:
    return rng.permutation(np.flatnonzero(~reviewed))


def by_entropy(
    probabilities: NDArray[np.float64], _: VideoSet, reviewed: NDArray[np.bool_], __: np.random.Generator
) -> NDArray[np.intp]:
    p = np.clip(probabilities, 1e-12, 1 - 1e-12)
    entropy = -(p * np.log(p) + (1 - p) * np.log1p(-p)).sum(axis=1)
    videos = np.flatnonzero(~reviewed)
    return videos[np.argsort(-entropy[videos], kind="stable")]


ORDERS: dict[str, Order] = {
    "learning order": ours,
    "learning order, features": ours_with_features,
    "random": at_random,
    "entropy": by_entropy,
}


@dataclass(frozen=True, eq=False)
class Curve:
    """mAP of one order and seed.

    Attributes:
        counts: (k,) number of reviewed videos.
        values: (k, tests) mAP on each test set, in per cent.
    """

    counts: NDArray[np.int64]
    values: NDArray[np.float64]

    def needed(self, test: int) -> int:
        """The first number of reviewed videos with 95 % of the mAP of the full pool."""
        reached = self.values[:, test] >= ENOUGH * self.values[-1, test]
        return int(self.counts[np.argmax(reached)])

    def mean(self, test: int) -> float:
        """Mean of the curve: a summary that one lucky batch does not move."""
        return float(self.values[:, test].mean())


def measured(pool: VideoSet, tests: Sequence[VideoSet], order: Order, seed: int, fixed: float | None) -> Curve:
    """Review the pool in an order, and test after each batch; `fixed` is the strength, if inner folds choose none."""
    control = np.array([is_control(digest) for digest in pool.digests])
    rng = np.random.default_rng(seed)
    reviewed = control.copy()  # never proposed
    batch, strength, fitted = rng.permutation(np.flatnonzero(~control))[:START], fixed or 0.0, None
    rows: list[list[float]] = []
    while len(batch):
        reviewed[batch] = True
        train = pool.subset(reviewed & ~control)
        if fixed is None and len(rows) % CHOICE == 0:
            _, strength = fit_chosen(train.features, train.targets, train.groups.tolist(), STRENGTHS)
        fitted = fit_regression(train.features, train.targets, strength, start=fitted if fixed else None)
        rows.append([len(train.names), *(_map(fitted, test) for test in tests)])
        batch = order(expit(fitted.logits(pool.features)), pool, reviewed, rng)[:BATCH]
    table = np.array(rows)
    return Curve(table[:, 0].astype(np.int64), table[:, 1:])


def _map(fitted: Regression, test: VideoSet) -> float:
    """mAP in per cent over the classes of which the test set has videos."""
    aps = fold_aps(fitted.logits(test.features), test.targets, np.zeros(len(test.targets), np.int64))
    return 100 * mean_of_known(aps)


def splits(given: argparse.Namespace) -> tuple[list[str], list[Split]]:
    """Return the names of the test sets, and pool and test sets of each seed."""
    if given.labels:
        return ["test", "even"], [drawn_sets(given.labels, seed) for seed in range(SEEDS)]
    folders = [given.pool, *given.test]
    pool, *tests = [video_set(path, given.weights, given.out / f"{path.name}.npz") for path in folders]
    if tests:
        return [path.name for path in given.test], [(pool, tests)] * SEEDS
    fold = assign_folds(pool.names.tolist(), pool.targets, pool.groups.tolist(), SEEDS)
    return ["held-out fold"], [(pool.subset(fold != seed), [pool.subset(fold == seed)]) for seed in range(SEEDS)]


def spread(values: Sequence[float], form: str = ".0f") -> str:
    """`median (least-largest)`."""
    low, middle, high = (format(part, form) for part in np.quantile(values, [0, 0.5, 1]))
    return f"{middle} ({low}-{high})"


def table(curves: dict[str, list[Curve]], names: Sequence[str]) -> str:
    """A row for each test set and order."""
    rows = []
    for number, name in enumerate(names):
        base = [curve.needed(number) for curve in curves["random"]]
        for order, found in curves.items():
            needed = [curve.needed(number) for curve in found]
            shares = [100 * mine / theirs for mine, theirs in zip(needed, base, strict=True)]
            full = spread([curve.values[-1, number] for curve in found], ".1f")
            means = spread([curve.mean(number) for curve in found], ".1f")
            rows.append([name, order, spread(needed), spread(shares), means, full])
    header = ["test set", "order", "videos for 95 %", "% of random", "mean mAP of the curve", "mAP of the full pool"]
    return markdown_table(header, rows, left=2)


def plot(curves: dict[str, list[Curve]], names: Sequence[str], path: Path) -> None:
    """mAP against the number of reviewed videos: median and range over seeds, one panel a test set."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2 * len(names), 4.0), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(names)))
    for number, (name, axes) in enumerate(zip(names, panels, strict=True)):
        for (order, found), colour in zip(curves.items(), ("#0072b2", "#009e73", "#666666", "#d55e00"), strict=True):
            length = min(len(curve.counts) for curve in found)
            stacked = np.stack([curve.values[:length, number] for curve in found])
            counts = found[0].counts[:length]
            axes.fill_between(counts, stacked.min(0), stacked.max(0), color=colour, alpha=0.15, linewidth=0)
            axes.plot(counts, np.median(stacked, axis=0), color=colour, label=order)
        full = np.median([curve.values[-1, number] for curve in curves["random"]])
        axes.axhline(ENOUGH * full, color="black", linewidth=0.8, linestyle=":", label="95 % of the full pool")
        axes.set(xlabel="reviewed videos", ylabel="mAP, %", title=name)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].legend(frameon=False, loc="lower right")
    figure.savefig(path, dpi=130)


def main() -> None:
    """Print the table; write curves and plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--pool", type=Path, help="folder with videos/ and labels.json")
    source.add_argument("--labels", type=Path, help="labels in QV-Pipe's form")
    parser.add_argument("--test", type=Path, action="append", default=[])
    parser.add_argument("--weights", default="hub", help="ImageNet weights of mobilenetv2_100: a file, or hub")
    parser.add_argument("--strength", type=float, help="of the regression, for all counts; default: inner folds choose")
    parser.add_argument("--workers", type=int, default=2, help="number of processes; give each OMP_NUM_THREADS=1")
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    names, runs = splits(given)
    sizes = [(len(pool.names), len(set(pool.groups)), sum(map(is_control, pool.digests))) for pool, _ in runs]
    print("videos, groups and control videos of the pool of each seed:", *sizes, "\n")
    curves = all_curves(runs, given.strength, given.workers)
    write_curves(curves, names, given.out / "curves.csv")
    print(table(curves, names))
    if given.plot:
        plot(curves, names, given.plot)


def all_curves(runs: Sequence[Split], fixed: float | None, workers: int) -> dict[str, list[Curve]]:
    """Return the curves of each order, one a seed."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as processes:
        jobs = {
            name: [processes.submit(measured, *split, order, seed, fixed) for seed, split in enumerate(runs)]
            for name, order in ORDERS.items()
        }
        return {name: [job.result() for job in of_order] for name, of_order in jobs.items()}


def write_curves(curves: dict[str, list[Curve]], names: Sequence[str], path: Path) -> None:
    rows = [
        (name, seed, count, *values)
        for name, found in curves.items()
        for seed, curve in enumerate(found)
        for count, values in zip(curve.counts.tolist(), curve.values.round(3).tolist(), strict=True)
    ]
    write_csv(path, ("order", "seed", "reviewed", *names), rows)


if __name__ == "__main__":
    main()
