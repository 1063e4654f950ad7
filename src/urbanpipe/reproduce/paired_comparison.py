"""Paired comparisons: the difference in mAP with its spread over folds, seeds and videos."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from urbanpipe.evaluation.average_precision import mean_of_known, score
from urbanpipe.evaluation.evaluation_set import EvaluationSet, leave_one_fold_out
from urbanpipe.evaluation.intervals import compare

SIGNIFICANT = 0.05
TrainingScores = NDArray[np.float64]  # (S, n, C), scores of S trainings


@dataclass(frozen=True, eq=False)
class ComparisonData(EvaluationSet):
    """The videos on which models are compared.

    Attributes:
        all_folds: number of folds, evaluated or not.
    """

    all_folds: int


@dataclass(frozen=True, eq=False)
class PairedComparison:
    """Scores with and without a change, on the same videos, folds and seeds; fractions in [0, 1].

    Attributes:
        on: mAP over all classes with the change, (S, K) by seed and fold.
        off: mAP over all classes without the change, (S, K).
        on_defects: mAP over the defects with the change, (S, K).
        off_defects: mAP over the defects without the change, (S, K).
        low: lower end of the 95 % confidence interval of the gain over the defects for other videos (paired bootstrap
            over groups); NaN if it could not be computed.
        high: upper end of this interval.
        p: p-value of the corrected resampled t-test over folds; NaN with fewer than two folds.
        one_test: whether all trainings were evaluated on the same videos; then there are no folds to test over, and
            only the interval decides.
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
        """Gains over the defects, (S, K)."""
        return self.on_defects - self.off_defects

    @property
    def reading(self) -> str:
        """`gain` or `loss` if significant over both videos and trainings, else `inconclusive`."""
        significant = (self.one_test or self.p < SIGNIFICANT) and (self.low > 0 or self.high < 0)
        if not significant or (self.low > 0) != (mean_of_known(self.gains.ravel()) > 0):
            return "inconclusive"
        return "gain" if self.low > 0 else "loss"


def compare_paired(
    on: NDArray[np.float64], off: NDArray[np.float64], data: ComparisonData, draws: int = 1000
) -> PairedComparison:
    """Compare scores (S, n, C) of S seeds with and without a change.

    Args:
        on: scores with the change.
        off: scores without the change.
        data: labels, folds and groups of the n videos.
        draws: number of bootstrap samples.
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
    """Return the mAP over all classes and over the defects of every seed and fold, (S, K, 2).

    Classes without positives in a fold are left out.

    Args:
        scores: (S, n, C).
        data: labels and folds of the n videos.
    """
    rows = [held for _, held in leave_one_fold_out(data.folds)]
    results = [[score(of_seed[row], data.targets[row], data.taxonomy, "skip") for row in rows] for of_seed in scores]
    return np.array([[(fold.map_all, fold.map_defects) for fold in row] for row in results])


def corrected_p(differences: NDArray[np.float64], all_folds: int) -> float:
    """Return the two-sided p-value of the corrected resampled t-test (Nadeau and Bengio, Machine Learning 52, 2003).

    Folds share most of their training videos, so their differences are not independent. The variance of the mean is
    therefore estimated as (1/n + test/train) s^2 instead of s^2/n, with n-1 degrees of freedom.

    Seeds share the folds and are averaged first: more seeds reduce noise but do not add folds.

    Args:
        differences: (S, K), one row per seed and one column per fold; NaN where a fold has no value.
        all_folds: number of folds; a network is tested on one fold and trained on the others.
    """
    values = np.array([mean_of_known(column) for column in differences.T])
    values = values[np.isfinite(values)]
    if len(values) < 2 or all_folds < 2:
        return float("nan")
    spread = values.std(ddof=1) * np.sqrt(1 / len(values) + 1 / (all_folds - 1))
    if spread == 0:
        return 1.0 if values.mean() == 0 else 0.0
    return float(2 * student.sf(abs(values.mean()) / spread, len(values) - 1))
