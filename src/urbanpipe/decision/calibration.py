"""Calibration: map scores to probabilities that match observed frequencies."""

from typing import Annotated, Any, Literal, Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, NonNegativeInt, ValidationError, model_validator

from urbanpipe.decision.calibration_maps import SURE, Isotonic, Platt, fit_isotonic, fit_platt, fit_pooled
from urbanpipe.errors import BundleError, PredictionError
from urbanpipe.evaluation.evaluation_set import leave_one_fold_out
from urbanpipe.settings import Section, complaint

Kind = Literal["auto", "platt", "isotonic"]
KINDS: tuple[str, ...] = get_args(Kind)
ISOTONIC_POSITIVES = 50  # with fewer positives (or negatives) an isotonic map has too few steps to be worth fitting


class Calibration(Section):
    """One map per class from score to probability. Every map is non-decreasing, so it keeps rankings except for ties.

    Attributes:
        maps: C maps.
        positives: number of positives of each class among the videos that its map was fitted on. A class with 0 has
            the pooled map of all classes.
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
        """Kind of each class's map: "platt", "isotonic", or "pooled" where the class had no positives to fit on."""
        return tuple(item.kind if n else "pooled" for item, n in zip(self.maps, self.positives, strict=True))

    def apply(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Return the probabilities, (n, C) float64 in [0, 1], of scores, (n, C) in [0, 1].

        Raises:
            PredictionError: a score is NaN or outside [0, 1].
            ValueError: the scores are not (n, C).
        """
        values = checked_scores(scores)
        if values.shape[1] != len(self.maps):
            raise ValueError(f"scores {values.shape} must be (n, {len(self.maps)})")
        return np.stack([item(column) for item, column in zip(self.maps, values.T, strict=True)], axis=1)

    def to_table(self) -> dict[str, Any]:
        """Return lists, strings and numbers, for JSON or TOML."""
        table: dict[str, Any] = self.model_dump(mode="json")
        return table

    @classmethod
    def from_table(cls, table: object) -> Self:
        """Return the calibration that `to_table` wrote.

        Raises:
            BundleError: the table is damaged.
        """
        try:
            return cls.model_validate(table)
        except ValidationError as error:
            raise damaged("calibration", error) from None


def damaged(what: str, error: ValidationError) -> BundleError:
    """Return an error whose one line gives the first problem found in a table of a bundle."""
    return BundleError(f"the {what} is damaged: {complaint(error)}; write the bundle again")


def checked_scores(scores: ArrayLike) -> NDArray[np.float64]:
    """Return scores as (n, C) float64.

    Raises:
        PredictionError: a score is NaN or outside [0, 1].
        ValueError: the scores are not (n, C).
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 2:
        raise ValueError(f"scores {values.shape} must be (n, C)")
    if (wrong := ~((values >= 0.0) & (values <= 1.0))).any():
        row, column = (int(index[0]) for index in np.nonzero(wrong))
        raise PredictionError(f"the score in row {row}, class {column} is {values[row, column]}; it must be in [0, 1]")
    return values


def checked(scores: ArrayLike, targets: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return scores as from `checked_scores`, and targets as (n, C) bool.

    Raises:
        PredictionError: a score is NaN or outside [0, 1].
        ValueError: the scores are not (n, C), or the targets have another shape.
    """
    values, present = checked_scores(scores), np.asarray(targets, dtype=bool)
    if values.shape != present.shape:
        raise ValueError(f"scores {values.shape} and targets {present.shape} must both be (n, C)")
    return values, present


def fit_calibration(
    scores: ArrayLike, targets: ArrayLike, kind: Kind = "auto", folds: NDArray[np.int64] | None = None
) -> Calibration:
    """Fit one map per class to out-of-fold predictions.

    "platt" (Platt 1999; Guo et al., arXiv 1706.04599) fits scale and shift of the logit by maximum likelihood. To
    regularize classes with few positives, both have a normal prior centred on the pooled fit of all classes, with the
    standard deviations `SPREAD`. The prior is tighter on the scale, about which a handful of positives says little,
    than on the shift, which the frequency of the class determines. With hundreds of positives it hardly matters.

    Scores within 1e-6 of 0 or 1 have no finite logit (the rule for the exclusive class produces such scores). Floor
    and ceiling of the map are the shares of positives among them, shrunk towards Platt's smoothed targets, which count
    as 5 videos. Without such scores they are 0 and 1. Where the floor is not below the ceiling, the map is constant.

    "isotonic" (Zadrozny & Elkan 2002) fits any non-decreasing map, kept away from 0 and 1 by Platt's smoothed targets.
    Only classes with at least `ISOTONIC_POSITIVES` positives and as many negatives get it; the others get "platt".

    "auto" chooses "isotonic" for the classes where its cross-fitted log loss (every fold calibrated by a map fitted on
    the other folds) is lower than that of "platt" by more than one standard error of the difference. With fewer than
    two folds it is "platt".

    A class without positives gets the pooled map of the classes that have positives, or the identity (p = score) if
    no class has any.

    Args:
        scores: (n, C) float in [0, 1].
        targets: (n, C) bool or 0/1.
        kind: "auto", "platt" or "isotonic".
        folds: (n,) fold of every video, for "auto".

    Raises:
        PredictionError: a score is NaN or outside [0, 1].
        ValueError: the shapes do not match, or the kind is unknown.
    """
    values, present = checked(scores, targets)
    if kind not in KINDS:
        raise ValueError(f"kind = {kind!r} must be one of {', '.join(KINDS)}")
    positives = present.sum(axis=0)
    free = (np.minimum(positives, len(values) - positives) >= ISOTONIC_POSITIVES) & (kind != "platt")
    if kind == "auto" and free.any():
        free &= folds is not None and _is_better_isotonic(values, present, folds)
    some = positives > 0
    common = np.empty(2) if free.all() else fit_pooled(values[:, some].ravel(), present[:, some].ravel())
    columns = zip(values.T, present.T, free, strict=True)
    return Calibration(
        maps=tuple(fit_isotonic(x, y) if is_free else fit_platt(x, y, common) for x, y, is_free in columns),
        positives=tuple(positives.tolist()),
    )


def cross_calibrated(
    scores: ArrayLike, targets: ArrayLike, folds: NDArray[np.int64], kind: Kind = "auto"
) -> NDArray[np.float64]:
    """Calibrate each fold's scores with maps fitted on the other folds, to estimate calibration on new videos.

    Args:
        scores: (n, C) float in [0, 1].
        targets: (n, C) bool or 0/1.
        folds: (n,) fold of every video.
        kind: as for `fit_calibration`; "auto" chooses separately for each fold, using only the other folds.

    Returns:
        (n, C) float64 in [0, 1]; all NaN if there is only one fold, since no videos are left to fit on.

    Raises:
        PredictionError: a score is NaN or outside [0, 1].
        ValueError: the shapes do not match, or the kind is unknown.
    """
    values, present = checked(scores, targets)
    result = np.full(values.shape, np.nan)
    for _, held in leave_one_fold_out(folds):
        if not held.all():
            learned = fit_calibration(values[~held], present[~held], kind, folds[~held])
            result[held] = learned.apply(values[held])
    return result


def _is_better_isotonic(
    scores: NDArray[np.float64], targets: NDArray[np.bool_], folds: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return a (C,) mask: isotonic is better by more than one standard error of the paired difference.

    Smaller differences are mostly chance.
    """
    ways: tuple[Kind, Kind] = ("platt", "isotonic")
    by_way = (cross_calibrated(scores, targets, folds, way) for way in ways)
    platt, isotonic = (-np.log(np.maximum(np.where(targets, p, 1.0 - p), SURE)) for p in by_way)
    gain = platt - isotonic
    better: NDArray[np.bool_] = gain.mean(axis=0) > gain.std(axis=0) / np.sqrt(len(gain))
    return better
