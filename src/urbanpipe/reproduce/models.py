"""Tables of whole models: trained fold by fold, beside the report's figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from urbanpipe.errors import DivergedError, FoldError, OutOfMemoryError, WeightsError
from urbanpipe.evaluation.average_precision import mean_of_known, sd_of_known
from urbanpipe.evaluation.tables import NONE, markdown_table, per_cent
from urbanpipe.outputs import write_csv, write_text
from urbanpipe.reproduce.entries import Entry, Scale
from urbanpipe.reproduce.gains import fold_maps
from urbanpipe.reproduce.work import Work
from urbanpipe.training.recipe import Recipe

ALL, DEFECTS = 0, 1


@dataclass(frozen=True, eq=False)
class Model:
    """A model of a table with what was found.

    Attributes:
        entry: which.
        run: its folder.
        maps: mAP over all classes and over the defects, (K, 2), fractions; None where it was not trained.
        costs: seconds of training a fold and largest memory in MiB.
        reason: why it was not trained.
    """

    entry: Entry
    run: Path
    maps: NDArray[np.float64] | None = None
    costs: tuple[float, float] = (0.0, 0.0)
    reason: str = ""


def train_models(
    work: Work, entries: Sequence[Entry], scale: Scale, overrides: Sequence[str], weights: Mapping[str, str]
) -> list[Model]:
    """Train what is not trained yet; a model whose weights cannot be had, or whose training fails, is left out.

    All recipes are read before the first is trained.

    Args:
        work: the data; runs go to `work.out / models`.
        entries: the models.
        scale: of their recipes.
        overrides: `section.key=value` for all of them.
        weights: `model.weights` by the key of a model; by default the recipe's.

    Raises:
        RecipeError: an override does not fit one of the recipes.
    """
    recipes = load_entries(entries, scale, overrides, weights)
    return [_trained(work, entry, recipes.get(entry.key)) for entry in entries]


def load_entries(
    entries: Sequence[Entry], scale: Scale, overrides: Sequence[str], weights: Mapping[str, str]
) -> dict[str, Recipe]:
    """The recipes by key, of the entries that have one at this scale; see `train_models`."""
    recipes = {}
    for entry in entries:
        if scale == "paper" or not entry.small_lacks:
            given = [f"model.weights={weights[entry.key]}"] if entry.key in weights else []
            recipes[entry.key] = entry.load(scale, (*overrides, *given))
    return recipes


def _trained(work: Work, entry: Entry, recipe: Recipe | None) -> Model:
    run, reason = work.out / "models" / entry.key, entry.small_lacks
    if recipe is not None:
        try:
            work.train(run, recipe)
            return Model(entry, run, _maps(work, run), work.costs([run]))
        except WeightsError as error:
            reason = f"{error}; its own weights: --weights {entry.key}=FILE"
        except (OutOfMemoryError, DivergedError) as error:
            reason = str(error)
    work.processes.say(f"{entry.key}: not trained: {reason}")
    return Model(entry, run, reason=reason)


def _maps(work: Work, run: Path) -> NDArray[np.float64]:
    names = work.judged_by([run])
    maps: NDArray[np.float64] = fold_maps(work.scores([run], names), work.judged(work.videos(names)))[0]
    return maps


def write_models(models: Sequence[Model], path: Path, scale: Scale, folds: Sequence[int]) -> str:
    """Write the table as CSV and, returned too, as Markdown."""
    header = ["model", "recipe", "report_validation", "report_test", "map", "map_sd", "map_defects", "seconds", "mib"]
    write_csv(path.with_suffix(".csv"), [*header, "reason"], [_csv_row(model, scale) for model in models])
    shown = ["model", "report, validation", "report, test", "mAP (sd)", "mAP of the defects (sd)", "min", "MiB"]
    notes = [f"Folds {', '.join(map(str, folds))}; mean and standard deviation over them; min: of training a fold."]
    if scale == "small":
        notes.append("Small scale: networks, pictures and epochs are other ones than the report's; see the recipes.")
    notes += [f"Not trained: {model.entry.name}: {model.reason}" for model in models if model.reason]
    text = markdown_table(shown, [_markdown_row(model) for model in models])
    text += "\n" + "".join(f"- {note}\n" for note in notes)
    write_text(path.with_suffix(".md"), text)
    return text


def _csv_row(model: Model, scale: Scale) -> list[object]:
    entry = model.entry
    report = ["" if value is None else f"{value / 100:.4f}" for value in (entry.validation, entry.test)]
    row: list[object] = [entry.name, entry.recipe if scale == "paper" else entry.small, *report]
    if model.maps is None:
        return [*row, *[""] * 5, model.reason]
    means = [mean_of_known(model.maps[:, of]) for of in (ALL, DEFECTS)]
    figures = [means[ALL], sd_of_known(model.maps[:, ALL]), means[DEFECTS], *model.costs]
    return [*row, *("" if np.isnan(value) else f"{value:.6g}" for value in figures), ""]


def _markdown_row(model: Model) -> list[str]:
    entry = model.entry
    report = [NONE if value is None else f"{value:.2f}" for value in (entry.validation, entry.test)]
    if model.maps is None:
        return [entry.name, *report, *[NONE] * 4]
    figures = [
        f"{per_cent(mean_of_known(model.maps[:, of]))} ({per_cent(sd_of_known(model.maps[:, of]))})" for of in (0, 1)
    ]
    return [entry.name, *report, *figures, f"{model.costs[0] / 60:.1f}", f"{model.costs[1]:.0f}"]


def need_all_folds(work: Work, what: str) -> None:
    """Refuse what stands on out-of-fold predictions of every video.

    Raises:
        FoldError: only some folds were asked for.
    """
    if len(work.used) < work.all_folds:
        raise FoldError(f"{what} needs every fold; leave --only-fold out (what is trained is not trained again)")
