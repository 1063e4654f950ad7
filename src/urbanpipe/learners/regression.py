"""Fitting the regression head of a bag: one logistic regression per class on standardised pooled features."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn import functional

from urbanpipe.catalog.stratify import assign_folds
from urbanpipe.evaluation.average_precision import fold_aps, mean_of_known
from urbanpipe.inputs.batches import Batch
from urbanpipe.learners.bag import BagLearner
from urbanpipe.learners.learner import LearnerContext
from urbanpipe.models.config import BagHeadConfig
from urbanpipe.models.regression_head import RegressionHead

INNER_FOLDS = 3
_ITERATIONS = 300


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

    def logits(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the logits (videos, classes) of features (videos, d)."""
        return (features - self.mean) / self.scale @ self.weight.T + self.bias


def fit_regression(features: NDArray[np.float64], targets: NDArray[np.bool_], strength: float) -> Regression:
    """Fit one logistic regression per class.

    A class that no video or every video shows gets the same logit for all videos, by its smoothed frequency.

    Args:
        features: pooled features, (videos, d).
        targets: labels, (videos, classes).
        strength: inverse regularisation strength C, as in scikit-learn.
    """
    scale = features.std(0)
    mean, scale = features.mean(0), np.where(scale > 0, scale, 1.0)
    inputs = (features - mean) / scale
    weight = np.zeros((targets.shape[1], features.shape[1]))
    positives = targets.sum(0)
    bias = np.log((positives + 0.5) / (len(targets) - positives + 0.5))
    for column in np.flatnonzero((positives > 0) & (positives < len(targets))):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # close to the optimum is as good
            model = LogisticRegression(C=strength, max_iter=_ITERATIONS).fit(inputs, targets[:, column])
        weight[column], bias[column] = model.coef_[0], model.intercept_[0]
    return Regression(mean, scale, weight, bias)


def choose_strength(
    features: NDArray[np.float64], targets: NDArray[np.bool_], groups: Sequence[str], strengths: Sequence[float]
) -> float:
    """Return the strength with the highest mean AP of out-of-fold logits, pooled over inner folds of whole groups.

    The first strength wins a tie. With fewer than two groups nothing can be compared, and the middle one is returned.

    Args:
        features: pooled features, (videos, d).
        targets: labels, (videos, classes).
        groups: group of each video.
        strengths: candidates, in the order of preference.
    """
    count = min(INNER_FOLDS, len(set(groups)))
    if count < 2 or len(strengths) == 1:
        return strengths[len(strengths) // 2]
    names = [str(number) for number in range(len(groups))]
    folds = assign_folds(names, targets, groups, count)
    means = []
    for strength in strengths:
        logits = np.zeros(targets.shape)
        for fold in range(count):
            train, test = folds != fold, folds == fold
            logits[test] = fit_regression(features[train], targets[train], strength).logits(features[test])
        means.append(mean_of_known(fold_aps(logits, targets, np.zeros(len(targets), np.int64))))
    return strengths[int(np.argmax(np.nan_to_num(means)))]


class RegressionLearner(BagLearner):
    """The learner of a bag whose head is a regression: it fits the head once instead of training it.

    Args:
        config: the candidates of the regularisation strength.
        context: recipe, state, loss, targets and training set.
    """

    def __init__(self, config: BagHeadConfig, context: LearnerContext) -> None:
        super().__init__(context)
        head = self._model.head
        assert isinstance(head, RegressionHead), "the method builds no other"
        self._head, self._strengths = head, config.strengths

    def begin_epoch(self) -> None:
        """Fill the store and fit the head."""
        super().begin_epoch()
        if self._distributed.is_main:
            self._fit()
        self._head.load_state_dict(self._distributed.from_main(self._head.state_dict()))

    def _fit(self) -> None:
        pooled = torch.stack([self._head.pool(bag) for bag in self._bags(range(len(self._targets)))])
        features, targets = pooled.double().numpy(), self._targets.numpy() > 0
        groups = [video.group for video in self._dataset.videos]
        strength = choose_strength(features, targets, groups, self._strengths)
        fitted = fit_regression(features, targets, strength)
        self._distributed.log(f"{self._recipe.name}: regression on {features.shape[1]} features, C = {strength:g}")
        values = {
            "mean": fitted.mean,
            "scale": fitted.scale,
            "linear.weight": fitted.weight,
            "linear.bias": fitted.bias,
        }
        self._head.load_state_dict({name: torch.from_numpy(value) for name, value in values.items()})

    def learn(self, batch: Batch, last: bool) -> Tensor:
        """Return the loss of a batch; the fitted head gets no gradient."""
        del last
        device = self._distributed.device
        with torch.no_grad():
            logits = torch.stack([self._model(bag.to(device)) for bag in self._bags(batch.samples)])
            return functional.binary_cross_entropy_with_logits(logits, self._targets[batch.samples].to(device))
