"""Tables of models, which are trained fold by fold, beside the report's figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from urbanpipe.catalog.catalog_file import Catalog
from urbanpipe.errors import FoldError, RecipeError, WeightsError
from urbanpipe.evaluation.average_precision import mean_of_known, sd_of_known
from urbanpipe.evaluation.tables import NONE, absent, markdown_table, per_cent
from urbanpipe.methods.recipe import Recipe
from urbanpipe.outputs import write_csv, write_text
from urbanpipe.reproduce.experiment import NOT_TRAINED, ReportExperiment
from urbanpipe.reproduce.paired_comparison import fold_maps
from urbanpipe.reproduce.report_models import Given, ReportModel, Scale, notes_on, notes_on_epochs
from urbanpipe.taxonomy import Taxonomy
from urbanpipe.training.crossval import resolve

ALL, DEFECTS = 0, 1


@dataclass(frozen=True, eq=False)
class Model:
    """A model of a table with its result.

    Attributes:
        entry: the model in the report.
        run: run folder.
        recipe: recipe of the run; None if there is none at this scale.
        maps: mAP over all classes and over the defects, (K, 2), fractions; None if it was not trained.
        absent: notes on folds without videos of a class.
        costs: seconds of training per fold and peak memory in MiB.
        reason: why it was not trained.
    """

    entry: ReportModel
    run: Path
    recipe: Recipe | None = None
    maps: NDArray[np.float64] | None = None
    absent: tuple[str, ...] = ()
    costs: tuple[float, float] = (0.0, 0.0)
    reason: str = ""


def train_models(experiment: ReportExperiment, entries: Sequence[ReportModel], given: Given) -> list[Model]:
    """Train the models that are not trained yet.

    A model without available weights, or whose training fails, is left out. All recipes are checked before the first
    training starts.

    Args:
        experiment: the data; run folders are in `experiment.out / models`.
        entries: the models.
        given: the user's changes of their recipes.

    Raises:
        RecipeError: an override does not fit one of the recipes.
    """
    recipes = load_report_models(entries, given)
    check_recipes(recipes, experiment.catalog)
    return [_trained(experiment, entry, recipes.get(entry.key)) for entry in entries]


def load_report_models(entries: Sequence[ReportModel], given: Given) -> dict[str, Recipe]:
    """Return the recipes, by key, of the entries that have one at this scale; see `train_models`."""
    return {entry.key: entry.load(given.scale, given.changes(entry.key)) for entry in entries if entry.at(given.scale)}


def check_recipes(recipes: Mapping[str, Recipe], catalog: Catalog) -> None:
    """Build each network on the meta device and run it on inputs, which needs neither memory nor weights.

    Args:
        recipes: recipes by the key of the model.
        catalog: the videos and classes.

    Raises:
        RecipeError: a network cannot be built or does not accept its inputs; the message names the model.
    """
    for key, recipe in recipes.items():
        if reason := misfit(recipe, catalog):
            raise RecipeError(f"the model {key} cannot be built with these settings: {reason}")


def misfit(recipe: Recipe, catalog: Catalog) -> str:
    """Return why a network cannot be built or does not accept its inputs, or an empty text; see `check_recipes`."""
    try:
        _pass_shapes(resolve(recipe, catalog), catalog.taxonomy)
    except Exception as error:  # timm and torch raise many types where sizes do not fit
        return (str(error).strip().splitlines() or [type(error).__name__])[0]
    return ""


@torch.no_grad()
def _pass_shapes(recipe: Recipe, taxonomy: Taxonomy) -> None:
    (width, height), segments = recipe.input.image_size, 2
    frames = [] if recipe.input.clip_frames is None else [recipe.input.clip_frames]
    with torch.device("meta"):
        network = recipe.network(len(taxonomy)).eval()
        images, real = torch.zeros(segments, 3, *frames, height, width), torch.ones(segments, dtype=torch.int64)
        network.aggregate(network.encode(images, real), torch.zeros(segments, 2))


def _trained(experiment: ReportExperiment, entry: ReportModel, recipe: Recipe | None) -> Model:
    run, reason = experiment.out / "models" / entry.key, entry.small_lacks
    if recipe is not None:
        try:
            experiment.train(run, recipe)
            return _evaluated(experiment, Model(entry, run, recipe))
        except WeightsError as error:
            reason = lacking_weights(entry.key, recipe, error, experiment.catalog)
        except NOT_TRAINED as error:
            reason = str(error)
    experiment.distributed.log(f"{entry.key}: not trained: {reason}")
    return Model(entry, run, recipe, reason=reason)


def lacking_weights(key: str, recipe: Recipe, error: WeightsError, catalog: Catalog) -> str:
    """Return why a model has no initial weights, and the option that gives it weights of its own."""
    if recipe.model.weights != "hub" or "from the hub" not in str(error):
        return f"{error}; give its weights with --weights {key}=FILE"
    with torch.device("meta"):
        published = resolve(recipe, catalog).network(len(catalog.taxonomy)).backbone.published(recipe.model.backbone)
    return f"no weights of {recipe.model.backbone} from the hub; download {published} and give --weights {key}=FILE"


def _evaluated(experiment: ReportExperiment, model: Model) -> Model:
    names = experiment.videos_predicted_by([model.run])
    data = experiment.comparison_data(experiment.videos(names))
    maps: NDArray[np.float64] = fold_maps(experiment.scores([model.run], names), data)[0]
    notes = absent(data.targets, data.folds, data.taxonomy)
    return replace(model, maps=maps, absent=tuple(notes), costs=experiment.costs([model.run]))


def notes_of(model: Model, scale: Scale) -> list[str]:
    """Return what a reader must know about the model behind a table or figure, one sentence each."""
    recipes = {model.entry.key: model.recipe} if model.recipe else {}
    return [*notes_on(recipes, scale), *notes_on_epochs(recipes)]


def write_models(models: Sequence[Model], path: Path, scale: Scale, folds: Sequence[int]) -> str:
    """Write the table as CSV and Markdown; return the Markdown text."""
    header = ["model", "recipe", "backbone", "report_validation", "report_test", "report_validation_defects"]
    figures = ["map", "map_sd", "map_defects", "seconds", "mib", "reason"]
    write_csv(path.with_suffix(".csv"), [*header, *figures], [_csv_row(model, scale) for model in models])
    shown = ["model", "report, validation", "report, test", "mAP (sd)", "mAP of the defects (sd)", "min", "MiB"]
    recipes = {model.entry.name: model.recipe for model in models if model.recipe}
    defects = {model.entry.name: model.entry.validation_defects for model in models if model.entry.validation_defects}
    notes = [
        f"Folds {', '.join(map(str, folds))}; mean and standard deviation over them; min: training time per fold.",
        *(f"The report's mAP over the defects of {name}: {value:.2f}." for name, value in defects.items()),
        *notes_on(recipes, scale),
        *notes_on_epochs(recipes),
        *dict.fromkeys(note for model in models for note in model.absent),
        *(f"Not trained: {model.entry.name}: {model.reason}" for model in models if model.reason),
    ]
    text = markdown_table(shown, [_markdown_row(model) for model in models])
    text += "\n" + "".join(f"- {note}\n" for note in notes)
    write_text(path.with_suffix(".md"), text)
    return text


def _csv_row(model: Model, scale: Scale) -> list[object]:
    entry = model.entry
    given = entry.validation, entry.test, entry.validation_defects
    report = ["" if value is None else f"{value / 100:.4f}" for value in given]
    backbone = model.recipe.model.backbone if model.recipe else ""
    row: list[object] = [entry.name, entry.recipe if scale == "paper" else entry.small, backbone, *report]
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


def need_all_folds(experiment: ReportExperiment, what: str) -> None:
    """Refuse a table that needs out-of-fold predictions of every video if only some folds are used.

    Raises:
        FoldError: only some folds were requested.
    """
    if len(experiment.used) < experiment.all_folds:
        raise FoldError(f"{what} needs every fold; omit --only-fold (finished folds are not trained again)")
