"""The models of the report's Tables 1, 2, 3 and 5, with its figures, and the recipe of each at two scales."""

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

# What Tables 4 and 5 change: a super-image, and for rows that are not about super-images a clip.
BASES: dict[str, dict[Scale, str]] = {
    "base": {"small": "small-mobilenetv2", "paper": "super-image-convnext-b"},
    "video-base": {"small": "small-video", "paper": "video-swin-b-k400"},
}

_FIRST = {"random": "random weights", "hub": "the hub's weights", "simclr": "SimCLR", "mae": "MAE"}

# The best epoch would be chosen by the fold that judges, which flatters what it says.
_LAST = "training.keep=last"


@dataclass(frozen=True)
class Given:
    """What a user gives for the recipes of a table.

    Attributes:
        scale: of the recipes.
        overrides: `section.key=value` for all of them, `KEY:section.key=value` for the one of this key.
        weights: `model.weights` by key.
    """

    scale: Scale = "small"
    overrides: Sequence[str] = ()
    weights: Mapping[str, str] = field(default_factory=dict)

    @property
    def addressed(self) -> list[tuple[str, str]]:
        """The overrides as (key, `section.key=value`); the key is empty where it is for all."""
        each = []
        for override in self.overrides:
            key, colon, setting = override.partition(":")
            each.append((key.strip(), setting) if colon and "=" not in key else ("", override))
        return each

    def changes(self, key: str) -> tuple[str, ...]:
        """The changes of the recipe of this key; those for it alone come after those for all."""
        common, own = ([setting for of, setting in self.addressed if of == where] for where in ("", key))
        first = [f"model.weights={self.weights[key]}"] if key in self.weights else []
        return (_LAST, *common, *own, *first)


class ReportModel(Section):
    """A model of a table.

    Attributes:
        key: what a user calls it; also its run's folder.
        name: for people.
        validation: the report's mAP over 17 classes in validation, per cent; None where it gives none.
        test: the same on the challenge's test set.
        validation_defects: in validation over the 16 defects.
        weight: in the report's ensemble; None where it takes no part.
        report: gain against the super-image that the report gives, points of mAP.
        recipe, set: at the report's scale: a recipe and `section.key=value` changes of it.
        small, small_set: at a laptop's scale: the same, on top of `set`.
        small_lacks: why there is no small one.
        pretrained: how `urbanpipe pretrain` makes its first weights; empty where it does not.
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
        """Whether it has a recipe at this scale."""
        return scale == "paper" or not self.small_lacks

    def load(self, scale: Scale, overrides: Sequence[str] = ()) -> Recipe:
        """Its recipe, called by its key.

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
    """The models of `table1`, `table2` or `table5`, in the report's order; of `table3` those that it weighs."""
    if table == "table3":
        return [each for name in ("table2", "table1") for each in read_report_models(name) if each.weight is not None]
    return [ReportModel.model_validate(entry) for entry in _tables()[table]]


def report_ensemble() -> tuple[float, float]:
    """The report's mAP of its ensemble in validation and on the test set, per cent."""
    return float(_tables()["table3"]["validation"]), float(_tables()["table3"]["test"])


def report_classes() -> dict[str, tuple[float, float]]:
    """Mean AP and standard deviation over folds of each class in the report's Table 6, per cent, by code."""
    return {code: (float(mean), float(spread)) for code, (mean, spread) in _tables()["table6"].items()}


def report_weights(runs: Sequence[Path]) -> list[float]:
    """The weight that the report's ensemble gives each run's recipe, not scaled to sum 1.

    Args:
        runs: folders of runs, known by the names of their recipes.

    Raises:
        RecipeError: a run's recipe is not one that the report weighs.
    """
    entries = [entry for entry in read_report_models("table3") if entry.weight is not None]
    weights = {name: entry.weight or 0.0 for entry in entries for name in (entry.recipe, entry.key)}
    recipes = [load_recipe(run / "recipe.toml").name for run in runs]
    for run, name in zip(runs, recipes, strict=True):
        if name not in weights:
            known = ", ".join(entry.recipe for entry in entries)
            raise RecipeError(f"{run} is of the recipe {name}, which the report does not weigh; it weighs {known}")
    return [weights[name] for name in recipes]


def load_base(key: str, given: Given) -> Recipe:
    """The recipe that rows of Tables 4 and 5 change; `key` is one of `BASES`.

    Raises:
        RecipeError: an override does not fit.
    """
    return load_recipe(BASES[key][given.scale], given.changes(key))


def notes_on(recipes: Mapping[str, Recipe], scale: Scale) -> list[str]:
    """What a reader must know of the recipes behind a table, by what the table calls them; a sentence each."""
    notes = []
    if scale == "small":
        notes.append("Small scale: networks, pictures and epochs are other ones than the report's.")
    notes.append(f"Networks here: {'; '.join(f'{name}: {_seen_by(recipe)}' for name, recipe in recipes.items())}.")
    return notes


def notes_on_epochs(recipes: Mapping[str, Recipe]) -> list[str]:
    """A sentence where figures are flattered by the choice of an epoch."""
    if best := [name for name, recipe in recipes.items() if recipe.training.keep == "best"]:
        return [f"Flattered, as the fold that judges chose the epoch (training.keep = best): {', '.join(best)}."]
    return []


def _seen_by(recipe: Recipe) -> str:
    weights = recipe.model.weights
    network = f"{recipe.model.backbone} from {_FIRST.get(weights) or Path(weights).name}"
    return f"{network}, {recipe.input.summary}"
