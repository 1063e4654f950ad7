"""The report's Table 3 (ensembles) and Table 6 (classes by fold)."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from urbanpipe.ensembling.ensemble import Ensemble, ensemble
from urbanpipe.ensembling.ensemble_table import EnsembleRow, EnsembleTable
from urbanpipe.errors import RunError
from urbanpipe.evaluation.tables import NONE, FoldTableRow, fold_table, markdown_table, per_cent
from urbanpipe.outputs import write_csv, write_text
from urbanpipe.reproduce.experiment import ReportExperiment
from urbanpipe.reproduce.models import Model, notes_of
from urbanpipe.reproduce.report_models import (
    ReportModel,
    Scale,
    notes_on,
    notes_on_epochs,
    report_classes,
    report_ensemble,
)

OF_REPORT = "the report's weights"


def table_of_ensembles(models: Sequence[Model], out: Path, scale: Scale) -> str:
    """Make ensembles with equal weights, the report's weights, greedy search and simplex weights; also nested.

    Writes `table3.csv` and `.md`, and returns the table as Markdown.

    Args:
        models: the members; untrained ones are left out, and the report's weights are scaled accordingly.
        out: output folder for the table, and for an ensemble folder `table3/<way>` of each kind, for `predict`.
        scale: scale of the recipes.

    Raises:
        RunError: fewer than two members are trained.
    """
    trained = [model for model in models if model.maps is not None]
    if len(trained) < 2:
        raise RunError(f"an ensemble needs two models; {len(trained)} of {len(models)} could be trained")
    runs, weights = [model.run for model in trained], [model.entry.weight or 0.0 for model in trained]
    made: list[Ensemble] = []
    if sum(weights) > 0:
        made.append(ensemble(runs, out=out / "table3" / "report", weights=weights))
    made += [ensemble(runs, out=out / "table3" / way, weights=way) for way in ("search", "simplex")]
    table = _joined(made, [model.entry for model in trained])
    table.to_csv(out / "table3.csv")
    recipes = {model.entry.key: model.recipe for model in trained if model.recipe}
    validation, test = report_ensemble()
    notes = [
        f"The report: {validation:.2f} in validation, {test:.2f} on the test set, with its weights and the rule.",
        *notes_on(recipes, scale),
        *notes_on_epochs(recipes),
        "Contribution of each member to each class: contributions.csv in the folders beside this table.",
        *(f"Not trained: {model.entry.name}: {model.reason}" for model in models if model.reason),
    ]
    text = replace(table, notes=(*table.notes, *notes)).to_markdown()
    write_text(out / "table3.md", text)
    return text


def _joined(made: Sequence[Ensemble], members: Sequence[ReportModel]) -> EnsembleTable:
    """Join the tables of several ensembles of the same members, without duplicate rows, beside the report's figures."""
    report = {(entry.key, False): (entry.validation, entry.test) for entry in members}
    report[OF_REPORT, True] = report_ensemble()
    rows: dict[tuple[str, bool], EnsembleRow] = {}
    notes: dict[str, None] = {}
    for result in made:
        for row in result.table.rows:
            name = OF_REPORT if row.name == "given weights" else row.name
            figures = report.get((name, row.rule), (None, None))
            rows.setdefault((name, row.rule), replace(row, name=name, used=False, report=figures))
        notes |= dict.fromkeys(result.table.notes)
    return EnsembleTable(tuple(rows.values()), tuple(notes))


def table_of_classes(experiment: ReportExperiment, model: Model, out: Path, scale: Scale) -> str:
    """Write `table6.csv` and `.md`: AP by class and fold beside the report's mean and spread; return the Markdown.

    Raises:
        RunError: the model could not be trained.
    """
    if model.maps is None:
        raise RunError(f"{model.entry.name} could not be trained: {model.reason}")
    names = experiment.videos_predicted_by([model.run])
    data = experiment.comparison_data(experiment.videos(names))
    (scores,) = experiment.scores([model.run], names)
    table = fold_table(scores, data, draws=0)
    report = report_classes()
    known = {row.label: report.get(row.label, (float("nan"), float("nan"))) for row in table.rows}
    header = ["class", "name", "positives", *(f"fold {fold}" for fold in table.folds)]
    figures = {
        row.label: [*row.by_fold, row.mean, row.sd, *(value / 100 for value in known[row.label])] for row in table.rows
    }
    write_csv(
        out / "table6.csv",
        [*header, "mean", "sd", "report_mean", "report_sd"],
        [
            [*_names(row), *("" if np.isnan(value) else f"{value:.6f}" for value in figures[row.label])]
            for row in table.rows
        ],
    )
    cells = [
        [
            *_names(row),
            *map(per_cent, figures[row.label][:-4]),
            _pair(*figures[row.label][-4:-2]),
            _pair(*figures[row.label][-2:]),
        ]
        for row in table.rows
    ]
    text = markdown_table([*header, "mean (sd)", "report (sd)"], cells, left=2)
    notes = [
        "The report used other folds and another network.",
        f"{NONE}: no video of the class in the fold, or no number in the report.",
        *notes_of(model, scale),
    ]
    text += "\n" + "".join(f"- {note}\n" for note in notes)
    write_text(out / "table6.md", text)
    return text


def _names(row: FoldTableRow) -> list[str]:
    return [row.label, row.name, "" if row.positives is None else str(row.positives)]


def _pair(mean: float, spread: float) -> str:
    return f"{per_cent(mean)} ({per_cent(spread)})"
