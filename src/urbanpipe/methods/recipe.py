"""Recipes: every setting of a training run in one TOML file, validated before training starts."""

import difflib
import math
import tomllib
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import tomli_w
from pydantic import BaseModel, Field, SerializeAsAny, ValidationError, field_validator, model_validator

from urbanpipe.contracts.file_names import file_name
from urbanpipe.errors import RecipeError
from urbanpipe.inputs.config import AugmentConfig, InputConfig
from urbanpipe.inputs.view import View
from urbanpipe.learners.config import LossConfig, OptimiserConfig, TrainingConfig
from urbanpipe.methods.super_image import SuperImageConfig, SuperImageMethod
from urbanpipe.methods.table import METHODS, method_named, method_of
from urbanpipe.models.config import ModelConfig
from urbanpipe.outputs import write_text
from urbanpipe.settings import Section, plain_message, read_override, read_toml

if TYPE_CHECKING:
    from urbanpipe.models.network import Network


MAX_SEGMENT_VALUES = 2**28


class Recipe(Section):
    """All settings of a training run.

    Attributes:
        name: name of the recipe and of its run folder.
        description: one line for people.
        input: how videos become network inputs; a config of the method that `input.method` names.
        augment: augmentation of training inputs.
        model: backbone, head and initial weights.
        optimiser: AdamW and its schedule.
        loss: loss function.
        training: epochs, batch size, precision and other settings of the loop.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    description: str = ""
    input: SerializeAsAny[InputConfig] = SuperImageConfig()
    augment: AugmentConfig = AugmentConfig()
    model: ModelConfig = ModelConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    loss: LossConfig = LossConfig()
    training: TrainingConfig = TrainingConfig()

    @field_validator("name")
    @classmethod
    def _name_of_a_folder(cls, value: str) -> str:
        if file_name(value) != value:
            raise ValueError(f"no folder on Windows can be called {value[:80]!r}; choose another name")
        return value

    @field_validator("input", mode="before")
    @classmethod
    def _config_of_the_method(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return method_named(value.get("method", SuperImageMethod.name())).config_type.model_validate(value)

    @model_validator(mode="after")
    def _no_setting_without_effect(self) -> Self:
        method_of(self).check(self.input, self)
        if self.input.aspect != "frame" and (values := math.prod(self.input.segment_shape)) > MAX_SEGMENT_VALUES:
            raise ValueError(f"input: a segment of {self.input.segment_shape} has {values} values, at most 2**28 fit")
        if self.loss.class_weights and self.loss.name == "asymmetric":
            raise ValueError("loss.class_weights = true has no effect on the asymmetric loss; use bce or focal")
        if self.model.head_start == "probe" and self.model.head == "ml-decoder":
            raise ValueError('model.head_start = "probe" has no effect on ml-decoder, which is no linear layer')
        if self.model.dropout and self.model.head == "ml-decoder":
            raise ValueError("model.dropout has no effect on ml-decoder; use model.decoder_dropout")
        return self

    @property
    def view(self) -> View:
        """The view of the recipe's method."""
        return method_of(self).view(self.input, self.augment)

    def network(self, classes: int) -> "Network":
        """Return the network with random weights, on the CPU.

        Raises:
            RecipeError: the backbone is unknown, or not of the kind that the method needs.
        """
        return method_of(self).network(self.input, self.model, classes)


def shipped_recipes() -> dict[str, Recipe]:
    """Return the recipes that come with the package, by name."""
    folder = resources.files("urbanpipe.methods") / "recipes"
    names = sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml"))
    return {name: load_recipe(name) for name in names}


def load_recipe(source: str | Path, overrides: list[str] | tuple[str, ...] = ()) -> Recipe:
    """Read a recipe.

    Args:
        source: a shipped recipe's name, or a TOML file.
        overrides: changes of the form `section.key=value`, the value as TOML (a bare word is a string).

    Raises:
        RecipeError: the recipe does not exist, is not TOML, or has an unknown key (the message names the closest match)
            or an invalid value.
    """
    table = _table(str(source))
    for override in overrides:
        set_value(table, override)
    return recipe_from_table(table, str(source))


def recipe_from_table(table: dict[str, Any], where: str) -> Recipe:
    """Validate a table as a recipe; see `load_recipe`."""
    try:
        return Recipe.model_validate(table)
    except ValidationError as error:
        raise RecipeError(f"{where}: {_plain(error.errors()[0], _config_type(table))}") from None


def _config_type(table: dict[str, Any]) -> type[BaseModel]:
    """Return the config type of the table's `[input]` section, or the default where it names no known method."""
    section = table.get("input")
    name = section.get("method") if isinstance(section, dict) else None
    return METHODS[name].config_type if isinstance(name, str) and name in METHODS else SuperImageConfig


def write_recipe(recipe: Recipe, path: Path) -> None:
    """Write every setting, including defaults, as TOML that `load_recipe` reads."""
    write_text(path, recipe_text(recipe))


def recipe_text(recipe: Recipe) -> str:
    """Return every setting as TOML."""
    return tomli_w.dumps(recipe.model_dump(mode="json"))


def difference(one: Recipe, other: Recipe) -> str:
    """Return the first difference of two recipes as `section.key = this instead of that`; empty if there is none.

    Settings that do not affect the result (workers, checkpointing) are ignored.
    """
    for section, value in one.model_dump().items():
        against = other.model_dump()[section]
        for key in value | against if isinstance(value, dict) else ():
            mine, its = value.get(key), against.get(key)
            if mine != its and key not in ("workers", "checkpointing"):
                return f"{section}.{key} = {mine!r} instead of {its!r}"
        if not isinstance(value, dict) and value != against and section != "description":
            return f"{section} = {value!r} instead of {against!r}"
    return ""


def _table(source: str) -> dict[str, Any]:
    named = Path(source).name == source
    shipped = resources.files("urbanpipe.methods") / "recipes" / f"{source}.toml"
    try:
        is_shipped = named and shipped.is_file()
        return tomllib.loads(shipped.read_text(encoding="utf-8")) if is_shipped else read_toml(Path(source))
    except (FileNotFoundError, IsADirectoryError):
        raise RecipeError(f"no recipe {source!r}: {_near_recipes(source)}") from None
    except OSError as error:
        raise RecipeError(f"cannot read the recipe {source}: {error.strerror}") from error
    except ValueError as error:
        raise RecipeError(f"{source} is not TOML: {error}") from error


def _near_recipes(source: str) -> str:
    names = [item.name.removesuffix(".toml") for item in (resources.files("urbanpipe.methods") / "recipes").iterdir()]
    near = difflib.get_close_matches(source, [name for name in names if not name.startswith("_")], n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"{hint}`urbanpipe recipes` lists the shipped ones; any other value must be the path of a TOML file"


def set_value(table: dict[str, Any], override: str) -> None:
    """Apply `section.key=value` to a recipe's table; see `load_recipe`."""
    keys, value = read_override(override, "section.key=value", "training.epochs=10")
    for key in keys[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise RecipeError(f"{override}: {key} is a value, not a section")
    table[keys[-1]] = value


def _plain(error: Any, config_type: type[BaseModel]) -> str:
    where = [str(part) for part in error["loc"]]
    if error["type"] == "extra_forbidden":
        known = _known_keys(where[:-1], config_type)
        near = difflib.get_close_matches(where[-1], known, n=1, cutoff=0.4)
        hint = f"did you mean {'.'.join([*where[:-1], near[0]])}?" if near else f"known are {', '.join(known)}"
        return f"unknown key {'.'.join(where)}; {hint}"
    message = plain_message(error["msg"])
    if not where or message.startswith("input."):
        return message
    if isinstance(error["input"], dict):  # an error about several settings together
        return f"{'.'.join(where)}: {message}"
    return f"{'.'.join(where)} = {repr(error['input'])[:200]}: {message[0].lower()}{message[1:]}"


def _known_keys(sections: list[str], config_type: type[BaseModel]) -> list[str]:
    model: type[BaseModel] = Recipe
    for number, section in enumerate(sections):
        is_input = number == 0 and section == "input"
        inner = config_type if is_input else model.model_fields[section].annotation
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        model = inner
    return list(model.model_fields)
