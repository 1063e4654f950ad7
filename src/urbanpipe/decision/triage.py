"""The triage: what is accepted, what a person looks at, and what is rejected, with a bound on what rejecting misses."""

from dataclasses import dataclass
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, NonNegativeInt, ValidationError, model_validator
from scipy.stats import beta

from urbanpipe.decision.calibration import checked, checked_scores, damaged
from urbanpipe.decision.thresholds import decision_metrics
from urbanpipe.errors import RecipeError
from urbanpipe.settings import Section

ACCEPT, REVIEW, REJECT = "accept", "review", "reject"
GATES = (ACCEPT, REVIEW, REJECT)
MISS_BOUND = 0.05
PRECISION = 0.9
LEVEL = 0.95
NEVER = 2.0  # `accept_from` in a table where nothing is accepted: JSON has no infinity

_Inside = Annotated[float, Field(gt=0.0, lt=1.0)]


class _Table(Section):
    """Triage as they stand in a bundle."""

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
    """Two thresholds a class.

    Attributes:
        reject_below: (C,) float in [0, 1]; what is below is rejected, at 0 nothing.
        accept_from: (C,) float, at least `reject_below`; what is at it or above is accepted, at infinity nothing.
        miss_bound: what share of the videos that show a class may be rejected, as `choose_triage` bounds it.
        wanted_precision: what share of the accepted is to be right.
        positives: (C,) int, videos that the thresholds of each class rest on.
    """

    reject_below: NDArray[np.float64]
    accept_from: NDArray[np.float64]
    miss_bound: float
    wanted_precision: float
    positives: NDArray[np.int64]

    def decide(self, probabilities: ArrayLike) -> NDArray[np.str_]:
        """(n, C) of "accept", "review" and "reject" for probabilities (n, C) like those that the triage were chosen on.

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
        """Lists and numbers, for JSON or TOML; a class that accepts nothing has an `accept_from` of 2."""
        return {
            "miss_bound": self.miss_bound,
            "wanted_precision": self.wanted_precision,
            "reject_below": self.reject_below.tolist(),
            "accept_from": np.minimum(self.accept_from, NEVER).tolist(),
            "positives": self.positives.tolist(),
        }

    @classmethod
    def from_table(cls, table: object) -> Self:
        """What `to_table` gave.

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
    """Choose both thresholds of every class on predictions of models that have not seen the videos.

    `reject_below` is conformal risk control (Angelopoulos et al., arXiv 2208.02814, eq. 4) of the risk "a video that
    shows the class is rejected". With the n videos that show it, k of which score below t, it is the highest t with

        n / (n + 1) * k / n + 1 / (n + 1) = (k + 1) / (n + 1) <= miss_bound,

    which is the (k + 1)-th lowest of their scores for the largest such k. With fewer than 1 / miss_bound - 1 of them
    not even k = 0 is allowed: the threshold is 0 and nothing is rejected. Scores equal to it are not rejected.

    The guarantee: the probability that a new video that shows the class is rejected is at most `miss_bound`. It is
    marginal, over the draw of the n videos and the new one together: with luck or bad luck in those n, the share
    missed from then on is lower or higher. It is a promise for each class, not for all of a video's. It assumes that
    the new video is exchangeable with the n. Segments of one inspection resemble each other, so that they count for
    fewer than n; another site, camera or annotator breaks it. Out-of-fold scores come from one network a fold, while
    an inspection averages the networks of all folds, and an epoch or weights chosen by these very scores flatter
    them; so the guarantee is close to, not exactly, what the mathematics says. `nested_triage` shows what it came to.

    `accept_from` is the lowest score, not below `reject_below`, from which on the share of videos that show the class
    is credibly at least `precision`: the one-sided lower bound of Clopper and Pearson (1934) at `level` is. The bound
    holds for a threshold fixed beforehand, not for the lowest of many. In simulated classes (500 to 5,000 videos, 400
    draws each) the true precision was too low in at most 4 % of the draws; but where few draws accepted anything, those
    were the lucky ones, and a fifth or more of them were wrong. A class where no score does accepts nothing (infinity).

    Maps that never fall keep these decisions: on calibrated probabilities the triage are the same as on raw scores as
    long as no scores become equal. Where some do (isotonic maps), fewer are rejected, which keeps the guarantee; more
    may be accepted, so choose on the very probabilities that the triage will decide on.

    Args:
        scores: (n, C) float in [0, 1], raw or calibrated.
        targets: (n, C) bool or 0/1. The exclusive class is triaged as any other.
        miss_bound: in (0, 1).
        precision: in (0, 1).
        level: of the bound on precision, in (0, 1).

    Raises:
        RecipeError: `miss_bound`, `precision` or `level` is outside (0, 1).
        PredictionError: a score is NaN or outside [0, 1].
        ValueError: shapes that do not fit.
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
    """What triage did on videos that they were not chosen on; NaN where a figure does not exist.

    Attributes:
        missed: (C,) share of the videos that show the class that were rejected: to hold against the miss bound.
        precision: (C,) share of the accepted that show the class.
        shares: (C, 3) share of all videos that were accepted, left to a look, rejected.
        positives: (C,) int, videos that show the class.
        decided: share of videos that no class with positives leaves to a look.
    """

    missed: NDArray[np.float64]
    precision: NDArray[np.float64]
    shares: NDArray[np.float64]
    positives: NDArray[np.int64]
    decided: float

    @property
    def missed_of_all(self) -> float:
        """Share rejected of all that is to be found, over the classes together."""
        known = self.positives > 0
        return float(np.average(self.missed[known], weights=self.positives[known])) if known.any() else float("nan")


def nested_triage(
    scores: ArrayLike,
    targets: ArrayLike,
    folds: NDArray[np.int64],
    miss_bound: float = MISS_BOUND,
    precision: float = PRECISION,
    level: float = LEVEL,
) -> NestedTriage:
    """Triage chosen on all folds but one and judged on that one, for every fold.

    With one fold only there is nothing to choose on, and all figures are NaN. Raw scores serve as well as calibrated
    ones, and nothing of a fold's labels is in them; else give those of `cross_calibrated`.

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
    for fold in np.unique(folds):
        held = folds == fold
        if held.all():
            nan = np.full(values.shape[1], np.nan)
            return NestedTriage(nan, nan, np.full((len(nan), 3), np.nan), present.sum(axis=0), float("nan"))
        triage = choose_triage(values[~held], present[~held], miss_bound, precision, level)
        decisions[held] = triage.decide(values[held])
    known = present.any(axis=0)
    return NestedTriage(
        missed=decision_metrics(decisions == REJECT, present).recall,
        precision=decision_metrics(decisions == ACCEPT, present).precision,
        shares=np.stack([(decisions == triage).mean(axis=0) for triage in GATES], axis=1),
        positives=present.sum(axis=0),
        decided=float((decisions[:, known] != REVIEW).all(axis=1).mean()),
    )


def _reject_below(positives: NDArray[np.float64], miss_bound: float) -> float:
    allowed = int(np.floor(miss_bound * (len(positives) + 1) - 1 + 1e-9))  # 0.29 * 100 is a little below 29
    return float(np.sort(positives)[allowed]) if allowed >= 0 else 0.0


def _accept_from(
    scores: NDArray[np.float64], targets: NDArray[np.bool_], least: float, precision: float, level: float
) -> float:
    order = np.argsort(-scores, kind="stable")
    ranked, found = scores[order], np.cumsum(targets[order])
    wrong = np.arange(1, len(ranked) + 1) - found
    bound = beta.ppf(1.0 - level, np.maximum(found, 1), wrong + 1)
    good = (bound >= precision) & (found > 0) & (ranked >= least)
    good[:-1] &= ranked[:-1] != ranked[1:]  # a threshold lets in all of equal scores or none
    return float(ranked[good][-1]) if good.any() else float("inf")
