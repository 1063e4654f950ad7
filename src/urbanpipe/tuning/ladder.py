"""The steps of `fit`, from the cheapest to the most expensive; each is the cross-validation of one recipe."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import timm

from urbanpipe.errors import RecipeError
from urbanpipe.methods.recipe import Recipe, load_recipe, recipe_from_table

FROZEN = "frozen-mobilenetv2"
TUNED = (("super-image", "small-mobilenetv2"), ("frame", "small-frame"))
EPOCHS = (3, 8, 24)
_SIZE = 224  # of a backbone that states none


@dataclass(frozen=True)
class Step:
    """A cross-validation that `fit` may run.

    Attributes:
        recipe: the recipe; its name is also the name of the run folder.
        about: what the step is, for people.
    """

    recipe: Recipe
    about: str


def ladder(weights: Mapping[str, str]) -> list[Step]:
    """Return the steps for backbones: the frozen baseline of each, then fine-tuned networks, the short ones first.

    Args:
        weights: weights by timm name of the backbone: a file, `hub` or `random`.

    Raises:
        RecipeError: timm has no network of that name.
    """
    steps = [_frozen(backbone, source) for backbone, source in weights.items()]
    for epochs in EPOCHS:
        for method, base in TUNED:
            steps += [_tuned(method, base, epochs, backbone, source) for backbone, source in weights.items()]
    return steps


def _frozen(backbone: str, source: str) -> Step:
    table = _table(FROZEN, backbone, source)
    table["input"]["size"] = native_size(backbone)
    table["name"] = f"frozen-{_slug(backbone)}"
    return Step(recipe_from_table(table, table["name"]), f"logistic regression on frozen {backbone}")


def _tuned(method: str, base: str, epochs: int, backbone: str, source: str) -> Step:
    table = _table(base, backbone, source)
    table["training"]["epochs"] = epochs
    table["training"]["validate_every"] = epochs
    table["name"] = f"{method}-{_slug(backbone)}-{epochs}"
    return Step(recipe_from_table(table, table["name"]), f"{method}, fine-tuned {backbone}, {epochs} epochs")


def _table(base: str, backbone: str, source: str) -> dict[str, Any]:
    """Return a shipped recipe as a table, with another backbone and weights, evaluated at its last epoch."""
    recipe = load_recipe(base)
    table = recipe.model_dump(mode="json")
    if backbone.split(".")[0] != recipe.model.backbone:
        table["model"]["options"] = {}
    table["model"] |= {"backbone": backbone, "weights": source}
    table["training"]["keep"] = "last"
    table["description"] = ""
    return table


def native_size(backbone: str) -> int:
    """Return the height in pixels of the images that a timm network was pretrained on; 224 if it does not say.

    Raises:
        RecipeError: timm has no network of that name.
    """
    if not timm.is_model(backbone):
        raise RecipeError(f"timm has no network {backbone!r}; give --weights BACKBONE=FILE with a name of timm")
    config = timm.get_pretrained_cfg(backbone)
    return int(config.input_size[-1]) if config is not None else _SIZE


def _slug(backbone: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", backbone)
