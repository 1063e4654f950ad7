"""The models of the report's Tables 1, 2, 3 and 5, with the report's figures, and their recipes at two scales."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from urbanpipe.errors import RecipeError
from urbanpipe.methods.recipe import Recipe, load_recipe
from urbanpipe.settings import Section

Scale = Literal["small", "paper"]

# The base recipes of Tables 4 and 5: a super-image, and a clip for rows that do not apply to super-images.
BASES: dict[str, dict[Scale, str]] = {
    "base": {"small": "small-mobilenetv2", "paper": "super-image-convnext-b"},
    "video-base": {"small": "small-video", "paper": "video-swin-b-k400"},
}

_FIRST = {
    "random": "random weights",
    "hub": "the hub's weights",
    "package": "a package's weights",
    "simclr": "SimCLR",
    "mae": "MAE",
}

# The best epoch would be chosen on the fold that is evaluated, which makes its scores too optimistic.
_LAST = "training.keep=last"


@dataclass(frozen=True)
class Given:
    """The user's options for the recipes of a table.

    Attributes:
        scale: scale of the recipes.
        overrides: `section.key=value` for all recipes, `KEY:section.key=value` for the recipe of a key.
        weights: `model.weights` by key.
    """

    scale: Scale = "small"
    overrides: Sequence[str] = ()
    weights: Mapping[str, str] = field(default_factory=dict)

    @property
    def addressed(self) -> list[tuple[str, str]]:
        """The overrides as (key, `section.key=value`); the key is empty for an override of all recipes."""
        pairs = []
        for override in self.overrides:
            key, colon, setting = override.partition(":")
            pairs.append((key.strip(), setting) if colon and "=" not in key else ("", override))
        return pairs

    def changes(self, key: str) -> tuple[str, ...]:
        """Return the changes of the recipe of a key; those for this key come after those for all recipes."""
        common, own = ([setting for of, setting in self.addressed if of == where] for where in ("", key))
        first = [f"model.weights={self.weights[key]}"] if key in self.weights else []
        return (_LAST, *common, *own, *first)


class ReportModel(Section):
    """A model of a table.

    Attributes:
        key: key on the command line, and name of the run folder.
        name: name for people.
        validation: the report's mAP over 17 classes in validation, per cent; None if it gives none.
        test: the report's mAP on the challenge's test set, per cent; None if it gives none.
        validation_defects: the report's mAP over the 16 defects in validation, per cent.
        weight: weight in the report's ensemble; None if it is not a member.
        report: gain over the super-image in the report, points of mAP.
        recipe: recipe at the report's scale.
        set: `section.key=value` changes of the recipe.
        small: recipe at a laptop's scale.
        small_set: further changes of the small recipe, after `set`.
        small_lacks: why there is no small recipe.
        pretrained: pretraining method of `urbanpipe pretrain` for the initial weights; empty for none.
    """

    key: str
    name: str
    validation: float | None = None
    test: float | None = None
    validation_defects: float | None = None
    weight: float | None = None
    report: float | None = None
    recipe: str
    set: tuple[str, ...] = ()
    small: str = ""
    small_set: tuple[str, ...] = ()
    small_lacks: str = ""
    pretrained: Literal["", "simclr", "mae"] = ""

    def at(self, scale: Scale) -> bool:
        """Return whether the model has a recipe at this scale."""
        return scale == "paper" or not self.small_lacks

    def load(self, scale: Scale, overrides: Sequence[str] = ()) -> Recipe:
        """Load the recipe of the model, with the key as its name.

        Raises:
            RecipeError: an override does not fit.
        """
        if scale == "paper":
            return load_recipe(self.recipe, [*self.set, *overrides, f"name={self.key}"])
        return load_recipe(self.small, [*self.set, *self.small_set, *overrides, f"name={self.key}"])


@cache
def _tables() -> dict[str, Any]:
    text = (resources.files("urbanpipe") / "reproduce" / "tables.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def read_report_models(table: str) -> list[ReportModel]:
    """Return the models of `table1`, `table2` or `table5`, in the report's order; for `table3` the ensemble members."""
    if table == "table3":
        return [
            model for name in ("table2", "table1") for model in read_report_models(name) if model.weight is not None
        ]
    return [ReportModel.model_validate(entry) for entry in _tables()[table]]


def report_ensemble() -> tuple[float, float]:
    """Return the report's mAP of its ensemble in validation and on the test set, per cent."""
    return float(_tables()["table3"]["validation"]), float(_tables()["table3"]["test"])


def report_classes() -> dict[str, tuple[float, float]]:
    """Return mean AP and standard deviation over folds of each class in the report's Table 6, per cent, by code."""
    return {code: (float(mean), float(spread)) for code, (mean, spread) in _tables()["table6"].items()}


def report_weights(runs: Sequence[Path]) -> list[float]:
    """Return the weights of runs in the report's ensemble, not normalised.

    Args:
        runs: run folders, identified by the names of their recipes.

    Raises:
        RecipeError: the recipe of a run is not a member of the report's ensemble.
    """
    entries = [entry for entry in read_report_models("table3") if entry.weight is not None]
    weights = {name: entry.weight or 0.0 for entry in entries for name in (entry.recipe, entry.key)}
    recipes = [load_recipe(run / "recipe.toml").name for run in runs]
    for run, name in zip(runs, recipes, strict=True):
        if name not in weights:
            known = ", ".join(entry.recipe for entry in entries)
            raise RecipeError(f"{run} has the recipe {name}, which is not in the report's ensemble; it has {known}")
    return [weights[name] for name in recipes]


def load_base(key: str, given: Given) -> Recipe:
    """Load the base recipe of rows of Tables 4 and 5; `key` is one of `BASES`.

    Raises:
        RecipeError: an override does not fit.
    """
    return load_recipe(BASES[key][given.scale], given.changes(key))


def notes_on(recipes: Mapping[str, Recipe], scale: Scale) -> list[str]:
    """Return what a reader must know about the recipes of a table, by their names in it, one sentence each."""
    notes = []
    if scale == "small":
        notes.append("Small scale: networks, image sizes and epochs differ from the report's.")
    notes.append(f"Networks here: {'; '.join(f'{name}: {_seen_by(recipe)}' for name, recipe in recipes.items())}.")
    return notes


def notes_on_epochs(recipes: Mapping[str, Recipe]) -> list[str]:
    """Return a note if scores are too optimistic because of the choice of an epoch."""
    if best := [name for name, recipe in recipes.items() if recipe.training.keep == "best"]:
        reason = "the epoch was chosen on the evaluated fold (training.keep = best)"
        return [f"Too optimistic, because {reason}: {', '.join(best)}."]
    return []


def _seen_by(recipe: Recipe) -> str:
    weights = recipe.model.weights
    network = f"{recipe.model.backbone} from {_FIRST.get(weights) or Path(weights).name}"
    return f"{network}, {recipe.input.summary}"
