"""Figures of the steps of `fit` and of their combinations."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from urbanpipe.evaluation.runs import read_out_of_fold
from urbanpipe.evaluation.tables import FoldTable, FoldTableRow, fold_table, per_cent
from urbanpipe.tuning.steps import Step


@dataclass(frozen=True)
class Figures:
    """mAP of out-of-fold predictions, or the AP of a class, as shares.

    Attributes:
        mean: mean over the folds, NaN where the folds do not allow one.
        pooled: of all videos together.
        low: low end of the 95 % interval of `pooled`.
        high: high end of it.
        sd: standard deviation over the folds, NaN if it is unknown.
    """

    mean: float
    pooled: float
    low: float
    high: float
    sd: float = math.nan

    @classmethod
    def of(cls, row: FoldTableRow) -> Self:
        """Return the figures of a row of a table."""
        return cls(row.mean, row.pooled, row.low, row.high, row.sd)

    @property
    def spread(self) -> str:
        """Mean and standard deviation in per cent, such as `63.4 (3.6)`."""
        return f"{per_cent(self.mean)} ({per_cent(self.sd)})"

    @property
    def interval(self) -> str:
        """The interval in per cent, such as `55.0 to 65.2`."""
        return f"{per_cent(self.low)} to {per_cent(self.high)}"

    def __str__(self) -> str:
        """Return the figures in per cent, such as `63.4 (pooled 60.1, 95 % interval 55.0 to 65.2)`."""
        return f"{per_cent(self.mean)} (pooled {per_cent(self.pooled)}, 95 % interval {self.interval})"


@dataclass(frozen=True)
class Outcome:
    """What became of a step.

    Attributes:
        step: the step.
        run: its run folder; None if it was left out, has failed, or lacks a fold that was asked for.
        reason: why not all its folds are trained; empty if they are.
        seconds: wall time of the step, over all calls.
        figures: its scores; None if not all folds are trained.
        tried: mAP by fold where settings were only tried on some folds, else None.
        has_failed: whether its training raised an error, which `reason` gives.
    """

    step: Step
    run: Path | None
    reason: str
    seconds: float
    figures: Figures | None = None
    tried: dict[int, float] | None = None
    has_failed: bool = False

    @property
    def is_done(self) -> bool:
        """Whether every fold of the step is trained."""
        return self.figures is not None

    @property
    def stage(self) -> str:
        """The stage: `baseline`, or for fine-tuning `compared` on some folds or `trained` on all; empty if neither."""
        if self.step.recipe.input.frozen_backbone:
            return "baseline"
        return "trained" if self.is_done else "compared" if self.tried is not None else ""

    def to_json(self) -> dict[str, Any]:
        """Return values for JSON, with mAP as shares."""
        return {
            "run": self.step.recipe.name,
            "stage": self.stage,
            "seconds": self.seconds,
            "reason": self.reason,
            "map_all": None if self.figures is None else asdict(self.figures),
            "compared": self.tried,
        }


@dataclass(frozen=True)
class ClassFigures:
    """AP of a class.

    Attributes:
        code: code of the class.
        name: its English name.
        positives: number of videos that show it.
        figures: its AP.
    """

    code: str
    name: str
    positives: int
    figures: Figures


@dataclass(frozen=True)
class Point:
    """The combination of the runs that were done at some time.

    Attributes:
        spent_seconds: time spent until then, over all calls.
        figures: scores of the only run; or nested ones, with weights for a fold that were found on the other folds.
        weights: weight of each run by name, found on all folds.
        after: name of the last of these runs.
        has_bundle: whether a bundle of it was made.
        defects: as `figures`, over all classes but the exclusive one; None in files of earlier versions.
        classes: as `figures`, of each class that a video shows.
    """

    spent_seconds: float
    figures: Figures
    weights: dict[str, float]
    after: str
    has_bundle: bool = True
    defects: Figures | None = None
    classes: tuple[ClassFigures, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return values for JSON, with mAP and AP as shares."""
        return {
            "map_all": asdict(self.figures),
            "map_defects": None if self.defects is None else asdict(self.defects),
            "classes": {
                of_class.code: {"name": of_class.name, "positives": of_class.positives, **asdict(of_class.figures)}
                for of_class in self.classes
            },
            "weights": self.weights,
            "spent_seconds": self.spent_seconds,
        }


def class_figures(table: FoldTable) -> tuple[ClassFigures, ...]:
    """Return the figures of each class that a video shows, in the order of the taxonomy."""
    _, _, *rows = table.rows
    return tuple(ClassFigures(row.label, row.name, row.positives, Figures.of(row)) for row in rows if row.positives)


def table_of(run: Path, scores: NDArray[np.float64] | None = None) -> FoldTable:
    """Return the scores of a finished run or ensemble.

    Args:
        run: its folder.
        scores: out-of-fold scores (n, C) to use instead of the folder's own, in the order of its videos.
    """
    data = read_out_of_fold(run)
    return fold_table(data.scores if scores is None else scores, data)


def figures_of(run: Path, scores: NDArray[np.float64] | None = None) -> Figures:
    """Return the mAP over all classes of a finished run or ensemble; see `table_of`."""
    return Figures.of(table_of(run, scores).rows[0])
