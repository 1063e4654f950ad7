"""The verb `ensemble`: combine several cross-validated runs into one predictor."""

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
from urbanpipe.contracts.run_folder import NESTED, OUT_OF_FOLD
from urbanpipe.decision.exclusive import EXCLUSIVE_THRESHOLD, apply_exclusive
from urbanpipe.decision.thresholds import Chooser, decision_metrics, f1_thresholds, nested_decisions, recall_thresholds
from urbanpipe.ensembling.contributions import contributions
from urbanpipe.ensembling.ensemble_table import EnsembleTable, ensemble_table
from urbanpipe.ensembling.weights import (
    SEARCHES,
    EligibleMembers,
    Searched,
    equal_weights,
    read_weights,
    search_nested,
    search_weights,
    weighted_mean,
    weights_by,
)
from urbanpipe.errors import RunError
from urbanpipe.evaluation.fold_report import write_fold_tables
from urbanpipe.evaluation.runs import OutOfFold, read_out_of_fold, same_data, without_left_out
from urbanpipe.outputs import output_folder, remove, write_csv, write_text

WEIGHTS_FILE = "weights.toml"


@dataclass(frozen=True, eq=False)
class Ensemble:
    """The result of `ensemble`.

    Attributes:
        folder: folder of the ensemble.
        names: names of the M members.
        weights: (M,) with sum 1.
        exclusive_threshold: threshold of the rule for the exclusive class; None if the rule is not applied.
        thresholds: (C,) score from which each class is predicted as present.
        table: scores of the single models and ensembles.
        nested: (n, C) out-of-fold scores after the rule, each fold's mixed with weights that were searched on the other
            folds; None without a search, or if nothing can be searched.
    """

    folder: Path
    names: tuple[str, ...]
    weights: NDArray[np.float64]
    exclusive_threshold: float | None
    thresholds: NDArray[np.float64]
    table: EnsembleTable
    nested: NDArray[np.float64] | None


def ensemble(
    runs: Sequence[Path],
    *,
    out: Path,
    weights: str | Path | Sequence[float] = "equal",
    exclusive_threshold: float | None = EXCLUSIVE_THRESHOLD,
    recall: float | None = None,
    eligible: EligibleMembers | None = None,
) -> Ensemble:
    """Weigh runs, apply the rule for the exclusive class, choose thresholds, and write what `predict` needs and tables.

    `out` gets `out_of_fold.json` and `.csv`, `thresholds.csv`, `table3.csv` and `.md`, `contributions.csv` (how much
    each member raises the AP of each class), the fold tables, copies of the data files, and last `weights.toml`, which
    marks the ensemble as complete. If the weights are searched, `out_of_fold_nested.json` and `.csv` have the scores
    with which a bundle is evaluated: each fold's, with weights that were searched on the other folds.

    Args:
        runs: folders of finished cross-validations over the same videos, labels and folds.
        out: folder of the ensemble.
        weights: "equal"; "search" (greedy search on out-of-fold predictions); "bagged" (the mean of such searches on
            resampled videos, for up to a few thousand videos); "simplex" (a finer and slower search); one number per
            run, as a list or as text like "0.3,0.7"; or a TOML file with the members' names and weights, such as an
            ensemble's weights.toml.
        exclusive_threshold: where P(exclusive class) is above this, that class is set to 1 and the others to 0; None
            disables the rule.
        recall: choose each class's threshold to find this share of its videos; None chooses it for the best F1.
        eligible: runs that a search may use for each fold and for the final weights; default: all.

    Raises:
        RunError: a run is not finished, is given twice, or has different videos, labels, folds or classes; or `out` is
            a run.
        RecipeError: weights, threshold or recall that cannot be used.
        OutputError: a result cannot be written.
    """
    members, lost = _read_members(runs, out)
    first, names = members[0], _names([member.run for member in members])
    threshold = exclusive_threshold if first.taxonomy.exclusive is not None else None
    choose: Chooser = f1_thresholds if recall is None else partial(recall_thresholds, recall=recall)
    stack = np.stack([member.scores for member in members])
    kind, asked = weights_by(weights), read_weights(weights, names)
    apply_exclusive(first.scores[:0], first.taxonomy, exclusive_threshold)  # refuses an invalid threshold early
    choose(first.scores[:0], first.targets[:0])
    output_folder(out)
    searched, chosen, nested = _weighed(stack, first, kind, asked=asked, eligible=eligible)
    if nested is not None:
        nested = apply_exclusive(nested, first.taxonomy, threshold)
    final = apply_exclusive(weighted_mean(stack, chosen), first.taxonomy, threshold)
    table = ensemble_table(stack, names, first, chosen=chosen, kind=kind, searched=searched, threshold=threshold)
    if lost:
        table = replace(table, notes=(*table.notes, f"Without {shortened(lost)}, which some models could not read."))
    result = Ensemble(
        folder=Path(out),
        names=names,
        weights=chosen,
        exclusive_threshold=threshold,
        thresholds=choose(final, first.targets),
        table=table,
        nested=nested,
    )
    _write(result, members, final, choose=choose, kind=kind, recall=recall)
    return result


def _weighed(
    stack: NDArray[np.float64],
    data: OutOfFold,
    kind: str,
    *,
    asked: NDArray[np.float64] | None,
    eligible: EligibleMembers | None,
) -> tuple[Searched | None, NDArray[np.float64], NDArray[np.float64] | None]:
    """Return the search (None for one member), the weights to use, and the nested scores if they were searched."""
    searched = search_nested(stack, data, SEARCHES.get(kind, search_weights), eligible) if len(stack) > 1 else None
    if kind in SEARCHES and searched is not None:
        return searched, searched.weights, searched.nested
    return searched, equal_weights(len(stack)) if asked is None else asked, None


def _read_members(runs: Sequence[Path], out: Path) -> tuple[list[OutOfFold], list[str]]:
    """Read the members, restricted to the videos that all of them could decode, and return the names of the others."""
    places = [Path(run).resolve() for run in runs]
    if not places:
        raise RunError("no runs; give the folders that `urbanpipe crossval` wrote")
    if twice := [place for place in places if places.count(place) > 1]:
        raise RunError(f"the run {twice[0]} is given twice; give it once and raise its weight")
    target = Path(out).resolve()
    if (target / "recipe.toml").exists() or any(target == place or target in place.parents for place in places):
        raise RunError(f"{out} is a run or contains one; give the ensemble a folder of its own with --out")
    for place in places:
        if (place / WEIGHTS_FILE).exists() and not (place / "recipe.toml").exists():
            raise RunError(f"{place} is itself an ensemble; give the runs that it consists of")
    first = read_out_of_fold(places[0])
    members, lost = without_left_out([first, *(read_out_of_fold(place, like=first) for place in places[1:])])
    return [members[0], *(same_data(members[0], member) for member in members[1:])], lost


def _names(places: Sequence[Path]) -> tuple[str, ...]:
    """Return folder names, with as many parents as needed to make them unique."""
    for parts in range(1, max(len(place.parts) for place in places) + 1):
        names = tuple("/".join(place.parts[-parts:]) for place in places)
        if len(set(names)) == len(names):
            break
    return names


def _write(
    result: Ensemble,
    members: Sequence[OutOfFold],
    final: NDArray[np.float64],
    *,
    choose: Chooser,
    kind: str,
    recall: float | None,
) -> None:
    first, out = members[0], result.folder
    remove(out / WEIGHTS_FILE)  # the folder is not an ensemble until its last file is written
    first.write_inputs(out)
    write_predictions(Predictions(first.names, final), out / OUT_OF_FOLD, first.taxonomy)
    if result.nested is None:
        for suffix in (".json", ".csv"):
            remove((out / NESTED).with_suffix(suffix))
    else:
        write_predictions(Predictions(first.names, result.nested), out / NESTED, first.taxonomy)
    _write_thresholds(out / "thresholds.csv", result.thresholds, first, final, choose)
    contributions(np.stack([member.scores for member in members]), result.weights, first).to_csv(
        out / "contributions.csv", result.names
    )
    result.table.to_csv(out / "table3.csv")
    write_text(out / "table3.md", result.table.to_markdown())
    write_fold_tables(out, replace(first, run=out, scores=final))
    table: dict[str, Any] = {"weights_by": kind, "thresholds_by": "f1" if recall is None else f"recall={recall:g}"}
    if result.exclusive_threshold is not None:
        table |= {"exclusive": first.taxonomy.exclusive, "exclusive_threshold": result.exclusive_threshold}
    table["members"] = [
        {"name": name, "path": str(member.run), "weight": float(weight)}
        for name, member, weight in zip(result.names, members, result.weights, strict=True)
    ]
    table["thresholds"] = dict(zip(first.taxonomy.codes, result.thresholds.tolist(), strict=True))
    write_text(out / WEIGHTS_FILE, tomli_w.dumps(table))


def _write_thresholds(
    path: Path, thresholds: NDArray[np.float64], data: OutOfFold, final: NDArray[np.float64], choose: Chooser
) -> None:
    """Write each class's threshold with precision, recall and F1 on the videos it was chosen on, and nested ones."""
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
