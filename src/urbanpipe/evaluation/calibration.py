"""Calibration: scores made into probabilities that can be taken at their word."""

from typing import Annotated, Any, Literal, Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, FiniteFloat, NonNegativeInt, PositiveFloat, ValidationError, model_validator
from scipy.optimize import minimize
from scipy.special import expit

from urbanpipe.errors import BundleError, PredictionError
from urbanpipe.settings import Section

Kind = Literal["auto", "platt", "isotonic"]
KINDS: tuple[str, ...] = get_args(Kind)
SPREAD = (0.3, 1.0)  # how far scale and shift of a class are expected from those of all classes, standard deviations
ISOTONIC_POSITIVES = 50  # with fewer positives (or negatives) a class has too few steps to be worth a free form
_SURE = 1e-6  # nearer to 0 or 1 than this a score is one of a rule or of a saturated network, not a graded opinion
_SURE_PRIOR = 5.0
_TINY = 1e-12
_LEAST_SCALE, _MOST_SCALE = 0.01, 100.0

_Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Platt(Section):
    """p = floor + (ceiling - floor) sigmoid(scale logit(score) + shift); 1 / scale is the temperature.

    Attributes:
        scale: of the logit; above 0, so that the order of scores stays.
        shift: of the logit.
        floor: what a score of 0 becomes.
        ceiling: what a score of 1 becomes.
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
        result: NDArray[np.float64] = self.floor + span * expit(self.scale * _logits(scores) + self.shift)
        return result


class Isotonic(Section):
    """A never falling line through knots, level beyond the first and the last.

    Attributes:
        scores: of the knots, rising.
        probabilities: of the knots, never falling.
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
        line: NDArray[np.float64] = np.minimum(np.interp(scores, knots, values), above)  # rounding may lift it above
        return line


class Calibration(Section):
    """One map a class from score to probability. No map ever falls, so that rankings stay, but for ties.

    Attributes:
        maps: C maps.
        positives: of each class among the videos that taught its map. A class with 0 has the map of all classes.
    """

    maps: tuple[Annotated[Platt | Isotonic, Field(discriminator="kind")], ...]
    positives: tuple[NonNegativeInt, ...]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if len(self.maps) != len(self.positives):
            raise ValueError(f"{len(self.maps)} maps but positives of {len(self.positives)} classes")
        return self

    @property
    def kinds(self) -> tuple[str, ...]:
        """What each class has: "platt", "isotonic", or "pooled" where it had no positives to learn from."""
        return tuple(item.kind if n else "pooled" for item, n in zip(self.maps, self.positives, strict=True))

    def apply(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Probabilities, (n, C) float64 in [0, 1], of scores, (n, C) in [0, 1].

        Raises:
            PredictionError: a score is NaN or outside [0, 1].
            ValueError: the scores are not (n, C).
        """
        values = checked_scores(scores)
        if values.shape[1] != len(self.maps):
            raise ValueError(f"scores {values.shape} must be (n, {len(self.maps)})")
        return np.stack([item(column) for item, column in zip(self.maps, values.T, strict=True)], axis=1)

    def to_table(self) -> dict[str, Any]:
        """Lists, texts and numbers, for JSON or TOML."""
        table: dict[str, Any] = self.model_dump(mode="json")
        return table

    @classmethod
    def from_table(cls, table: object) -> Self:
        """What `to_table` gave.

        Raises:
            BundleError: the table is damaged.
        """
        try:
            return cls.model_validate(table)
        except ValidationError as error:
            raise damaged("calibration", error) from None


def damaged(what: str, error: ValidationError) -> BundleError:
    """The first complaint about a table of a bundle as one line."""
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    return BundleError(f"the {what} is damaged: {place}{': ' if place else ''}{first['msg']}; write the bundle again")


def checked_scores(scores: ArrayLike) -> NDArray[np.float64]:
    """Scores as (n, C) float64; a PredictionError where one is NaN or outside [0, 1]."""
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 2:
        raise ValueError(f"scores {values.shape} must be (n, C)")
    if (wrong := ~((values >= 0.0) & (values <= 1.0))).any():
        row, column = (int(index[0]) for index in np.nonzero(wrong))
        raise PredictionError(f"the score in row {row}, class {column} is {values[row, column]}; it must be in [0, 1]")
    return values


def checked(scores: ArrayLike, targets: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores as `checked_scores` gives them, and targets as (n, C) bool; a ValueError where shapes do not fit."""
    values, present = checked_scores(scores), np.asarray(targets, dtype=bool)
    if values.shape != present.shape:
        raise ValueError(f"scores {values.shape} and targets {present.shape} must both be (n, C)")
    return values, present


def fit_calibration(
    scores: ArrayLike, targets: ArrayLike, kind: Kind = "auto", folds: NDArray[np.int64] | None = None
) -> Calibration:
    """Learn a map a class from predictions of models that have not seen the videos.

    "platt" (Platt 1999; Guo et al., arXiv 1706.04599) fits scale and shift of the logit by maximum likelihood. So
    that a class with few positives does not go wild, both have a normal prior around the fit of all classes together,
    with the standard deviations `SPREAD`. That ties the scale, which a handful of positives tells little about, more
    than the shift, which the class's own frequency tells; with hundreds of positives the prior hardly counts.

    Scores of 0 and 1, to within 1e-6, have no use of a logit (the rule for the exclusive class makes such). Floor and
    ceiling of the map are the shares of positives among them, drawn towards Platt's smoothed targets as if 5 videos
    had shown those; without such scores they are 0 and 1. Where the floor is not below the ceiling, the map is level.

    "isotonic" (Zadrozny & Elkan 2002) is any never falling map, kept off 0 and 1 by Platt's smoothed targets. Only
    classes with `ISOTONIC_POSITIVES` positives and as many negatives get it, the others "platt".

    "auto" takes "isotonic" for the classes where its log loss, every fold calibrated by what the others taught, is
    lower than that of "platt" by more than one standard error of the difference. Without two folds it is "platt".

    A class without positives gets the map of all classes that have some, or none at all (p = score) without any.

    Args:
        scores: (n, C) float in [0, 1].
        targets: (n, C) bool or 0/1.
        kind: "auto", "platt" or "isotonic".
        folds: (n,) fold of every video, for "auto".

    Raises:
        PredictionError: a score is NaN or outside [0, 1].
        ValueError: shapes that do not fit, or an unknown kind.
    """
    values, present = checked(scores, targets)
    if kind not in KINDS:
        raise ValueError(f"kind = {kind!r} must be one of {', '.join(KINDS)}")
    positives = present.sum(axis=0)
    common = _pooled_fit(values[:, positives > 0].ravel(), present[:, positives > 0].ravel())
    free = (np.minimum(positives, len(values) - positives) >= ISOTONIC_POSITIVES) & (kind != "platt")
    if kind == "auto" and free.any():
        free &= folds is not None and _is_better_isotonic(values, present, folds)
    columns = zip(values.T, present.T, free, strict=True)
    return Calibration(
        maps=tuple(_isotonic(x, y) if is_free else _platt(x, y, common) for x, y, is_free in columns),
        positives=tuple(positives.tolist()),
    )


def cross_calibrated(
    scores: ArrayLike, targets: ArrayLike, folds: NDArray[np.int64], kind: Kind = "auto"
) -> NDArray[np.float64]:
    """Each fold's scores calibrated by what the other folds taught: what calibration is worth on new videos.

    Args:
        scores: (n, C) float in [0, 1].
        targets: (n, C) bool or 0/1.
        folds: (n,) fold of every video.
        kind: as for `fit_calibration`; "auto" chooses anew for each fold, on the others alone.

    Returns:
        (n, C) float64 in [0, 1]; all NaN where there is one fold only, as nothing is left to learn from.

    Raises:
        PredictionError: a score is NaN or outside [0, 1].
        ValueError: shapes that do not fit, or an unknown kind.
    """
    values, present = checked(scores, targets)
    result = np.full(values.shape, np.nan)
    for fold in np.unique(folds):
        held = folds == fold
        if not held.all():
            learnt = fit_calibration(values[~held], present[~held], kind, folds[~held])
            result[held] = learnt.apply(values[held])
    return result


def _is_better_isotonic(
    scores: NDArray[np.float64], targets: NDArray[np.bool_], folds: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """(C,), by more than one standard error of the paired difference: smaller ones are mostly chance."""
    ways: tuple[Kind, Kind] = ("platt", "isotonic")
    by_way = (cross_calibrated(scores, targets, folds, way) for way in ways)
    platt, isotonic = (-np.log(np.maximum(np.where(targets, p, 1.0 - p), _SURE)) for p in by_way)
    gain = platt - isotonic
    better: NDArray[np.bool_] = gain.mean(axis=0) > gain.std(axis=0) / np.sqrt(len(gain))
    return better


def _logits(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logits; infinite where a score is as good as 0 or 1."""
    inner = np.clip(scores, _SURE, 1.0 - _SURE)
    logits = np.log(inner) - np.log1p(-inner)
    result: NDArray[np.float64] = np.where(inner == scores, logits, np.where(scores < 0.5, -np.inf, np.inf))
    return result


def _platt(scores: NDArray[np.float64], targets: NDArray[np.bool_], common: NDArray[np.float64]) -> Platt:
    if not targets.any():
        return Platt(scale=common[0], shift=common[1])
    floor, ceiling = _ends(scores, targets)
    x = _logits(scores)
    graded = np.isfinite(x)
    theta = _most_likely(x[graded], targets[graded].astype(np.float64), common, SPREAD, (floor, ceiling))
    return Platt(scale=theta[0], shift=theta[1], floor=floor, ceiling=ceiling)


def _isotonic(scores: NDArray[np.float64], targets: NDArray[np.bool_]) -> Isotonic:
    from sklearn.isotonic import IsotonicRegression

    fit = IsotonicRegression(out_of_bounds="clip").fit(scores, targets)
    negative, positive = _smoothed(targets)
    values = np.clip(fit.y_thresholds_, negative, positive)
    return Isotonic(scores=tuple(fit.X_thresholds_.tolist()), probabilities=tuple(values.tolist()))


def _pooled_fit(scores: NDArray[np.float64], targets: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(scale, shift) of all classes together."""
    x = _logits(scores)
    graded = np.isfinite(x)
    negative, positive = _smoothed(targets[graded])  # keeps the fit finite where the scores part the two
    wanted = np.where(targets[graded], positive, negative)
    return _most_likely(x[graded], wanted, np.array([1.0, 0.0]), (np.inf, np.inf), (0.0, 1.0))


def _most_likely(
    x: NDArray[np.float64],
    targets: NDArray[np.float64],
    common: NDArray[np.float64],
    spread: tuple[float, float],
    ends: tuple[float, float],
) -> NDArray[np.float64]:
    """(scale, shift) of the highest posterior."""
    floor, span = ends[0], ends[1] - ends[0]

    def loss(theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        sigma = np.clip(expit(theta[0] * x + theta[1]), _TINY, 1.0 - _TINY)
        p = np.clip(floor + span * sigma, _TINY, 1.0 - _TINY)
        off = (theta - common) / spread
        entropy = -(targets * np.log(p) + (1.0 - targets) * np.log1p(-p)).sum()
        slope = (p - targets) / (p * (1.0 - p)) * span * sigma * (1.0 - sigma)
        return entropy + 0.5 * off @ off, np.array([slope @ x, slope.sum()]) + off / spread

    found = minimize(loss, common, jac=True, method="L-BFGS-B", bounds=[(_LEAST_SCALE, _MOST_SCALE), (None, None)])
    result: NDArray[np.float64] = found.x
    return result


def _ends(scores: NDArray[np.float64], targets: NDArray[np.bool_]) -> tuple[float, float]:
    """Floor and ceiling: what scores as good as 0 and 1 are worth."""
    surely_not, surely = scores < _SURE, scores > 1.0 - _SURE
    negative, positive = _smoothed(targets)
    floor = _rate(targets[surely_not], negative)
    ceiling = 1.0 - _rate(~targets[surely], 1.0 - positive)
    if floor >= ceiling:
        floor = ceiling = _rate(targets[surely | surely_not], float(targets.mean()))
    return floor, ceiling


def _rate(found: NDArray[np.bool_], prior: float) -> float:
    return float((found.sum() + _SURE_PRIOR * prior) / (len(found) + _SURE_PRIOR)) if len(found) else 0.0


def _smoothed(targets: NDArray[np.bool_]) -> tuple[float, float]:
    """Platt's targets of negatives and positives: what is right so often is not yet right for sure."""
    positives = int(targets.sum())
    return 1.0 / (len(targets) - positives + 2.0), (positives + 1.0) / (positives + 2.0)
