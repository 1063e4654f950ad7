"""The paper's Table 6: mAP and AP per class in every fold, mean and standard deviation, and pooled out-of-fold AP."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from urbanpipe.catalog.fold_checks import fold_faults
from urbanpipe.evaluation.average_precision import Empty, Scores, number_or_none, score
from urbanpipe.evaluation.evaluation_set import EvaluationSet, leave_one_fold_out
from urbanpipe.evaluation.intervals import Intervals, bootstrap
from urbanpipe.outputs import markdown_text, write_csv
from urbanpipe.taxonomy import Taxonomy

NONE = "-"
MAP_ALL = "mAP"
MAP_DEFECTS = "mAP defects"
_UNDEFINED = (float("nan"), float("nan"))


@dataclass(frozen=True)
class FoldTableRow:
    """One row of the table; values are fractions in [0, 1], NaN where undefined.

    Attributes:
        label: class code, or which mean.
        name: English name, or what the mean is over.
        positives: number of videos that show the class; None for a mean.
        by_fold: one value per fold.
        mean: mean over the folds that have a value.
        sd: sample standard deviation (n - 1) over those folds.
        pooled: value over all videos together, each scored by its own fold's model.
        low: low end of the interval of the pooled value.
        high: high end of that interval.
    """

    label: str
    name: str
    positives: int | None
    by_fold: tuple[float, ...]
    mean: float
    sd: float
    pooled: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class FoldTable:
    """Out-of-fold scores of one run.

    Attributes:
        taxonomy: the C classes.
        folds: fold numbers, ascending.
        scores: one `Scores` per fold.
        counts: (folds, C) int, positives of every fold.
        pooled: `Scores` of all videos together.
        intervals: intervals of the pooled scores, or None.
        faults: why a mean over the folds has no meaning; if there are any, the table has no mAP.
    """

    taxonomy: Taxonomy
    folds: tuple[int, ...]
    scores: tuple[Scores, ...]
    pooled: Scores
    intervals: Intervals | None
    faults: tuple[str, ...] = ()

    @property
    def counts(self) -> NDArray[np.int64]:
        """Positives of every fold and class, (folds, C)."""
        return np.stack([fold.positives for fold in self.scores])

    @property
    def map_all(self) -> float:
        """Mean over folds of the mAP over all classes: the paper's validation score; NaN if folds have faults."""
        return self.rows[0].mean

    @property
    def map_defects(self) -> float:
        """Mean over folds of the mAP over the defects."""
        return self.rows[1].mean

    @property
    def rows(self) -> list[FoldTableRow]:
        """The two means, then the classes in the order of the taxonomy."""
        ends, pooled, count = self.intervals, self.pooled, len(self.taxonomy)
        names = (f"all {count} classes", f"the {len(self.taxonomy.defects)} defects")
        return [
            self._mean_row(
                MAP_ALL,
                names[0],
                [fold.map_all for fold in self.scores],
                pooled.map_all,
                ends.map_all if ends else _UNDEFINED,
            ),
            self._mean_row(
                MAP_DEFECTS,
                names[1],
                [fold.map_defects for fold in self.scores],
                pooled.map_defects,
                ends.map_defects if ends else _UNDEFINED,
            ),
            *(
                _row(
                    item.code,
                    item.en,
                    int(pooled.positives[item.index]),
                    values=self._of_class(item.index),
                    pooled=self._pooled_of_class(item.index),
                    ends=tuple(ends.ap[item.index]) if ends else _UNDEFINED,
                )
                for item in self.taxonomy.classes
            ),
        ]

    def _mean_row(
        self, label: str, name: str, values: list[float], pooled: float, ends: tuple[float, float]
    ) -> FoldTableRow:
        if self.faults:
            values, pooled, ends = [float("nan")] * len(values), float("nan"), _UNDEFINED
        return _row(label, name, None, values=values, pooled=pooled, ends=ends)

    def _of_class(self, index: int) -> list[float]:
        return [fold.ap[index] if 0 < fold.positives[index] < fold.videos else float("nan") for fold in self.scores]

    def _pooled_of_class(self, index: int) -> float:
        known = 0 < self.pooled.positives[index] < self.pooled.videos
        return self.pooled.ap[index] if known else float("nan")

    @property
    def notes(self) -> list[str]:
        """Notes on the scores, one sentence each."""
        return [*map(no_mean, self.faults), *self._empty_notes(), *self._full_notes(), *self._interval_notes()]

    def _empty_notes(self) -> list[str]:
        counted = "counts as 0 in its mAP" if self.pooled.empty == "zero" else "is left out of its mAP"
        return [
            f"No positives in {where}: {', '.join(codes)}. No AP there, and such a class {counted}."
            for where, codes in self._codes_by_folds(self.counts == 0, "any fold").items()
        ]

    def _full_notes(self) -> list[str]:
        counted = "counts as 100 in its mAP" if self.pooled.empty == "zero" else "is left out of its mAP"
        sizes = np.array([fold.videos for fold in self.scores])
        return [
            f"Every video of {where} shows: {', '.join(codes)}. No AP there, and such a class {counted}."
            for where, codes in self._codes_by_folds(self.counts == sizes[:, None], "every fold").items()
        ]

    def _codes_by_folds(self, marked: NDArray[np.bool_], whole: str) -> dict[str, list[str]]:
        """Return the codes of the classes that are marked, (folds, C), by their folds; `whole` stands for all."""
        codes_of: dict[str, list[str]] = {}
        for code, column in zip(self.taxonomy.codes, marked.T, strict=True):
            if numbers := [str(fold) for fold, bare in zip(self.folds, column, strict=True) if bare]:
                codes_of.setdefault(
                    whole if len(numbers) == len(self.folds) else f"fold {', '.join(numbers)}", []
                ).append(code)
        return codes_of

    def _interval_notes(self) -> list[str]:
        if self.intervals is None:
            return []
        ends = self.intervals
        notes = [
            f"Pooled: all {self.pooled.videos} videos ranked together, each by the model of its fold; interval: "
            f"{ends.level:.0%} bootstrap, {ends.draws} draws of {ends.units} groups."
        ]
        rare = [f"{c} {n}" for c, n in zip(ends.codes, ends.absent, strict=True) if 0 < n < ends.draws]
        if rare:
            notes.append(f"Draws without a positive, left out of the class's interval: {', '.join(rare)}.")
        return notes

    def to_csv(self, path: Path) -> None:
        """Write the rows with values as fractions in [0, 1]; undefined ones are empty cells."""
        level = self.intervals.level if self.intervals else 0.95
        header = ["class", "name", "positives", *(f"fold_{fold}" for fold in self.folds), "mean", "sd", "pooled"]
        write_csv(
            path, [*header, f"low_{level * 100:g}", f"high_{level * 100:g}"], (_csv_row(row) for row in self.rows)
        )

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; scores are fractions in [0, 1], and undefined ones None."""
        means, classes = self.rows[:2], self.rows[2:]
        return {
            "videos": self.pooled.videos,
            "folds": list(self.folds),
            **{key: self._json_row(row) for key, row in zip(("map_all", "map_defects"), means, strict=True)},
            "classes": {row.label: self._json_row(row) | {"positives": row.positives} for row in classes},
            "interval": {"level": ends.level, "draws": ends.draws, "groups": ends.units}
            if (ends := self.intervals)
            else None,
            "notes": self.notes,
        }

    def _json_row(self, row: FoldTableRow) -> dict[str, Any]:
        figures = {"mean": row.mean, "sd": row.sd, "pooled": row.pooled, "low": row.low, "high": row.high}
        by_fold = {str(fold): number_or_none(value) for fold, value in zip(self.folds, row.by_fold, strict=True)}
        return {"by_fold": by_fold, **{key: number_or_none(value) for key, value in figures.items()}}

    def to_markdown(self) -> str:
        """Return the table in per cent, followed by the notes."""
        header = ["class", "name", "positives", *(f"fold {fold}" for fold in self.folds), "mean (sd)", "pooled"]
        if self.intervals:
            header.append(f"{self.intervals.level:.0%} interval")
        lines = [_markdown_row(row, with_interval=self.intervals is not None) for row in self.rows]
        notes = "".join(f"\n- {note}" for note in self.notes)
        return markdown_table(header, lines, left=2) + (notes + "\n" if notes else "")


def fold_table(
    scores: NDArray[np.float64],
    data: EvaluationSet,
    *,
    empty: Empty = "skip",
    draws: int = 1000,
    seed: int = 0,
) -> FoldTable:
    """Evaluate out-of-fold predictions per fold and pooled.

    Args:
        scores: (n, C) float, each row from a model that was not trained on that video.
        data: the n videos; their groups are resampled by the bootstrap.
        empty: how a class without positives counts in a fold's mAP. A fold without a rare class says nothing about
            it, so by default it is left out ("skip"); "zero" is the public scorer's rule.
        draws: number of bootstrap resamples; 0 for no intervals.
        seed: seed of the bootstrap.
    """
    targets, taxonomy = data.targets, data.taxonomy
    folds = [*leave_one_fold_out(data.folds)]
    return FoldTable(
        taxonomy=taxonomy,
        folds=tuple(fold for fold, _ in folds),
        scores=tuple(score(scores[held], targets[held], taxonomy, empty) for _, held in folds),
        pooled=score(scores, targets, taxonomy, empty),
        intervals=bootstrap(scores, targets, data.groups, taxonomy=taxonomy, draws=draws, seed=seed, empty=empty)
        if draws
        else None,
        faults=tuple(fold_faults(targets, data.folds)),
    )


def no_mean(fault: str) -> str:
    """Return the note of a table that gives no mAP because of a fault of its folds."""
    return f"No mAP: {fault}."


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Return a Markdown table with padded columns, so that it is also readable on a terminal.

    Line ends, control characters, HTML and links in cells are escaped.

    Args:
        header: column names.
        rows: cells as text.
        left: number of leading columns that are left-aligned; the others are right-aligned.
    """
    cells = [[markdown_text(cell) for cell in row] for row in (header, *rows)]
    widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(header))]
    sides = [str.ljust if column < left else str.rjust for column in range(len(header))]
    rule = ["-" * width if column < left else "-" * (width - 1) + ":" for column, width in enumerate(widths)]
    lines = [[side(cell, width) for side, cell, width in zip(sides, row, widths, strict=True)] for row in cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in (lines[0], rule, *lines[1:])) + "\n"


def absent(targets: NDArray[np.bool_], folds: NDArray[np.int64], taxonomy: Taxonomy) -> list[str]:
    """Return a note for each fold that lacks videos of a class: such classes are left out of its mAP.

    Classes that no fold has are not reported.

    Args:
        targets: (n, C) bool.
        folds: (n,) int.
        taxonomy: the C classes.
    """
    there = targets.any(axis=0)
    notes = []
    for fold, held in leave_one_fold_out(folds):
        lacking = np.flatnonzero(there & ~targets[held].any(axis=0))
        if lacking.size:
            codes = ", ".join(taxonomy.codes[index] for index in lacking)
            notes.append(f"Fold {fold}: no video of {codes}, left out of its mAP.")
    return notes


def per_cent(value: float, digits: int = 1) -> str:
    """Format a fraction in per cent, such as `72.7`; `-` for NaN."""
    return NONE if np.isnan(value) else f"{100 * value:.{digits}f}"


def _row(
    label: str, name: str, positives: int | None, *, values: Sequence[float], pooled: float, ends: tuple[float, ...]
) -> FoldTableRow:
    known = np.array([value for value in values if not np.isnan(value)])
    return FoldTableRow(
        label=label,
        name=name,
        positives=positives,
        by_fold=tuple(float(value) for value in values),
        mean=float(known.mean()) if known.size else float("nan"),
        sd=float(known.std(ddof=1)) if known.size > 1 else float("nan"),
        pooled=float(pooled),
        low=float(ends[0]),
        high=float(ends[1]),
    )


def _csv_row(row: FoldTableRow) -> list[object]:
    figures = (*row.by_fold, row.mean, row.sd, row.pooled, row.low, row.high)
    cells = ["" if np.isnan(value) else f"{value:.6f}" for value in figures]
    return [row.label, row.name, "" if row.positives is None else row.positives, *cells]


def _markdown_row(row: FoldTableRow, with_interval: bool) -> list[str]:
    cells = [row.label, row.name, "" if row.positives is None else str(row.positives), *map(per_cent, row.by_fold)]
    cells += [f"{per_cent(row.mean)} ({per_cent(row.sd)})", per_cent(row.pooled)]
    interval = NONE if np.isnan(row.low) else f"{per_cent(row.low)}-{per_cent(row.high)}"
    return [*cells, interval] if with_interval else cells
