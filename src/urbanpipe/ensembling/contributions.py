"""The contribution of each member to an ensemble, class by class."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from urbanpipe.ensembling.weights import weighted_mean
from urbanpipe.evaluation.average_precision import fold_aps, means_of_known
from urbanpipe.evaluation.runs import OutOfFold
from urbanpipe.outputs import write_csv


@dataclass(frozen=True, eq=False)
class Contributions:
    """Difference between the ensemble and the ensemble without a member; fractions, NaN where undefined.

    Attributes:
        codes: codes of the C classes.
        weights: (M,) weights of the members.
        ap: (M, C) difference in the mean over folds of each class's AP.
        map_all: (M,) mean of `ap` over the classes.
    """

    codes: tuple[str, ...]
    weights: NDArray[np.float64]
    ap: NDArray[np.float64]
    map_all: NDArray[np.float64]

    def to_csv(self, path: Path, names: Sequence[str]) -> None:
        """Write one row per member."""
        rows = zip(names, self.weights, self.map_all, self.ap, strict=True)
        cells = [[name, f"{weight:.6f}", *map(_cell, (mean, *each))] for name, weight, mean, each in rows]
        write_csv(path, ["model", "weight", "map", *self.codes], cells)


def contributions(stack: NDArray[np.float64], weights: NDArray[np.float64], data: OutOfFold) -> Contributions:
    """Leave each member out in turn, with the other weights rescaled to the same sum.

    Args:
        stack: (M, n, C) out-of-fold scores.
        weights: (M,) with sum 1. A member with weight 0 contributes 0; one with weight 1 has NaN, as no other is left.
        data: labels and folds.
    """

    def class_aps(shares: NDArray[np.float64]) -> NDArray[np.float64]:
        return means_of_known(fold_aps(weighted_mean(stack, shares), data.targets, data.folds), axis=0)

    whole = class_aps(weights)
    rows = []
    for member, weight in enumerate(weights):
        others = np.where(np.arange(len(weights)) == member, 0.0, weights)
        if weight == 0 or others.sum() == 0:
            rows.append(np.full(whole.shape, 0.0 if weight == 0 else np.nan))
            continue
        rows.append(whole - class_aps(others / others.sum()))
    ap = np.stack(rows)
    return Contributions(data.taxonomy.codes, weights, ap, means_of_known(ap, axis=1))


def _cell(value: float) -> str:
    return "" if np.isnan(value) else f"{value:+.6f}"
