"""Calibration and triage of a bundle, and how good they are on folds that they were not fitted to."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from urbanpipe.decision.calibration import Calibration, cross_calibrated, fit_calibration
from urbanpipe.decision.reliability_plot import CalibrationError, expected_calibration_error
from urbanpipe.decision.triage import NestedTriage, Triage, choose_triage, nested_triage
from urbanpipe.ensembling.bundle_options import TriageTargets
from urbanpipe.evaluation.average_precision import Scores
from urbanpipe.evaluation.runs import OutOfFold
from urbanpipe.evaluation.tables import FoldTable, fold_table


@dataclass(frozen=True, eq=False)
class BundleEvaluation:
    """Calibration and triage fitted on the out-of-fold predictions, and their evaluation.

    Attributes:
        predicted: (n, C) out-of-fold scores that are evaluated: those of no weights that were searched on their fold.
        table: average precision of `predicted` in each fold, and over all videos with confidence intervals from a
            bootstrap over groups of videos. Classes that no video or every video shows are left out of the means.
        honest: (n, C) probabilities, calibrated by maps fitted on the other folds.
        before: expected calibration error of `predicted`.
        after: expected calibration error of `honest`.
        calibration: calibration of the bundle, fitted on all folds.
        triage: triage of the bundle, its thresholds chosen on all folds.
        nested: results of triage thresholds chosen on the other folds.
    """

    predicted: NDArray[np.float64]
    table: FoldTable
    honest: NDArray[np.float64]
    before: CalibrationError
    after: CalibrationError
    calibration: Calibration
    triage: Triage
    nested: NestedTriage

    @property
    def scores(self) -> Scores:
        """Average precision of `predicted` over all videos."""
        return self.table.pooled


def evaluate_bundle(
    seen: OutOfFold, targets: TriageTargets, nested: NDArray[np.float64] | None = None
) -> BundleEvaluation:
    """Fit calibration and triage on all folds, and evaluate on each fold those fitted on the other folds.

    Args:
        seen: labels, folds and out-of-fold scores of the model.
        targets: what triage must hold.
        nested: (n, C) scores to evaluate, if weights were searched on those of `seen`: each fold's, with weights that
            were searched on the other folds.
    """
    bound, precision = targets.miss_bound, targets.precision
    predicted = seen.scores if nested is None else nested
    with threadpool_limits(1, user_api="blas"):  # for many small fits; several threads would wait for each other
        calibration = fit_calibration(seen.scores, seen.targets, "auto", seen.folds)
        honest = cross_calibrated(predicted, seen.targets, seen.folds)
    return BundleEvaluation(
        predicted=predicted,
        table=fold_table(predicted, seen),
        honest=honest,
        before=expected_calibration_error(predicted, seen.targets),
        after=expected_calibration_error(honest, seen.targets),
        calibration=calibration,
        triage=choose_triage(calibration.apply(seen.scores), seen.targets, bound, precision),
        nested=nested_triage(predicted, seen.targets, seen.folds, miss_bound=bound, precision=precision),
    )
