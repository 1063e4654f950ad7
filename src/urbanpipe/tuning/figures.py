"""Figures of the steps of `fit` and of their combinations."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from urbanpipe.ensembling.weights import search_nested
from urbanpipe.evaluation.evaluation_set import EvaluationSet
from urbanpipe.evaluation.runs import read_out_of_fold, same_data, without_left_out
from urbanpipe.evaluation.tables import fold_table
from urbanpipe.tuning.ladder import Step


@dataclass(frozen=True)
class Figures:
    """mAP of out-of-fold predictions, as shares.

    Attributes:
        mean: mean over the folds, NaN where the folds do not allow one.
        pooled: of all videos together.
        low: low end of the 95 % interval of `pooled`.
        high: high end of it.
    """

    mean: float
    pooled: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return the figures in per cent, such as `63.4 (pooled 60.1, 95 % interval 55.0 to 65.2)`."""
        mean = "-" if np.isnan(self.mean) else f"{100 * self.mean:.1f}"
        ends = f"{100 * self.low:.1f} to {100 * self.high:.1f}"
        return f"{mean} (pooled {100 * self.pooled:.1f}, 95 % interval {ends})"


@dataclass(frozen=True)
class Outcome:
    """What became of a step.

    Attributes:
        step: the step.
        run: its run folder; None if it was left out.
        reason: why it is not done; empty if it is.
        seconds: wall time in this call; small for a step that an earlier call has done.
        figures: its scores; None if it is not done.
    """

    step: Step
    run: Path | None
    reason: str
    seconds: float
    figures: Figures | None = None

    @property
    def is_done(self) -> bool:
        """Whether every fold of the step is trained."""
        return self.figures is not None


@dataclass(frozen=True)
class Point:
    """The combination of the runs that were done at some time.

    Attributes:
        spent_seconds: time spent until then, over all calls.
        figures: nested scores: the weights for a fold were found on the other folds.
        weights: weight of each run by name, found on all folds.
    """

    spent_seconds: float
    figures: Figures
    weights: dict[str, float]


def figures_of(run: Path) -> Figures:
    """Return the scores of a finished run."""
    data = read_out_of_fold(run)
    return _figures(data.scores, data)


def combination(runs: Sequence[Path], spent_seconds: float) -> Point:
    """Return the scores of the combination of finished runs.

    Args:
        runs: run folders, at least one.
        spent_seconds: time spent so far.
    """
    read, _ = without_left_out([read_out_of_fold(run) for run in runs])
    members = [read[0], *(same_data(read[0], other) for other in read[1:])]
    names = [run.name for run in runs]
    if len(members) == 1:
        return Point(spent_seconds, _figures(members[0].scores, members[0]), {names[0]: 1.0})
    searched = search_nested(np.stack([member.scores for member in members]), members[0])
    assert searched.nested is not None, "an experiment has at least two folds"
    weights = dict(zip(names, searched.weights.tolist(), strict=True))
    return Point(spent_seconds, _figures(searched.nested, members[0]), weights)


def _figures(scores: NDArray[np.float64], data: EvaluationSet) -> Figures:
    table = fold_table(scores, data)
    of_all = table.rows[0]
    return Figures(of_all.mean, of_all.pooled, of_all.low, of_all.high)
