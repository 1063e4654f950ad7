"""The maps of a calibration, one per class, and how they are fitted."""

from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, FiniteFloat, PositiveFloat, model_validator

from urbanpipe.settings import Section

SPREAD = (0.3, 1.0)  # prior standard deviations of a class's scale and shift around the pooled fit
SURE = 1e-6  # a score nearer to 0 or 1 than this comes from a rule or a saturated network and carries no ranking
_SURE_PRIOR = 5.0
_TINY = 1e-12
_MIN_SCALE, _MAX_SCALE = 0.01, 100.0

_Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Platt(Section):
    """p = floor + (ceiling - floor) sigmoid(scale logit(score) + shift); 1 / scale is the temperature.

    Attributes:
        scale: factor of the logit; above 0, so that the order of scores is kept.
        shift: offset of the logit.
        floor: probability of a score of 0.
        ceiling: probability of a score of 1.
    """

    kind: Literal["platt"] = "platt"
    scale: PositiveFloat = Field(allow_inf_nan=False)
    shift: FiniteFloat
    floor: _Share = 0.0
    ceiling: _Share = 1.0

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.floor > self.ceiling:
            raise ValueError(f"floor = {self.floor} is above ceiling = {self.ceiling}")
        return self

    def __call__(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities of scores in [0, 1], both (n,)."""
        span = self.ceiling - self.floor
        result: NDArray[np.float64] = self.floor + span * _sigmoid(self.scale * _logits(scores) + self.shift)
        return result


class Isotonic(Section):
    """A non-decreasing, piecewise linear map through knots, constant beyond the first and the last.

    Attributes:
        scores: scores of the knots, increasing.
        probabilities: probabilities of the knots, non-decreasing.
    """

    kind: Literal["isotonic"] = "isotonic"
    scores: tuple[_Share, ...] = Field(min_length=1)
    probabilities: tuple[_Share, ...]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if len(self.scores) != len(self.probabilities):
            raise ValueError(f"{len(self.scores)} scores but {len(self.probabilities)} probabilities")
        if (np.diff(self.scores) <= 0).any() or (np.diff(self.probabilities) < 0).any():
            raise ValueError("scores must rise and probabilities never fall")
        return self

    def __call__(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities of scores in [0, 1], both (n,)."""
        knots, values = np.array(self.scores), np.array(self.probabilities)
        above = values[np.minimum(np.searchsorted(knots, scores), len(knots) - 1)]
        line: NDArray[np.float64] = np.minimum(np.interp(scores, knots, values), above)  # rounding can exceed `above`
        return line


def _sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return probabilities, which never fall; SciPy's function would take longer to import than to run."""
    with np.errstate(over="ignore"):  # exp(800) is infinite, and its probability 0
        return 1.0 / (1.0 + np.exp(-logits))


def _logits(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return logits; infinite where a score is within `SURE` of 0 or 1."""
    inner = np.clip(scores, SURE, 1.0 - SURE)
    logits = np.log(inner) - np.log1p(-inner)
    result: NDArray[np.float64] = np.where(inner == scores, logits, np.where(scores < 0.5, -np.inf, np.inf))
    return result


def fit_platt(scores: NDArray[np.float64], targets: NDArray[np.bool_], common: NDArray[np.float64]) -> Platt:
    """Fit the Platt map of a class.

    Args:
        scores: (n,) in [0, 1].
        targets: (n,).
        common: (scale, shift) of the pooled fit, the centre of the prior.
    """
    if not targets.any():
        return Platt(scale=common[0], shift=common[1])
    floor, ceiling = _ends(scores, targets)
    x = _logits(scores)
    graded = np.isfinite(x)
    theta = _most_likely(x[graded], targets[graded].astype(np.float64), common, SPREAD, (floor, ceiling))
    return Platt(scale=theta[0], shift=theta[1], floor=floor, ceiling=ceiling)


def fit_isotonic(scores: NDArray[np.float64], targets: NDArray[np.bool_]) -> Isotonic:
    """Fit the isotonic map of a class to scores and targets, both (n,)."""
    from sklearn.isotonic import IsotonicRegression

    fit = IsotonicRegression(out_of_bounds="clip").fit(scores, targets)
    negative, positive = _smoothed(targets)
    values = np.clip(fit.y_thresholds_, negative, positive)
    return Isotonic(scores=tuple(fit.X_thresholds_.tolist()), probabilities=tuple(values.tolist()))


def fit_pooled(scores: NDArray[np.float64], targets: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Fit (scale, shift) to all classes together."""
    x = _logits(scores)
    graded = np.isfinite(x)
    negative, positive = _smoothed(targets[graded])  # keeps the fit finite where the scores separate the two perfectly
    wanted = np.where(targets[graded], positive, negative)
    return _most_likely(x[graded], wanted, np.array([1.0, 0.0]), (np.inf, np.inf), (0.0, 1.0))


def _most_likely(
    x: NDArray[np.float64],
    targets: NDArray[np.float64],
    common: NDArray[np.float64],
    spread: tuple[float, float],
    ends: tuple[float, float],
) -> NDArray[np.float64]:
    """Return the (scale, shift) with the highest posterior."""
    from scipy.optimize import minimize  # takes .3 s to import, and only fitting needs it

    floor, span = ends[0], ends[1] - ends[0]

    def loss(theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        sigma = np.clip(_sigmoid(theta[0] * x + theta[1]), _TINY, 1.0 - _TINY)
        p = np.clip(floor + span * sigma, _TINY, 1.0 - _TINY)
        off = (theta - common) / spread
        entropy = -(targets * np.log(p) + (1.0 - targets) * np.log1p(-p)).sum()
        slope = (p - targets) / (p * (1.0 - p)) * span * sigma * (1.0 - sigma)
        return entropy + 0.5 * off @ off, np.array([slope @ x, slope.sum()]) + off / spread

    found = minimize(loss, common, jac=True, method="L-BFGS-B", bounds=[(_MIN_SCALE, _MAX_SCALE), (None, None)])
    result: NDArray[np.float64] = found.x
    return result


def _ends(scores: NDArray[np.float64], targets: NDArray[np.bool_]) -> tuple[float, float]:
    """Return floor and ceiling: the probabilities of scores within `SURE` of 0 and 1."""
    surely_not, surely = scores < SURE, scores > 1.0 - SURE
    negative, positive = _smoothed(targets)
    floor = _rate(targets[surely_not], negative)
    ceiling = 1.0 - _rate(~targets[surely], 1.0 - positive)
    if floor >= ceiling:
        floor = ceiling = _rate(targets[surely | surely_not], float(targets.mean()))
    return floor, ceiling


def _rate(found: NDArray[np.bool_], prior: float) -> float:
    return float((found.sum() + _SURE_PRIOR * prior) / (len(found) + _SURE_PRIOR)) if len(found) else 0.0


def _smoothed(targets: NDArray[np.bool_]) -> tuple[float, float]:
    """Return Platt's smoothed targets of negatives and positives, which keep estimates off 0 and 1."""
    positives = int(targets.sum())
    return 1.0 / (len(targets) - positives + 2.0), (positives + 1.0) / (positives + 2.0)
