"""Logistic regression of several classes at once on standardised features, for heads that are fitted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from threadpoolctl import threadpool_limits

from urbanpipe.catalog.stratify import assign_folds
from urbanpipe.evaluation.average_precision import fold_aps, mean_of_known

INNER_FOLDS = 3
_ITERATIONS = 300
_MANY_BYTES = 2**28  # of inputs; with fewer, several threads spend more time waiting for each other than they save
_TOLERANCE = 1e-4  # largest gradient of the mean loss
_ROUGH_TOLERANCE = 1e-3  # enough to compare strengths, in half of the iterations


@dataclass(frozen=True, eq=False)
class Regression:
    """A fitted regression.

    Attributes:
        mean: (d,) float64, subtracted from the features.
        scale: (d,) float64, by which they are then divided.
        weight: (classes, d) float64.
        bias: (classes,) float64.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    weight: NDArray[np.float64]
    bias: NDArray[np.float64]

    def logits(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the logits (rows, classes) of features (rows, d)."""
        weight, bias = self.linear()
        logits: NDArray[np.float64] = features @ weight.T + bias
        return logits

    def linear(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return weight (classes, d) and bias (classes,) for features that are not standardised."""
        weight = self.weight / self.scale
        return weight, self.bias - weight @ self.mean


def fit_regression(
    features: NDArray[np.floating],
    targets: NDArray[np.bool_],
    strength: float,
    *,
    weights: NDArray[np.float64] | None = None,
    start: Regression | None = None,
) -> Regression:
    """Fit one logistic regression per class, all in one matrix, as scikit-learn's of the same C fits each.

    A class that no row or every row shows gets the same logit for all rows, by its smoothed frequency.

    Args:
        features: (rows, d).
        targets: labels, (rows, classes).
        strength: inverse regularisation strength C, as in scikit-learn.
        weights: weight of each target, (rows, classes), 0 or more; default: 1 each.
        start: a regression of the same classes and features to begin with, which saves iterations.
    """
    mean, scale, inputs = _standardised(features)
    weights = np.ones(targets.shape) if weights is None else weights
    first = None if start is None else np.column_stack([start.weight, start.bias])
    with _threads_for(inputs):
        fitted = _fitted(inputs, targets, weights, strength, first=first)
    return Regression(mean, scale, fitted[:, :-1], fitted[:, -1])


def fit_chosen(
    features: NDArray[np.floating],
    targets: NDArray[np.bool_],
    groups: Sequence[str],
    strengths: Sequence[float],
    *,
    weights: NDArray[np.float64] | None = None,
) -> tuple[Regression, float]:
    """Fit a regression with the strength that is best on inner folds of whole groups; return both.

    The best strength is that with the highest mean AP of out-of-fold logits. The strengths are compared in the given
    order until one is not better than the best so far. With fewer than two groups nothing can be compared, and one in
    the middle is used.

    Args:
        features: (rows, d).
        targets: labels, (rows, classes).
        groups: group of each row.
        strengths: candidates of C, ascending or descending.
        weights: weight of each target in the fits, (rows, classes), 0 or more; default: 1 each.
    """
    mean, scale, inputs = _standardised(features)
    weights = np.ones(targets.shape) if weights is None else weights
    with _threads_for(inputs):
        strength = _chosen(inputs, targets, weights, groups, strengths)
        fitted = _fitted(inputs, targets, weights, strength)
    return Regression(mean, scale, fitted[:, :-1], fitted[:, -1]), strength


def _threads_for(inputs: NDArray[np.float32]) -> threadpool_limits:
    """Return a context in which products of the inputs use as many threads as are worth it."""
    return threadpool_limits(1 if inputs.nbytes < _MANY_BYTES else None, user_api="blas")


def _standardised(
    features: NDArray[np.floating],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float32]]:
    """Return mean and scale (d,) of features (rows, d), and the standardised features.

    Sums are in double precision and the features in single, which takes a tenth of the time of double for both.
    """
    mean = features.mean(0, dtype=np.float64)
    inputs = np.subtract(features, mean.astype(features.dtype)).astype(np.float32, copy=False)
    deviation = np.sqrt(np.square(inputs).mean(0, dtype=np.float64))
    scale = np.where(deviation > 0, deviation, 1.0)
    inputs /= scale.astype(np.float32)
    return mean, scale, inputs


def _chosen(
    inputs: NDArray[np.float32],
    targets: NDArray[np.bool_],
    weights: NDArray[np.float64],
    groups: Sequence[str],
    strengths: Sequence[float],
) -> float:
    """Return the best strength; see `fit_chosen`."""
    count = min(INNER_FOLDS, len(set(groups)))
    if count < 2 or len(strengths) == 1:
        return strengths[(len(strengths) - 1) // 2]
    folds = assign_folds([str(number) for number in range(len(groups))], targets, groups, count)
    fits: list[NDArray[np.float64] | None] = [None] * count
    logits, best, best_score = np.zeros(targets.shape), strengths[0], -1.0
    for strength in strengths:
        for fold in range(count):
            train = folds != fold
            fitted = _fitted(
                inputs[train],
                targets[train],
                weights[train],
                strength,
                first=fits[fold],  # not that of another fold, which has learned from this one's other rows
                tolerance=_ROUGH_TOLERANCE,
            )
            logits[~train] = inputs[~train] @ fitted[:, :-1].T.astype(np.float32) + fitted[:, -1]
            fits[fold] = fitted
        score = float(np.nan_to_num(mean_of_known(fold_aps(logits, targets, np.zeros(len(targets), np.int64)))))
        if score <= best_score:
            break
        best, best_score = strength, score
    return best


def _fitted(
    inputs: NDArray[np.float32],
    targets: NDArray[np.bool_],
    weights: NDArray[np.float64],
    strength: float,
    *,
    first: NDArray[np.float64] | None = None,
    tolerance: float = _TOLERANCE,
) -> NDArray[np.float64]:
    """Return weights and, in the last column, biases (classes, d + 1) of the fit to standardised features.

    Args:
        inputs: (rows, d), standardised.
        targets: labels, (rows, classes).
        weights: weight of each target, (rows, classes).
        strength: inverse regularisation strength C.
        first: weights and biases to begin with; default: 0 and the frequencies of the classes.
        tolerance: largest element of the gradient of the mean loss at which the fit ends.
    """
    positives, negatives = (targets * weights).sum(0), (~targets * weights).sum(0)
    fitted = np.zeros((targets.shape[1], inputs.shape[1] + 1))
    fitted[:, -1] = np.log((positives + 0.5) / (negatives + 0.5))
    known = (positives > 0) & (negatives > 0)
    if known.any():
        begin = (fitted if first is None else first)[known]
        fitted[known] = _minimised(inputs, targets[:, known], weights[:, known], strength, begin, tolerance=tolerance)
    return fitted


def _minimised(
    inputs: NDArray[np.float32],
    targets: NDArray[np.bool_],
    weights: NDArray[np.float64],
    strength: float,
    first: NDArray[np.float64],
    *,
    tolerance: float,
) -> NDArray[np.float64]:
    """Return weights and, in the last column, biases (classes, d + 1) at the minimum of the mean regularised loss."""
    signs = np.where(targets, 1.0, -1.0)
    decay = 1 / (strength * len(inputs))

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        values = flat.reshape(first.shape)
        weight, bias = values[:, :-1], values[:, -1]
        margins = signs * (inputs @ weight.T.astype(np.float32) + bias)
        errors = -signs * weights * expit(-margins) / len(inputs)
        gradient = np.column_stack([errors.T.astype(np.float32) @ inputs + decay * weight, errors.sum(0)])
        total = (weights * np.logaddexp(0, -margins)).sum() / len(inputs) + 0.5 * decay * (weight**2).sum()
        return float(total), gradient.ravel()

    options = {"maxiter": _ITERATIONS, "gtol": tolerance, "ftol": 0.0}  # close to the minimum is as good
    return np.asarray(minimize(loss, first.ravel(), jac=True, method="L-BFGS-B", options=options).x).reshape(
        first.shape
    )
