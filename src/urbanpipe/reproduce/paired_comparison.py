"""What a change is worth: the difference in mAP with its spread over folds, seeds and videos."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from urbanpipe.evaluation.average_precision import mean_of_known, score
from urbanpipe.evaluation.evaluation_set import EvaluationSet, leave_one_fold_out
from urbanpipe.evaluation.intervals import compare

SIGNIFICANT = 0.05
TrainingScores = NDArray[np.float64]  # (S, n, C), of S trainings


@dataclass(frozen=True, eq=False)
class ComparisonData(EvaluationSet):
    """The videos by which models are compared.

    Attributes:
        all_folds: how many folds there are, evaluated or not.
    """

    all_folds: int


@dataclass(frozen=True, eq=False)
class PairedComparison:
    """One way against another, on the same videos, folds and seeds; fractions in [0, 1].

    Attributes:
        on: mAP over all classes with the change, (S, K) by seed and fold.
        off: without it.
        on_defects, off_defects: the same over the defects.
        low, high: ends of the 95 % interval of the gain over the defects if other videos had been judged (paired
            bootstrap over groups); NaN where it was not drawn.
        p: of the corrected resampled t-test over folds; NaN with fewer than two.
        one_test: all trainings were judged by the same videos, so that there are no folds to test over and the interval
            alone decides.
    """

    on: NDArray[np.float64]
    off: NDArray[np.float64]
    on_defects: NDArray[np.float64]
    off_defects: NDArray[np.float64]
    low: float
    high: float
    p: float
    one_test: bool = False

    @property
    def gains(self) -> NDArray[np.float64]:
        """PairedComparison over the defects, (S, K)."""
        return self.on_defects - self.off_defects

    @property
    def reading(self) -> str:
        """`gain` or `loss` where both the videos and the trainings say so, else `not told apart`."""
        apart = (self.one_test or self.p < SIGNIFICANT) and (self.low > 0 or self.high < 0)
        if not apart or (self.low > 0) != (mean_of_known(self.gains.ravel()) > 0):
            return "not told apart"
        return "gain" if self.low > 0 else "loss"


def compare_paired(
    on: NDArray[np.float64], off: NDArray[np.float64], data: ComparisonData, draws: int = 1000
) -> PairedComparison:
    """Compare scores (S, n, C) of S seeds with and without a change.

    Args:
        on: with it.
        off: without it.
        data: of the n videos.
        draws: of the bootstrap.
    """
    difference = compare(on, off, data, draws=draws)
    with_it, without = fold_maps(on, data), fold_maps(off, data)
    return PairedComparison(
        on=with_it[..., 0],
        off=without[..., 0],
        on_defects=with_it[..., 1],
        off_defects=without[..., 1],
        low=difference.low,
        high=difference.high,
        p=corrected_p(with_it[..., 1] - without[..., 1], data.all_folds),
    )


def fold_maps(scores: NDArray[np.float64], data: ComparisonData) -> NDArray[np.float64]:
    """Of every seed and fold the mAP over all classes and over the defects, (S, K, 2); no positives: left out.

    Args:
        scores: (S, n, C).
        data: of the n videos.
    """
    rows = [held for _, held in leave_one_fold_out(data.folds)]
    found = [[score(each[row], data.targets[row], data.taxonomy, "skip") for row in rows] for each in scores]
    return np.array([[(fold.map_all, fold.map_defects) for fold in row] for row in found])


def corrected_p(differences: NDArray[np.float64], all_folds: int) -> float:
    """Two-sided p of the corrected resampled t-test (Nadeau and Bengio, Machine Learning 52, 2003).

    Folds share most of what they are trained on, so their differences are no independent draws: the variance of the
    mean is taken as (1/n + test/train) s^2 instead of s^2/n, with n-1 degrees of freedom.

    Seeds share the folds, so they are averaged first: more of them take noise away and add no folds.

    Args:
        differences: (S, K), a row a seed and a column a fold; NaN where a fold has no figure.
        all_folds: K; a fold is tested on 1/K of the videos and trained on the others.
    """
    values = np.array([mean_of_known(column) for column in differences.T])
    values = values[np.isfinite(values)]
    if len(values) < 2 or all_folds < 2:
        return float("nan")
    spread = values.std(ddof=1) * np.sqrt(1 / len(values) + 1 / (all_folds - 1))
    if spread == 0:
        return 1.0 if values.mean() == 0 else 0.0
    return float(2 * student.sf(abs(values.mean()) / spread, len(values) - 1))
