"""Per-class thresholds: the score from which a class is predicted as present."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from urbanpipe.errors import RecipeError
from urbanpipe.evaluation.evaluation_set import leave_one_fold_out

UNKNOWN = 0.5  # threshold of a class that no video shows, since no threshold can be fitted

Chooser = Callable[[NDArray[np.float64], NDArray[np.bool_]], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Decisions:
    """Precision, recall and F1 of decisions by thresholds; (C,) each, NaN where undefined.

    Attributes:
        precision: share of the videos predicted to show the class that do.
        recall: share of the videos that show the class that are predicted to.
        f1: harmonic mean of both.
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]


def f1_thresholds(scores: NDArray[np.float64], targets: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the threshold with the best F1 for each class; a class is present where score >= threshold.

    A threshold lies halfway between the lowest score that passes and the next lower one. Of equally good thresholds
    the highest is taken.

    Args:
        scores: (n, C) float in [0, 1], of videos that the model has not trained on.
        targets: (n, C) bool.

    Returns:
        (C,) in [0, 1]; `UNKNOWN` for a class without positives.

    Example:
        >>> scores, targets = np.array([[0.9], [0.5], [0.25], [0.125]]), np.array([[True], [False], [True], [False]])
        >>> f1_thresholds(scores, targets).tolist()
        [0.1875]
    """
    return np.array([_f1_threshold(*column) for column in zip(scores.T, targets.T, strict=True)])


def recall_thresholds(scores: NDArray[np.float64], targets: NDArray[np.bool_], recall: float) -> NDArray[np.float64]:
    """Return the highest threshold, as in `f1_thresholds`, that finds `recall` of the positives of each class.

    Args:
        scores: (n, C) float in [0, 1], of videos that the model has not trained on.
        targets: (n, C) bool.
        recall: in (0, 1].

    Returns:
        (C,) in [0, 1]; `UNKNOWN` for a class without positives.

    Raises:
        RecipeError: `recall` is outside (0, 1].
    """
    if not 0.0 < recall <= 1.0:
        raise RecipeError(f"the wanted recall is {recall}; it must be above 0 and at most 1")
    return np.array([_recall_threshold(*column, recall) for column in zip(scores.T, targets.T, strict=True)])


def nested_decisions(
    scores: NDArray[np.float64], targets: NDArray[np.bool_], folds: NDArray[np.int64], choose: Chooser
) -> Decisions:
    """Evaluate on each fold the thresholds chosen on the other folds, to estimate their quality on new videos.

    With a single fold all results are NaN.
    """
    present = np.zeros_like(targets)
    for _, held in leave_one_fold_out(folds):
        if held.all():  # one fold only: no videos to choose on
            nan = np.full(targets.shape[1], np.nan)
            return Decisions(nan, nan, nan)
        present[held] = scores[held] >= choose(scores[~held], targets[~held])
    return decision_metrics(present, targets)


def decision_metrics(present: NDArray[np.bool_], targets: NDArray[np.bool_]) -> Decisions:
    """Compute precision, recall and F1 of decisions against targets, both (n, C) bool."""
    right = (present & targets).sum(axis=0).astype(np.float64)
    predicted, true = present.sum(axis=0), targets.sum(axis=0)
    return Decisions(
        precision=_share(right, predicted),
        recall=_share(right, true),
        f1=np.where(true > 0, _share(2 * right, predicted + true), np.nan),
    )


def _share(part: NDArray[np.float64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def _f1_threshold(scores: NDArray[np.float64], targets: NDArray[np.bool_]) -> float:
    if not targets.any():
        return UNKNOWN
    order = np.argsort(-scores, kind="stable")
    ranked, found = scores[order], np.cumsum(targets[order])
    predicted = np.arange(1, len(ranked) + 1)
    f1 = 2 * found / (predicted + found[-1])
    f1[:-1][ranked[:-1] == ranked[1:]] = -1.0  # equal scores pass a threshold together or not at all
    return _below(ranked, int(np.argmax(f1)))


def _recall_threshold(scores: NDArray[np.float64], targets: NDArray[np.bool_], recall: float) -> float:
    positives = np.sort(scores[targets])[::-1]
    if positives.size == 0:
        return UNKNOWN
    wanted = int(np.ceil(recall * positives.size - 1e-9))
    ranked = np.sort(scores)[::-1]
    return _below(ranked, int(np.searchsorted(-ranked, -positives[wanted - 1], side="right")) - 1)


def _below(ranked: NDArray[np.float64], last: int) -> float:
    """Return a threshold that the descending scores up to index `last` pass and no later ones."""
    lowest = float(ranked[last])
    following = float(ranked[last + 1]) if last + 1 < len(ranked) else 0.0
    middle = (lowest + following) / 2
    return middle if middle > following else lowest
