"""The verb `ensemble`: several cross-validated runs made into one predictor."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from numpy.typing import NDArray

from urbanpipe.contracts.names import shortened
from urbanpipe.contracts.predictions import Predictions, write_predictions
from urbanpipe.contracts.run_folder import OUT_OF_FOLD
from urbanpipe.decision.exclusive import EXCLUSIVE_THRESHOLD, apply_exclusive
from urbanpipe.decision.thresholds import Chooser, decision_metrics, f1_thresholds, nested_decisions, recall_thresholds
from urbanpipe.ensembling.contributions import contributions
from urbanpipe.ensembling.ensemble_table import EnsembleTable, ensemble_table
from urbanpipe.ensembling.weights import (
    SEARCHES,
    equal_weights,
    read_weights,
    search_nested,
    search_weights,
    weighted_mean,
    weights_by,
)
from urbanpipe.errors import RunError
from urbanpipe.evaluation.runs import OutOfFold, read_out_of_fold, same_data, without_left_out
from urbanpipe.evaluation.tables import write_fold_tables
from urbanpipe.outputs import output_folder, write_csv, write_text

WEIGHTS = "weights.toml"


@dataclass(frozen=True, eq=False)
class Ensemble:
    """What `ensemble` made.

    Attributes:
        folder: where it is.
        names: the M members.
        weights: (M,) with sum 1.
        exclusive_threshold: of the rule for the exclusive class; None where it is left out.
        thresholds: (C,) from which score on each class is said to be present.
        table: single models and ensembles.
    """

    folder: Path
    names: tuple[str, ...]
    weights: NDArray[np.float64]
    exclusive_threshold: float | None
    thresholds: NDArray[np.float64]
    table: EnsembleTable


def ensemble(
    runs: Sequence[Path],
    out: Path,
    weights: str | Path | Sequence[float] = "equal",
    exclusive_threshold: float | None = EXCLUSIVE_THRESHOLD,
    recall: float | None = None,
) -> Ensemble:
    """Weigh runs, apply the rule for the exclusive class, choose thresholds; write what `predict` needs, and tables.

    `out` gets `out_of_fold.json` and `.csv`, `thresholds.csv`, `table3.csv` and `.md`, `contributions.csv` (by how much
    each member raises the AP of each class), the fold tables, copies of the
    data's files, and at last `weights.toml`, with which the ensemble is complete.

    Args:
        runs: folders of finished cross-validations over the same videos, labels and folds.
        out: folder of the ensemble.
        weights: "equal"; "search" (greedily, on out-of-fold predictions); "simplex" (the same, finer and slower); one
            number a run, as a list or as text like "0.3,0.7"; or a TOML file with the members' names and weights, such
            as an ensemble's weights.toml.
        exclusive_threshold: where P(exclusive class) is above it, that class is set to 1, the others to 0; None: never.
        recall: choose each class's threshold to find this share of its videos; None: for the best F1.

    Raises:
        RunError: a run is not finished, is given twice, or has other videos, labels, folds or classes; `out` is a run.
        RecipeError: weights, threshold or recall that cannot be used.
        OutputError: a result cannot be written.
    """
    members, lost = _read_members(runs, out)
    first, names = members[0], _names([member.run for member in members])
    threshold = exclusive_threshold if first.taxonomy.exclusive is not None else None
    choose: Chooser = f1_thresholds if recall is None else partial(recall_thresholds, recall=recall)
    stack = np.stack([member.scores for member in members])
    kind, asked = weights_by(weights), read_weights(weights, names)
    apply_exclusive(first.scores[:0], first.taxonomy, exclusive_threshold)  # an impossible one is said before the work
    choose(first.scores[:0], first.targets[:0])
    output_folder(out)
    search = SEARCHES.get(kind, search_weights)
    searched = search_nested(stack, first.targets, first.folds, first.taxonomy, search) if len(members) > 1 else None
    chosen = equal_weights(len(names)) if asked is None else asked
    if kind in SEARCHES and searched is not None:
        chosen = searched.weights
    final = apply_exclusive(weighted_mean(stack, chosen), first.taxonomy, threshold)
    table = ensemble_table(stack, names, first, chosen, kind, searched, threshold)
    if lost:
        table = replace(table, notes=(*table.notes, f"Without {shortened(lost)}, which not all models could read."))
    result = Ensemble(
        folder=Path(out),
        names=names,
        weights=chosen,
        exclusive_threshold=threshold,
        thresholds=choose(final, first.targets),
        table=table,
    )
    _write(result, members, final, choose, kind, recall)
    return result


def _read_members(runs: Sequence[Path], out: Path) -> tuple[list[OutOfFold], list[str]]:
    """The members on the videos that all of them could decode, and the names of the others."""
    places = [Path(run).resolve() for run in runs]
    if not places:
        raise RunError("no runs; give the folders that `urbanpipe crossval` wrote")
    if twice := [place for place in places if places.count(place) > 1]:
        raise RunError(f"the run {twice[0]} is given twice; give it once and raise its weight")
    target = Path(out).resolve()
    if (target / "recipe.toml").exists() or any(target == place or target in place.parents for place in places):
        raise RunError(f"{out} is a run or holds them; give the ensemble a folder of its own with --out")
    for place in places:
        if (place / WEIGHTS).exists() and not (place / "recipe.toml").exists():
            raise RunError(f"{place} is itself an ensemble; give the runs that it is made of")
    members, lost = without_left_out([read_out_of_fold(place) for place in places])
    return [members[0], *(same_data(members[0], member) for member in members[1:])], lost


def _names(places: Sequence[Path]) -> tuple[str, ...]:
    """Folder names, with as many parents as it takes to tell them apart."""
    for parts in range(1, max(len(place.parts) for place in places) + 1):
        names = tuple("/".join(place.parts[-parts:]) for place in places)
        if len(set(names)) == len(names):
            break
    return names


def _write(
    result: Ensemble,
    members: Sequence[OutOfFold],
    final: NDArray[np.float64],
    choose: Chooser,
    kind: str,
    recall: float | None,
) -> None:
    first, out = members[0], result.folder
    (out / WEIGHTS).unlink(missing_ok=True)  # what follows is not an ensemble until its last file is there
    first.write_inputs(out)
    write_predictions(Predictions(first.names, final), out / OUT_OF_FOLD, first.taxonomy)
    _write_thresholds(out / "thresholds.csv", result.thresholds, first, final, choose)
    contributions(np.stack([member.scores for member in members]), result.weights, first).to_csv(
        out / "contributions.csv", result.names
    )
    result.table.to_csv(out / "table3.csv")
    write_text(out / "table3.md", result.table.to_markdown())
    write_fold_tables(out)
    table: dict[str, Any] = {"weights_by": kind, "thresholds_by": "f1" if recall is None else f"recall={recall:g}"}
    if result.exclusive_threshold is not None:
        table |= {"exclusive": first.taxonomy.exclusive, "exclusive_threshold": result.exclusive_threshold}
    table["members"] = [
        {"name": name, "path": str(member.run), "weight": float(weight)}
        for name, member, weight in zip(result.names, members, result.weights, strict=True)
    ]
    table["thresholds"] = dict(zip(first.taxonomy.codes, result.thresholds.tolist(), strict=True))
    write_text(out / WEIGHTS, tomli_w.dumps(table))


def _write_thresholds(
    path: Path, thresholds: NDArray[np.float64], data: OutOfFold, final: NDArray[np.float64], choose: Chooser
) -> None:
    """Each class's threshold with what it means on the videos it was chosen on, and nested on those it was not."""
    seen = decision_metrics(final >= thresholds, data.targets)
    nested = nested_decisions(final, data.targets, data.folds, choose)
    header = ["class", "name", "positives", "threshold", "precision", "recall", "f1"]
    columns = (thresholds, seen.precision, seen.recall, seen.f1, nested.precision, nested.recall, nested.f1)
    rows = [
        [item.code, item.en, int(data.targets[:, item.index].sum()), *(_cell(column[item.index]) for column in columns)]
        for item in data.taxonomy.classes
    ]
    write_csv(path, [*header, "nested_precision", "nested_recall", "nested_f1"], rows)


def _cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6f}"
