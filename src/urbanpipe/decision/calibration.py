"""Calibration: scores made into probabilities that can be taken at their word."""

from typing import Annotated, Any, Literal, Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, NonNegativeInt, ValidationError, model_validator

from urbanpipe.decision.calibration_maps import SURE, Isotonic, Platt, fit_isotonic, fit_platt, fit_pooled
from urbanpipe.errors import BundleError, PredictionError
from urbanpipe.settings import Section, complaint

Kind = Literal["auto", "platt", "isotonic"]
KINDS: tuple[str, ...] = get_args(Kind)
ISOTONIC_POSITIVES = 50  # with fewer positives (or negatives) a class has too few steps to be worth a free form


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
    return BundleError(f"the {what} is damaged: {complaint(error)}; write the bundle again")


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
    with the standard deviations `SPREAD` of the maps. That ties the scale, which a handful of positives tells little
    about, more than the shift, which the class's own frequency tells; with hundreds of positives the prior hardly
    counts.

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
    common = fit_pooled(values[:, positives > 0].ravel(), present[:, positives > 0].ravel())
    free = (np.minimum(positives, len(values) - positives) >= ISOTONIC_POSITIVES) & (kind != "platt")
    if kind == "auto" and free.any():
        free &= folds is not None and _is_better_isotonic(values, present, folds)
    columns = zip(values.T, present.T, free, strict=True)
    return Calibration(
        maps=tuple(fit_isotonic(x, y) if is_free else fit_platt(x, y, common) for x, y, is_free in columns),
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
            learned = fit_calibration(values[~held], present[~held], kind, folds[~held])
            result[held] = learned.apply(values[held])
    return result


def _is_better_isotonic(
    scores: NDArray[np.float64], targets: NDArray[np.bool_], folds: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """(C,), by more than one standard error of the paired difference: smaller ones are mostly chance."""
    ways: tuple[Kind, Kind] = ("platt", "isotonic")
    by_way = (cross_calibrated(scores, targets, folds, way) for way in ways)
    platt, isotonic = (-np.log(np.maximum(np.where(targets, p, 1.0 - p), SURE)) for p in by_way)
    gain = platt - isotonic
    better: NDArray[np.bool_] = gain.mean(axis=0) > gain.std(axis=0) / np.sqrt(len(gain))
    return better
