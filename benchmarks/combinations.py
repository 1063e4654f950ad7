"""Ways to average the predictions of runs: probabilities, logits, and logits standardised per class on other folds.

    python benchmarks/combinations.py RUN RUN [RUN ...]
    python benchmarks/combinations.py --weights RUN RUN [RUN ...]

All weights are equal. The last columns are means over all subsets of the runs of one size. `--weights` compares equal
and searched weights of probabilities instead, each fold with the weights found on the others: for all runs, and the
mean over the subsets that lack one run.
"""

import argparse
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from urbanpipe.ensembling.weights import SEARCHES, Search, equal_weights, search_nested
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
    parser.add_argument("--weights", action="store_true", help="compare ways to find weights")
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
    if given.weights:
        print(f"\n{_weights_table(np.stack([run.scores for run in runs]), data)}")
        return
    sizes = range(2, len(runs) + 1)
    rows = [[name, *(per_cent(_mean(changed[name], size, data)) for size in sizes)] for name in ways]
    print(f"\n{markdown_table(['mean of', *(f'{size} runs' for size in sizes)], rows, left=1)}")


def _weights_table(stack: Scores, data: EvaluationSet) -> str:
    """Return the nested mAP by the way in which weights are found."""
    subsets = [np.delete(stack, place, axis=0) for place in range(len(stack))]
    searches: dict[str, Search] = {"equal": lambda members, _: equal_weights(len(members)), **SEARCHES}
    rows = [
        [
            name,
            per_cent(_nested(stack, data, search)),
            per_cent(float(np.mean([_nested(s, data, search) for s in subsets]))),
        ]
        for name, search in searches.items()
        if name != "simplex"
    ]
    return markdown_table(["weights", f"{len(stack)} runs", f"{len(stack) - 1} runs"], rows, left=1)


def _nested(members: Scores, data: EvaluationSet, search: Search) -> float:
    found = search_nested(members, data, search).nested
    assert found is not None, "a run has one fold"
    return mean_ap(found, data)


def _mean(scores: Sequence[Scores], size: int, data: EvaluationSet) -> float:
    values = [mean_ap(np.mean(chosen, axis=0), data) for chosen in combinations(scores, size)]
    return float(np.mean(values))


if __name__ == "__main__":
    main()
