"""The models of the report's Tables 1, 2, 3 and 5, with its figures, and the recipe of each at two scales."""

import tomllib
from functools import cache
from importlib import resources
from typing import Any, Literal

from urbanpipe.settings import Section
from urbanpipe.training.recipe import Recipe, load_recipe

Scale = Literal["small", "paper"]


class Entry(Section):
    """A model of a table.

    Attributes:
        key: what a user calls it; also its run's folder.
        name: for people.
        validation: the report's mAP over 17 classes in validation, per cent; None where it gives none.
        test: the same on the challenge's test set.
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
    weight: float | None = None
    report: float | None = None
    recipe: str
    set: tuple[str, ...] = ()
    small: str = ""
    small_set: tuple[str, ...] = ()
    small_lacks: str = ""
    pretrained: Literal["", "simclr", "mae"] = ""

    def load(self, scale: Scale, overrides: tuple[str, ...] = ()) -> Recipe:
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


def read_entries(table: str) -> list[Entry]:
    """The models of `table1`, `table2` or `table5`, in the report's order; of `table3` those that it weighs."""
    if table == "table3":
        return [each for name in ("table2", "table1") for each in read_entries(name) if each.weight is not None]
    return [Entry.model_validate(entry) for entry in _tables()[table]]


def report_ensemble() -> tuple[float, float]:
    """The report's mAP of its ensemble in validation and on the test set, per cent."""
    return float(_tables()["table3"]["validation"]), float(_tables()["table3"]["test"])


def report_classes() -> dict[str, tuple[float, float]]:
    """Mean AP and standard deviation over folds of each class in the report's Table 6, per cent, by code."""
    return {code: (float(mean), float(spread)) for code, (mean, spread) in _tables()["table6"].items()}
