"""The paper's Table 3: single models and their ensembles, evaluated out of fold."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from urbanpipe.catalog.fold_checks import fold_faults
from urbanpipe.decision.exclusive import apply_exclusive
from urbanpipe.ensembling.weights import SEARCHES, Searched, equal_weights, weighted_mean
from urbanpipe.evaluation.average_precision import mean_of_known, score
from urbanpipe.evaluation.evaluation_set import leave_one_fold_out
from urbanpipe.evaluation.runs import OutOfFold
from urbanpipe.evaluation.tables import NONE, absent, markdown_table, no_mean, per_cent
from urbanpipe.outputs import write_csv

_WEIGHTS = {"bagged": "Weights of bagged searches", "simplex": "Weights searched over the simplex"}


@dataclass(frozen=True)
class EnsembleRow:
    """One model or ensemble; scores are fractions in [0, 1], NaN where undefined.

    Attributes:
        name: name of the model, or how the ensemble's weights were chosen.
        weight: weight of a single model in the ensemble that is used; None for ensembles.
        rule: whether the rule for the exclusive class was applied.
        used: whether the ensemble's folder predicts with this one.
        map_all: mean over folds of mAP over all classes.
        map_sd: sample standard deviation of that over folds.
        map_defects: mean over folds of mAP over the defects.
        pooled_all: mAP over all classes with all videos ranked together.
        pooled_defects: the same over the defects.
        report: mAP in the UrbanPipe report in validation and on the test set, per cent; None where it gives none.
    """

    name: str
    weight: float | None
    rule: bool
    used: bool
    map_all: float
    map_sd: float
    map_defects: float
    pooled_all: float
    pooled_defects: float
    report: tuple[float | None, float | None] = (None, None)


@dataclass(frozen=True)
class EnsembleTable:
    """Single models, then ensembles, and notes on their scores.

    Attributes:
        rows: the models and ensembles.
        notes: notes on the scores.
        of_folder: notes on what the ensemble's folder predicts with.
    """

    rows: tuple[EnsembleRow, ...]
    notes: tuple[str, ...]
    of_folder: tuple[str, ...] = ()

    @property
    def beside_report(self) -> bool:
        """Whether any row has scores of the report, for which columns are added."""
        return any(row.report != (None, None) for row in self.rows)

    def to_csv(self, path: Path) -> None:
        """Write the rows with scores as fractions in [0, 1]; undefined ones are empty cells."""
        header = ["model", "weight", "exclusive_rule", "used", "map", "map_sd", "map_defects"]
        header += ["pooled_map", "pooled_map_defects"]
        rows = [_csv_row(row) for row in self.rows]
        if self.beside_report:
            header += ["report_validation", "report_test"]
            rows = [[*line, *_report(row, "", 100, 4)] for line, row in zip(rows, self.rows, strict=True)]
        write_csv(path, header, rows)

    def to_markdown(self) -> str:
        """Return the table in per cent, followed by the notes."""
        header = ["model", "rule", "weight", "mAP (sd)", "mAP defects", "pooled mAP", "pooled defects", "used"]
        lines = [_markdown_row(row) for row in self.rows]
        if self.beside_report:
            header += ["report, validation", "report, test"]
            lines = [[*line, *_report(row, NONE, 1, 2)] for line, row in zip(lines, self.rows, strict=True)]
        return (
            markdown_table(header, lines, left=2)
            + "".join(f"\n- {note}" for note in (*self.notes, *self.of_folder))
            + "\n"
        )


def evaluated_row(
    name: str,
    scores: NDArray[np.float64],
    data: OutOfFold,
    *,
    threshold: float | None = None,
    weight: float | None = None,
    used: bool = False,
) -> EnsembleRow:
    """Evaluate one model or ensemble; a class without positives in a fold is left out of that fold's mAP.

    Args:
        name: name of the row.
        scores: (n, C) out-of-fold scores.
        data: labels and folds.
        threshold: threshold of the rule for the exclusive class; None disables the rule.
        weight: weight of a single model.
        used: whether the ensemble's folder predicts with this one.
    """
    final = apply_exclusive(scores, data.taxonomy, threshold)
    rows = [held for _, held in leave_one_fold_out(data.folds)]
    by_fold = [score(final[row], data.targets[row], data.taxonomy, "skip") for row in rows]
    pooled = score(final, data.targets, data.taxonomy, "skip")
    maps = np.array([fold.map_all for fold in by_fold])
    return EnsembleRow(
        name=name,
        weight=weight,
        rule=threshold is not None,
        used=used,
        map_all=mean_of_known(maps),
        map_sd=float(maps.std(ddof=1)) if len(maps) > 1 else float("nan"),
        map_defects=mean_of_known(np.array([fold.map_defects for fold in by_fold])),
        pooled_all=pooled.map_all,
        pooled_defects=pooled.map_defects,
    )


def ensemble_table(
    stack: NDArray[np.float64],
    names: Sequence[str],
    data: OutOfFold,
    *,
    chosen: NDArray[np.float64],
    kind: str,
    searched: Searched | None,
    threshold: float | None,
) -> EnsembleTable:
    """Evaluate single models and ensembles, each ensemble with and without the rule for the exclusive class.

    Args:
        stack: (M, n, C) out-of-fold scores.
        names: names of the M members.
        data: labels and folds.
        chosen: (M,) weights that are used.
        kind: how they were chosen: "equal", "search", "bagged", "simplex" or "given".
        searched: result of the search of that name, or of the greedy one if `kind` is no search; None for a single
            member.
        threshold: threshold of the rule; None disables it.
    """
    rows = [
        evaluated_row(name, row, data, threshold=None, weight=float(w))
        for name, row, w in zip(names, stack, chosen, strict=True)
    ]
    mixes: list[tuple[str, NDArray[np.float64], str]] = []
    if searched is None:
        mixes.append(("ensemble of one", stack[0], kind))
    else:
        mixes.append(("equal weights", weighted_mean(stack, equal_weights(len(names))), "equal"))
        if kind == "given":
            mixes.append(("given weights", weighted_mean(stack, chosen), "given"))
        way = _way(kind)
        mixes.append((f"{way}, flattered", weighted_mean(stack, searched.weights), kind if kind in SEARCHES else ""))
        if searched.nested is not None:
            mixes.append((f"{way}, nested", searched.nested, ""))
    rules = (None,) if threshold is None else (None, threshold)
    rows += [
        evaluated_row(name, scores, data, threshold=rule, used=made_by == kind and rule == threshold)
        for name, scores, made_by in mixes
        for rule in rules
    ]
    flattered = (
        "The out-of-fold predictions and fold tables of this folder use weights searched on the same videos: "
        "their scores are optimistic."
    )
    of_folder = (flattered,) if kind in SEARCHES and searched and searched.nested is not None else ()
    faults = fold_faults(data.targets, data.folds)
    notes = [*map(no_mean, faults), *([] if faults else _notes(rows, names, searched, threshold, kind))]
    notes += absent(data.targets, data.folds, data.taxonomy)
    rows = [_without_means(row) for row in rows] if faults else rows
    return EnsembleTable(tuple(rows), tuple(notes), of_folder)


def _without_means(row: EnsembleRow) -> EnsembleRow:
    nan = float("nan")
    return replace(row, map_all=nan, map_sd=nan, map_defects=nan, pooled_all=nan, pooled_defects=nan)


def _notes(
    rows: Sequence[EnsembleRow], names: Sequence[str], searched: Searched | None, threshold: float | None, kind: str
) -> list[str]:
    rule = "off" if threshold is None else f"where the exclusive class is above {threshold:g}, the others are set to 0"
    notes = ["mAP: mean over folds, out of fold. Pooled: all videos ranked together.", f"Rule: {rule}."]
    if searched is None:
        return notes
    by_name = {row.name: row for row in rows if not row.rule}
    equal = by_name["equal weights"].map_all
    flattered = 100 * (by_name[f"{_way(kind)}, flattered"].map_all - equal)
    weights = _WEIGHTS.get(kind, "Searched weights")
    gain = f"{weights} against equal ones: {flattered:+.2f} points on the videos that they were searched on (flattered)"
    if searched.by_fold is None or searched.nested is None:
        return [*notes, f"{gain}; with one fold there is no unbiased estimate."]
    nested = 100 * (by_name[f"{_way(kind)}, nested"].map_all - equal)
    notes.append(f"{gain}, {nested:+.2f} on folds that they were not searched on (nested): expect the second.")
    ends = zip(names, searched.weights, searched.by_fold.min(axis=0), searched.by_fold.max(axis=0), strict=True)
    spread = ", ".join(f"{name} {weight:.2f} ({low:.2f}-{high:.2f})" for name, weight, low, high in ends)
    notes.append(f"{weights} (range over the nested searches): {spread}.")
    return notes


def _way(kind: str) -> str:
    return kind if kind in _WEIGHTS else "searched"


def _report(row: EnsembleRow, none: str, unit: int, digits: int) -> list[str]:
    return [none if value is None else f"{value / unit:.{digits}f}" for value in row.report]


def _csv_row(row: EnsembleRow) -> list[object]:
    figures = (row.map_all, row.map_sd, row.map_defects, row.pooled_all, row.pooled_defects)
    cells = ["" if np.isnan(value) else f"{value:.6f}" for value in figures]
    weight = "" if row.weight is None else f"{row.weight:.6f}"
    return [row.name, weight, int(row.rule), int(row.used), *cells]


def _markdown_row(row: EnsembleRow) -> list[str]:
    weight = NONE if row.weight is None else f"{row.weight:.3f}"
    figures = [f"{per_cent(row.map_all)} ({per_cent(row.map_sd)})"]
    figures += [per_cent(value) for value in (row.map_defects, row.pooled_all, row.pooled_defects)]
    return [row.name, "on" if row.rule else "off", weight, *figures, "yes" if row.used else ""]
