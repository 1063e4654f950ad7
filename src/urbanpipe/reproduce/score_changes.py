"""Rows that only change existing scores: rules, thresholds, and choices among networks."""

from collections.abc import Callable, Sequence

import numpy as np

from urbanpipe.decision.exclusive import EXCLUSIVE_THRESHOLD, apply_exclusive
from urbanpipe.decision.thresholds import f1_thresholds
from urbanpipe.ensembling.weights import best_per_class
from urbanpipe.errors import RecipeError
from urbanpipe.evaluation.evaluation_set import leave_one_fold_out
from urbanpipe.reproduce.paired_comparison import ComparisonData, TrainingScores

ScoreChange = Callable[
    [TrainingScores, Sequence[TrainingScores], ComparisonData], tuple[TrainingScores, TrainingScores]
]


def exclusive_rule(
    base: TrainingScores, networks: Sequence[TrainingScores], data: ComparisonData
) -> tuple[TrainingScores, TrainingScores]:
    """Apply the rule for the exclusive class at the report's threshold."""
    del networks
    if data.taxonomy.exclusive is None:
        raise RecipeError("the taxonomy has no exclusive class")
    return np.stack([apply_exclusive(scores, data.taxonomy, EXCLUSIVE_THRESHOLD) for scores in base]), base


def thresholds(
    base: TrainingScores, networks: Sequence[TrainingScores], data: ComparisonData
) -> tuple[TrainingScores, TrainingScores]:
    """Set scores below the threshold of the class to 0; the thresholds have the best F1 on the other folds."""
    del networks
    if len(np.unique(data.folds)) < 2:
        raise RecipeError("it needs two folds: thresholds are chosen on one and evaluated on another")
    cut = base.copy()
    for _, held in leave_one_fold_out(data.folds):
        for scores, result in zip(base, cut, strict=True):
            low = scores[held] < f1_thresholds(scores[~held], data.targets[~held])
            result[held] = np.where(low, 0.0, scores[held])
    return cut, base


def best_network(
    base: TrainingScores, networks: Sequence[TrainingScores], data: ComparisonData
) -> tuple[TrainingScores, TrainingScores]:
    """Take for each class the network that is best on the other folds; compare with the mean of all networks."""
    del base
    if len(networks) < 2 or len(np.unique(data.folds)) < 2:
        raise RecipeError("it needs two networks and two folds: the best is chosen on one and evaluated on another")
    members = np.stack(networks, axis=1)  # (S, M, n, C)
    return np.stack([best_per_class(scores, data.targets, data.folds) for scores in members]), members.mean(axis=1)


# Functions, by key of the row, that return scores (S, n, C) with and without the change; a RecipeError gives the reason
# why there are none.
SCORE_CHANGES: dict[str, ScoreChange] = {
    "exclusive-rule": exclusive_rule,
    "thresholds": thresholds,
    "best-per-class": best_network,
}
