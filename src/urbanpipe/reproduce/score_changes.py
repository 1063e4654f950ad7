"""Rows that only change scores which are there: rules, thresholds, choices among networks."""

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
    """The rule for the exclusive class at the report's threshold."""
    del networks
    if data.taxonomy.exclusive is None:
        raise RecipeError("these classes have no exclusive one")
    return np.stack([apply_exclusive(each, data.taxonomy, EXCLUSIVE_THRESHOLD) for each in base]), base


def thresholds(
    base: TrainingScores, networks: Sequence[TrainingScores], data: ComparisonData
) -> tuple[TrainingScores, TrainingScores]:
    """TrainingScores under the class's threshold of best F1, chosen on the other folds, set to 0."""
    del networks
    if len(np.unique(data.folds)) < 2:
        raise RecipeError("it needs two folds: thresholds are chosen on one and judged on another")
    cut = base.copy()
    for _, held in leave_one_fold_out(data.folds):
        for each, result in zip(base, cut, strict=True):
            low = each[held] < f1_thresholds(each[~held], data.targets[~held])
            result[held] = np.where(low, 0.0, each[held])
    return cut, base


def best_network(
    base: TrainingScores, networks: Sequence[TrainingScores], data: ComparisonData
) -> tuple[TrainingScores, TrainingScores]:
    """Of each class the network that is best on the other folds, against the mean of all networks."""
    del base
    if len(networks) < 2 or len(np.unique(data.folds)) < 2:
        raise RecipeError("it needs two networks and two folds: the best is chosen on one fold and judged on another")
    members = np.stack(networks, axis=1)  # (S, M, n, C)
    return np.stack([best_per_class(each, data.targets, data.folds) for each in members]), members.mean(axis=1)


# A row's key, and how scores (S, n, C) with and without its change come about; a RecipeError says why they cannot.
SCORE_CHANGES: dict[str, ScoreChange] = {
    "exclusive-rule": exclusive_rule,
    "thresholds": thresholds,
    "best-per-class": best_network,
}
