"""One bound on missed defects per class, or one per video?

    python benchmarks/triage.py RUN... [--labels LABELS.json] [--miss-bound 0.05]

Compares at the same nominal bound, nested by folds (calibration and thresholds are fitted on the other folds):

- class: `choose_triage`, for each class "a video that shows it is rejected".
- video share: one threshold on the calibrated probabilities of all defects, for the expected share of a video's defects
  that are rejected.
- video any: the same for the chance that a video loses any of its defects.
- lift share: as "video share", on the probability divided by the share of the videos that show the class.

Every RUN is a cross-validated run. With `--labels`, scores are simulated for a label file: the logit of a score is
normal around a mean that is higher for videos that show the class, by a distance of 1 to 3 that is drawn per class.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from urbanpipe.catalog.labels import label_matrix, read_labels
from urbanpipe.contracts.findings import UNLIKELY
from urbanpipe.decision.calibration import fit_calibration
from urbanpipe.decision.triage import ACCEPT, REJECT, REVIEW, choose_triage
from urbanpipe.evaluation.evaluation_set import leave_one_fold_out
from urbanpipe.evaluation.runs import read_out_of_fold
from urbanpipe.evaluation.tables import markdown_table
from urbanpipe.taxonomy import default_taxonomy

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
LEAST = 10
"""Positives that a class needs to be the "worst class"."""
RARE = 40
"""Classes with fewer positives are rare."""
Loss = Callable[[Bools, Bools], Floats]


@dataclass(frozen=True)
class Data:
    """Scores (n, C), targets (n, C) and folds (n,) of videos, and the column of the exclusive class."""

    name: str
    scores: Floats
    targets: Bools
    folds: NDArray[np.int64]
    exclusive: int


def share_lost(rejected: Bools, present: Bools) -> Floats:
    """Return for each video the share of its defects that are rejected."""
    return np.asarray((rejected & present).sum(1) / present.sum(1), dtype=np.float64)


def any_lost(rejected: Bools, present: Bools) -> Floats:
    """Return for each video 1 if any of its defects is rejected, else 0."""
    return np.asarray((rejected & present).any(1), dtype=np.float64)


def video_threshold(ranking: Floats, present: Bools, loss: Loss, miss_bound: float) -> float:
    """Return the highest threshold that conformal risk control (arXiv 2208.02814, eq. 4) allows for a loss in [0, 1].

    With n videos that show a defect, it is the highest t with n / (n + 1) * mean loss + 1 / (n + 1) <= miss_bound,
    where the loss counts rankings below t as rejected.
    """
    shown = present.any(1)
    ranking, present = ranking[shown], present[shown]
    count, candidates = len(ranking), np.unique(ranking[present])
    low, high = 0, len(candidates)  # candidates[:low] are allowed, and the loss never falls as the threshold rises
    while low < high:
        middle = (low + high) // 2
        risk = (loss(ranking < candidates[middle], present).sum() + 1) / (count + 1)
        low, high = (middle + 1, high) if risk <= miss_bound else (low, middle)
    return float(candidates[low - 1]) if low else 0.0


@dataclass(frozen=True)
class Fold:
    """Calibrated probabilities of the videos outside of a fold (n, C), and of those in it; `held` marks the latter."""

    held: Bools
    known: Floats
    new: Floats


def calibrated_folds(data: Data) -> list[Fold]:
    """Calibrate each fold on the others."""
    folds = []
    for _, held in leave_one_fold_out(data.folds):
        calibration = fit_calibration(data.scores[~held], data.targets[~held], "auto", data.folds[~held])
        folds.append(Fold(held, calibration.apply(data.scores[~held]), calibration.apply(data.scores[held])))
    return folds


def decisions_of(kind: str, data: Data, folds: Sequence[Fold], miss_bound: float) -> tuple[NDArray[np.object_], Floats]:
    """Return the (n, C - 1) decisions and calibrated probabilities of the defects, fitted on the other folds."""
    decided = np.full(data.targets.shape, REVIEW, dtype=object)
    probabilities = np.zeros(data.targets.shape)
    defects = np.arange(data.targets.shape[1]) != data.exclusive
    for fold in folds:
        targets = data.targets[~fold.held]
        triage = choose_triage(fold.known, targets, miss_bound)
        chosen = triage.decide(fold.new).astype(object)
        if kind != "class":
            base = np.where(kind == "lift share", (targets.sum(0) + 1) / (len(targets) + 2), 1.0)
            loss = any_lost if kind == "video any" else share_lost
            least = video_threshold((fold.known / base)[:, defects], targets[:, defects], loss, miss_bound)
            low = np.where(fold.new / base < least, REJECT, REVIEW)
            chosen = np.where(fold.new >= triage.accept_from, ACCEPT, low)
        decided[fold.held], probabilities[fold.held] = chosen, fold.new
    return decided[:, defects], probabilities[:, defects]


def row(kind: str, data: Data, folds: Sequence[Fold], miss_bound: float) -> list[str]:
    """Return a row of the table."""
    decided, probabilities = decisions_of(kind, data, folds, miss_bound)
    present = np.delete(data.targets, data.exclusive, axis=1)
    review, rejected, shown = decided == REVIEW, decided == REJECT, present.any(1)
    likely = review & (probabilities >= UNLIKELY)
    positives = present.sum(0)
    lost = np.array([rejected[present[:, c], c].mean() if count else np.nan for c, count in enumerate(positives)])
    rare = lost[(positives > 0) & (positives < RARE)]
    return [
        kind,
        f"{review.sum(1).mean():.2f}",
        f"{likely.sum(1).mean():.2f}",
        f"{100 * (rejected & present).sum() / present.sum():.1f}",
        f"{100 * share_lost(rejected[shown], present[shown]).mean():.1f}",
        f"{100 * any_lost(rejected[shown], present[shown]).mean():.1f}",
        f"{100 * lost[positives >= LEAST].max():.0f}",
        f"{100 * rare.mean():.0f}" if len(rare) else "-",
    ]


def simulated(labels: Path, videos: int, seed: int) -> Data:
    """Return simulated scores for some of the videos of a label file."""
    taxonomy, rng = default_taxonomy(), np.random.default_rng(seed)
    known = read_labels(labels, taxonomy)
    names = sorted(known)
    chosen = [names[index] for index in rng.permutation(len(names))[:videos]]
    targets = label_matrix(chosen, known, len(taxonomy)).astype(bool)
    distance = rng.uniform(1, 3, len(taxonomy))
    logits = rng.normal(size=targets.shape) + distance * (targets - 0.8)
    name = f"{labels.name}, {videos} videos, simulated scores"
    assert taxonomy.exclusive is not None
    return Data(name, expit(logits), targets, rng.integers(0, 5, videos), taxonomy.index(taxonomy.exclusive))


def of_run(run: Path) -> Data:
    """Return the out-of-fold predictions of a run."""
    seen = read_out_of_fold(run)
    assert seen.taxonomy.exclusive is not None
    return Data(run.name, seen.scores, seen.targets, seen.folds, seen.taxonomy.index(seen.taxonomy.exclusive))


def report(data: Data, bounds: Sequence[float]) -> None:
    """Print the table of a data set for each bound."""
    header = [
        "bound",
        "to review",
        "of these from 10 %",
        "lost %",
        "share %",
        "any %",
        "worst class %",
        "rare classes %",
    ]
    folds = calibrated_folds(data)
    for bound in bounds:
        print(f"\n{data.name}; {len(data.targets)} videos; bound {100 * bound:g} %\n")
        rows = [row(kind, data, folds, bound) for kind in ("class", "video share", "video any", "lift share")]
        print(markdown_table(header, rows))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="*")
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--videos", type=int, nargs="*", default=[1000, 6000])
    parser.add_argument("--miss-bound", type=float, nargs="*", default=[0.05, 0.1])
    given = parser.parse_args()
    sets = [of_run(run) for run in given.runs]
    sets += [simulated(given.labels, videos, seed=0) for videos in given.videos] if given.labels else []
    for data in sets:
        report(data, given.miss_bound)


if __name__ == "__main__":
    main()
