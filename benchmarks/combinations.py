"""Ways to average the predictions of runs: probabilities, logits, and logits standardised per class on other folds.

    python benchmarks/combinations.py RUN RUN [RUN ...]

All weights are equal. The last columns are means over all subsets of the runs of one size.
"""

import argparse
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from urbanpipe.evaluation.evaluation_set import EvaluationSet
from urbanpipe.evaluation.runs import read_out_of_fold
from urbanpipe.evaluation.tables import fold_table, markdown_table, per_cent

Scores = NDArray[np.float64]


def logits(scores: Scores) -> Scores:
    """Return log odds."""
    bounded = np.clip(scores, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(bounded / (1 - bounded)))


def standardised(scores: Scores, folds: NDArray[np.int64]) -> Scores:
    """Return logits with mean 0 and deviation 1 per class, both taken from the other folds."""
    result, odds = np.empty_like(scores), logits(scores)
    for fold in np.unique(folds):
        inside, others = folds == fold, odds[folds != fold]
        result[inside] = (odds[inside] - others.mean(0)) / (others.std(0) + 1e-9)
    return result


def mean_ap(scores: Scores, data: EvaluationSet) -> float:
    """Return the mAP, mean over folds."""
    return fold_table(scores, data).rows[0].mean


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+")
    given = parser.parse_args()
    runs = [read_out_of_fold(run) for run in given.runs]
    data = runs[0]
    assert all(run.names == data.names for run in runs), "the runs have different videos"
    ways: dict[str, Callable[[Scores], Scores]] = {
        "probabilities": lambda scores: scores,
        "logits": logits,
        "standardised logits": lambda scores: standardised(scores, data.folds),
    }
    changed = {name: [way(run.scores) for run in runs] for name, way in ways.items()}
    for run, scores in zip(given.runs, runs, strict=True):
        print(f"- {run.name}: {per_cent(mean_ap(scores.scores, data))}")
    sizes = range(2, len(runs) + 1)
    rows = [[name, *(per_cent(_mean(changed[name], size, data)) for size in sizes)] for name in ways]
    print(f"\n{markdown_table(['mean of', *(f'{size} runs' for size in sizes)], rows, left=1)}")


def _mean(scores: Sequence[Scores], size: int, data: EvaluationSet) -> float:
    values = [mean_ap(np.mean(chosen, axis=0), data) for chosen in combinations(scores, size)]
    return float(np.mean(values))


if __name__ == "__main__":
    main()
