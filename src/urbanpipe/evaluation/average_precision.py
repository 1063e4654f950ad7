"""Average precision exactly as in the public QV-Pipe scorer, including ties, and its means over classes."""

import random
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from urbanpipe.errors import PredictionError
from urbanpipe.evaluation.evaluation_set import leave_one_fold_out
from urbanpipe.taxonomy import Taxonomy

Empty = Literal["zero", "skip"]
EMPTY_RULES: tuple[str, ...] = get_args(Empty)


@lru_cache(maxsize=16)
def _shuffle(n: int) -> NDArray[np.intp]:
    """Return the scorer's shuffle: `random.seed(0); random.sample(range(n), n)`, from a separate generator."""
    order = np.array(random.Random(0).sample(range(n), n), dtype=np.intp)
    order.flags.writeable = False
    return order


def ranking(scores: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the indices of the videos from the highest score to the lowest, equal scores in the official order.

    The public scorer shuffles with a fixed seed and then sorts stably, so the shuffle breaks ties.

    Args:
        scores: (n,) float, no NaN.

    Returns:
        (n,) indices into `scores`.
    """
    order = _shuffle(len(scores))
    return order[np.argsort(-scores[order], kind="stable")]


def average_precision(scores: ArrayLike, targets: ArrayLike) -> float:
    """Compute the average precision of one class: the mean over its positives of (positives so far / rank).

    The result equals that of the public scorer of the VideoPipe challenge's first track bit for bit. Without ties it
    also equals scikit-learn's `average_precision_score`; with ties it does not, see `ranking`.

    Args:
        scores: (n,) float, any range, no NaN.
        targets: (n,) bool or 0/1, whether the class is present.

    Returns:
        A value in [0, 1]; 0.0 without positives.

    Raises:
        PredictionError: a score is NaN.
        ValueError: the arrays are not 1-dimensional or differ in length.

    Example:
        >>> average_precision([0.9, 0.8, 0.1], [True, False, True])
        0.8333333333333333
    """
    values = np.asarray(scores, dtype=np.float64)
    present = np.asarray(targets, dtype=bool)
    if values.ndim != 1 or values.shape != present.shape:
        raise ValueError(f"scores {values.shape} and targets {present.shape} must both be (n,)")
    _refuse_nan(values)
    return float(average_precisions(values, present))


def average_precisions(scores: NDArray[np.float64], targets: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Compute the average precision of many rankings at once, each as `average_precision` does.

    Args:
        scores: (..., n) float, no NaN.
        targets: (..., n) bool, of the same shape or one that broadcasts to it.

    Returns:
        (...) in [0, 1]; 0.0 without positives.
    """
    count = scores.shape[-1]
    if count == 0:
        return np.zeros(scores.shape[:-1])
    shuffled = _shuffle(count)
    order = shuffled[np.argsort(-scores[..., shuffled], axis=-1, kind="stable")]
    hits = np.take_along_axis(np.broadcast_to(targets, scores.shape), order, axis=-1)
    precision = np.where(hits, hits.cumsum(-1) / np.arange(1, count + 1), 0.0)
    total: NDArray[np.float64] = precision.cumsum(-1)[..., -1]  # in rank order, as the scorer adds; sum() does not
    values: NDArray[np.float64] = total / np.maximum(hits.sum(-1), 1)
    return values


@dataclass(frozen=True, eq=False)
class Scores:
    """Average precisions of a set of videos.

    Attributes:
        codes: codes of the C classes.
        ap: (C,) float in [0, 1]; a class without positives has 0.0 under "zero" and NaN under "skip", and one
            that every video shows 1.0 and NaN.
        positives: (C,) int, number of videos that show the class.
        videos: number of videos, n.
        map_all: mean over all classes; NaN if no class has a value.
        map_defects: mean over all classes except the exclusive one.
        empty: "zero" (the official rule: a class without positives counts as 0) or "skip" (the means leave it out).
            A class that every video shows counts as 1 under "zero", whatever the scores, and is left out under "skip".
    """

    codes: tuple[str, ...]
    ap: NDArray[np.float64]
    positives: NDArray[np.int64]
    videos: int
    map_all: float
    map_defects: float
    empty: Empty = "zero"

    @cached_property
    def empty_classes(self) -> tuple[str, ...]:
        """Codes of the classes without positives."""
        return tuple(code for code, count in zip(self.codes, self.positives, strict=True) if count == 0)

    @cached_property
    def full_classes(self) -> tuple[str, ...]:
        """Codes of the classes that every video shows, whose AP says nothing about the scores."""
        return tuple(code for code, count in zip(self.codes, self.positives, strict=True) if count == self.videos > 0)

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; NaN becomes None."""
        return {
            "videos": self.videos,
            "map_all": number_or_none(self.map_all),
            "map_defects": number_or_none(self.map_defects),
            "empty": self.empty,
            "empty_classes": list(self.empty_classes),
            "full_classes": list(self.full_classes),
            "ap": {code: number_or_none(value) for code, value in zip(self.codes, self.ap, strict=True)},
            "positives": {code: int(count) for code, count in zip(self.codes, self.positives, strict=True)},
        }


def score(scores: ArrayLike, targets: ArrayLike, taxonomy: Taxonomy, empty: Empty = "zero") -> Scores:
    """Compute the AP of every class, and the mAP over all classes and over the defects.

    Args:
        scores: (n, C) float, any range, no NaN.
        targets: (n, C) bool or 0/1.
        taxonomy: the C classes.
        empty: how a class without positives counts in the means: "zero" (official) or "skip" (left out, as is a class
            that every video shows).

    Raises:
        PredictionError: a score is NaN.
        ValueError: the shapes do not match, or `empty` is unknown.
    """
    values = np.asarray(scores, dtype=np.float64)
    present = np.asarray(targets, dtype=bool)
    if values.ndim != 2 or values.shape != present.shape or values.shape[1] != len(taxonomy):
        raise ValueError(f"scores {values.shape} and targets {present.shape} must both be (n, {len(taxonomy)})")
    if empty not in EMPTY_RULES:
        raise ValueError(f"empty = {empty!r} must be one of {', '.join(EMPTY_RULES)}")
    _refuse_nan(values)
    ap = average_precisions(values.T, present.T)
    positives = present.sum(axis=0)
    if empty == "skip":
        ap[~has_both(present)] = np.nan
    return Scores(
        codes=taxonomy.codes,
        ap=ap,
        positives=positives,
        videos=len(values),
        map_all=mean_of_known(ap),
        map_defects=mean_of_known(ap[list(taxonomy.defects)]),
        empty=empty,
    )


def has_both(targets: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return for each class whether some videos show it and some do not, so that its AP depends on the scores.

    Args:
        targets: (n, ...) bool.
    """
    return np.asarray(targets.any(axis=0) & ~targets.all(axis=0))


def mean_of_known(values: NDArray[np.float64]) -> float:
    """Return the mean of the values that are not NaN; NaN if there are none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def means_of_known(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Return the means along an axis of the values that are not NaN; NaN where there are none."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0).sum(axis=axis)
    return np.where(known.any(axis=axis), total / np.maximum(known.sum(axis=axis), 1), np.nan)


def sd_of_known(values: NDArray[np.float64]) -> float:
    """Return the sample standard deviation of the values that are not NaN; NaN if there are fewer than two."""
    known = values[~np.isnan(values)]
    return float(known.std(ddof=1)) if known.size > 1 else float("nan")


def fold_aps(scores: NDArray[np.float64], targets: NDArray[np.bool_], folds: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute the AP of every class in every fold, (K, C); NaN where no or every video of a fold shows the class.

    Args:
        scores: (n, C) float.
        targets: (n, C) bool.
        folds: (n,) int.
    """
    _refuse_nan(scores)
    rows = [held for _, held in leave_one_fold_out(folds)]
    of_folds = [average_precisions(scores[row].T, targets[row].T) for row in rows]
    return np.stack([np.where(has_both(targets[row]), ap, np.nan) for row, ap in zip(rows, of_folds, strict=True)])


def number_or_none(value: float) -> float | None:
    """Return a float, or None for NaN, which JSON does not have."""
    return None if np.isnan(value) else float(value)


def _refuse_nan(scores: NDArray[np.float64]) -> None:
    if np.isnan(scores).any():
        row = int(np.flatnonzero(np.isnan(scores.reshape(len(scores), -1)).any(axis=1))[0])
        raise PredictionError(f"the scores contain NaN (first in row {row}); every score must be a number")
