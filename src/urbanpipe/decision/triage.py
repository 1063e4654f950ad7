"""Triage: accept, review or reject each class of a video, with a bound on the positives that are rejected."""

from dataclasses import dataclass
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, NonNegativeInt, ValidationError, model_validator

from urbanpipe.decision.calibration import checked, checked_scores, damaged
from urbanpipe.decision.thresholds import decision_metrics
from urbanpipe.errors import RecipeError
from urbanpipe.evaluation.evaluation_set import leave_one_fold_out
from urbanpipe.settings import Section

ACCEPT, REVIEW, REJECT = "accept", "review", "reject"
DECISIONS = (ACCEPT, REVIEW, REJECT)
MISS_BOUND = 0.05
PRECISION = 0.9
LEVEL = 0.95
NEVER = 2.0  # `accept_from` of a class that accepts nothing, in a table: JSON has no infinity

_Inside = Annotated[float, Field(gt=0.0, lt=1.0)]


class _Table(Section):
    """The triage as stored in a bundle."""

    miss_bound: _Inside
    wanted_precision: _Inside
    reject_below: tuple[Annotated[float, Field(ge=0.0, le=1.0)], ...]
    accept_from: tuple[Annotated[float, Field(ge=0.0, allow_inf_nan=False)], ...]
    positives: tuple[NonNegativeInt, ...]

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        sizes = len(self.reject_below), len(self.accept_from), len(self.positives)
        if len(set(sizes)) != 1:
            raise ValueError("reject_below, accept_from, positives have {}, {}, {} classes".format(*sizes))
        if any(high < low for low, high in zip(self.reject_below, self.accept_from, strict=True)):
            raise ValueError("accept_from is below reject_below")
        return self


@dataclass(frozen=True, eq=False)
class Triage:
    """Two thresholds per class.

    Attributes:
        reject_below: (C,) float in [0, 1]; scores below are rejected, with 0 none.
        accept_from: (C,) float, at least `reject_below`; scores at or above are accepted, with infinity none.
        miss_bound: maximum share of the videos that show a class that may be rejected, as bounded by `choose_triage`.
        wanted_precision: minimum precision of the accepted.
        positives: (C,) int, number of positive videos behind the thresholds of each class.
    """

    reject_below: NDArray[np.float64]
    accept_from: NDArray[np.float64]
    miss_bound: float
    wanted_precision: float
    positives: NDArray[np.int64]

    def decide(self, probabilities: ArrayLike) -> NDArray[np.str_]:
        """Return an (n, C) array of "accept", "review" and "reject".

        Args:
            probabilities: (n, C) in [0, 1], of the same kind (raw or calibrated) as those that the thresholds were
                chosen on.

        Raises:
            PredictionError: a probability is NaN or outside [0, 1].
            ValueError: they are not (n, C).
        """
        values = checked_scores(probabilities)
        if values.shape[1] != len(self.positives):
            raise ValueError(f"probabilities {values.shape} must be (n, {len(self.positives)})")
        low = np.where(values < self.reject_below, REJECT, REVIEW)
        return np.where(values >= self.accept_from, ACCEPT, low)

    def to_table(self) -> dict[str, Any]:
        """Return lists and numbers, for JSON or TOML; a class that accepts nothing has an `accept_from` of 2."""
        return {
            "miss_bound": self.miss_bound,
            "wanted_precision": self.wanted_precision,
            "reject_below": self.reject_below.tolist(),
            "accept_from": np.minimum(self.accept_from, NEVER).tolist(),
            "positives": self.positives.tolist(),
        }

    @classmethod
    def from_table(cls, table: object) -> Self:
        """Return the triage that `to_table` wrote.

        Raises:
            BundleError: the table is damaged.
        """
        try:
            read = _Table.model_validate(table)
        except ValidationError as error:
            raise damaged("triage", error) from None
        accept_from = np.array(read.accept_from, dtype=np.float64)
        return cls(
            reject_below=np.array(read.reject_below, dtype=np.float64),
            accept_from=np.where(accept_from > 1.0, np.inf, accept_from),
            miss_bound=read.miss_bound,
            wanted_precision=read.wanted_precision,
            positives=np.array(read.positives, dtype=np.int64),
        )


def choose_triage(
    scores: ArrayLike,
    targets: ArrayLike,
    miss_bound: float = MISS_BOUND,
    precision: float = PRECISION,
    level: float = LEVEL,
) -> Triage:
    """Choose both thresholds of every class on out-of-fold predictions.

    `reject_below` applies conformal risk control (Angelopoulos et al., arXiv 2208.02814, eq. 4) to the risk "a video
    that shows the class is rejected". With n videos that show the class, k of which score below t, it is the highest
    t with

        n / (n + 1) * k / n + 1 / (n + 1) = (k + 1) / (n + 1) <= miss_bound,

    which is the (k + 1)-th lowest of their scores for the largest such k. With fewer than 1 / miss_bound - 1 such
    videos even k = 0 violates the bound: the threshold is 0 and nothing is rejected. Scores equal to the threshold are
    not rejected.

    The guarantee: the probability that a new video that shows the class is rejected is at most `miss_bound`. It is
    marginal over the draw of the n videos and the new one; conditional on a particular sample of n, the miss rate may
    be lower or higher. It holds for each class separately, not jointly for all classes of a video. It assumes that the
    new video is exchangeable with the n. Segments of one inspection resemble each other, so the effective sample is
    smaller than n; a different site, camera or annotator breaks the assumption. Out-of-fold scores come from one
    network per fold, while an inspection averages the networks of all folds, and scores are optimistic if the epoch or
    the ensemble weights were chosen on them. The guarantee therefore holds approximately, not exactly. `nested_triage`
    measures the miss rate in practice.

    `accept_from` is the lowest score, not below `reject_below`, from which on the one-sided lower bound of Clopper and
    Pearson (1934) at `level` on the precision is at least `precision`. The bound holds for a threshold fixed
    beforehand, not for the lowest of many. In simulated classes (500 to 5,000 videos, 400 draws each) the true
    precision was too low in at most 4 % of the draws; but where few draws accepted anything, a fifth or more of those
    draws were wrong. A class without such a score accepts nothing (infinity).

    Non-decreasing maps keep these decisions: on calibrated probabilities they are the same as on raw scores unless
    different scores become equal. Where some do (isotonic maps), fewer are rejected, which keeps the guarantee, but
    more may be accepted, so choose the thresholds on the same kind of probabilities that they will be applied to.

    Args:
        scores: (n, C) float in [0, 1], raw or calibrated.
        targets: (n, C) bool or 0/1. The exclusive class is triaged like any other.
        miss_bound: in (0, 1).
        precision: in (0, 1).
        level: confidence level of the bound on precision, in (0, 1).

    Raises:
        RecipeError: `miss_bound`, `precision` or `level` is outside (0, 1).
        PredictionError: a score is NaN or outside [0, 1].
        ValueError: the shapes do not match.
    """
    for name, value in (("miss bound", miss_bound), ("wanted precision", precision), ("level", level)):
        if not 0.0 < value < 1.0:
            raise RecipeError(f"the {name} is {value}; it must be above 0 and below 1")
    values, present = checked(scores, targets)
    columns = [*zip(values.T, present.T, strict=True)]
    reject_below = [_reject_below(x[y], miss_bound) for x, y in columns]
    accept_from = [_accept_from(x, y, t, precision, level) for (x, y), t in zip(columns, reject_below, strict=True)]
    return Triage(np.array(reject_below), np.array(accept_from), miss_bound, precision, present.sum(axis=0))


@dataclass(frozen=True, eq=False)
class NestedTriage:
    """Results of triage on videos that its thresholds were not chosen on; NaN where undefined.

    Attributes:
        missed: (C,) share of the videos that show the class that were rejected; compare it with the miss bound.
        precision: (C,) share of the accepted videos that show the class.
        shares: (C, 3) shares of all videos that were accepted, left for review, and rejected.
        positives: (C,) int, number of videos that show the class.
        decided: share of videos for which no class with positives is left for review.
    """

    missed: NDArray[np.float64]
    precision: NDArray[np.float64]
    shares: NDArray[np.float64]
    positives: NDArray[np.int64]
    decided: float

    @property
    def missed_of_all(self) -> float:
        """Share of all positives that were rejected, over all classes together."""
        known = self.positives > 0
        return float(np.average(self.missed[known], weights=self.positives[known])) if known.any() else float("nan")


def nested_triage(
    scores: ArrayLike,
    targets: ArrayLike,
    folds: NDArray[np.int64],
    *,
    miss_bound: float = MISS_BOUND,
    precision: float = PRECISION,
    level: float = LEVEL,
) -> NestedTriage:
    """Evaluate on each fold the triage thresholds chosen on the other folds.

    With a single fold all results are NaN. Raw scores work as well as calibrated ones and carry no information about
    a fold's labels; for calibrated ones pass the result of `cross_calibrated`.

    Args:
        scores: (n, C) float in [0, 1].
        targets: (n, C) bool or 0/1.
        folds: (n,) fold of every video.
        miss_bound: as for `choose_triage`.
        precision: as for `choose_triage`.
        level: as for `choose_triage`.

    Raises:
        RecipeError, PredictionError, ValueError: as `choose_triage`.
    """
    values, present = checked(scores, targets)
    decisions = np.full(values.shape, REVIEW, dtype=object)
    for _, held in leave_one_fold_out(folds):
        if held.all():
            nan = np.full(values.shape[1], np.nan)
            return NestedTriage(nan, nan, np.full((len(nan), 3), np.nan), present.sum(axis=0), float("nan"))
        triage = choose_triage(values[~held], present[~held], miss_bound, precision, level)
        decisions[held] = triage.decide(values[held])
    known = present.any(axis=0)
    return NestedTriage(
        missed=decision_metrics(decisions == REJECT, present).recall,
        precision=decision_metrics(decisions == ACCEPT, present).precision,
        shares=np.stack([(decisions == triage).mean(axis=0) for triage in DECISIONS], axis=1),
        positives=present.sum(axis=0),
        decided=float((decisions[:, known] != REVIEW).all(axis=1).mean()),
    )


def _reject_below(positives: NDArray[np.float64], miss_bound: float) -> float:
    allowed = int(np.floor(miss_bound * (len(positives) + 1) - 1 + 1e-9))  # 0.29 * 100 is a little below 29
    return float(np.sort(positives)[allowed]) if allowed >= 0 else 0.0


def _accept_from(
    scores: NDArray[np.float64], targets: NDArray[np.bool_], least: float, precision: float, level: float
) -> float:
    from scipy.special import betaincinv  # a tenth of a second, which inspections do not need

    order = np.argsort(-scores, kind="stable")
    ranked, found = scores[order], np.cumsum(targets[order])
    wrong = np.arange(1, len(ranked) + 1) - found
    bound = betaincinv(np.maximum(found, 1), wrong + 1, 1.0 - level)
    good = (bound >= precision) & (found > 0) & (ranked >= least)
    good[:-1] &= ranked[:-1] != ranked[1:]  # equal scores pass a threshold together or not at all
    return float(ranked[good][-1]) if good.any() else float("inf")
