"""The recipe: every setting of a training run, in one TOML file that is checked before anything starts."""

import difflib
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self

import tomli_w
from pydantic import BaseModel, Field, ValidationError, model_validator

from urbanpipe.errors import RecipeError
from urbanpipe.inputs.config import METHODS, AugmentConfig, BagConfig, DenseConfig, InputConfig, SuperImageConfig
from urbanpipe.models.config import BagHeadConfig, DenseHeadConfig, ModelConfig
from urbanpipe.outputs import write_text
from urbanpipe.settings import Section, value_of


class OptimiserConfig(Section):
    """AdamW and its rates.

    Attributes:
        learning_rate: highest learning rate, of the head.
        backbone_lr_scale: the backbone's rate as a share of the head's.
        layer_decay: further factor a layer of the backbone, from the last to the first; 1 is none.
        weight_decay: on weights; never on biases and norms.
        schedule: `onecycle` (cosine up and down, and momentum against it) or `cosine` (linear up, cosine down).
        warmup_epochs: epochs until the highest rate; at most nine tenths of all epochs, however large.
        clip_norm: largest gradient norm; 0 is no clipping.
        fused: torch's fused AdamW, on a GPU.
    """

    learning_rate: float = Field(1e-3, gt=0, allow_inf_nan=False)
    backbone_lr_scale: float = Field(1.0, ge=0, le=1)
    layer_decay: float = Field(1.0, gt=0, le=1)
    weight_decay: float = Field(0.02, ge=0, allow_inf_nan=False)
    schedule: Literal["onecycle", "cosine"] = "onecycle"
    warmup_epochs: float = Field(9.0, ge=0)
    clip_norm: float = Field(1.0, ge=0)
    fused: bool = True


class LossConfig(Section):
    """The loss.

    Attributes:
        name: `asymmetric` (arXiv 2009.14119), `bce` or `focal` (arXiv 1708.02002).
        gamma_negative, gamma_positive, clip: of the asymmetric loss.
        gamma: of the focal loss.
        class_weights: weigh positives by the square root of negatives over positives of their class (`bce`, `focal`).
    """

    name: Literal["asymmetric", "bce", "focal"] = "asymmetric"
    gamma_negative: float = Field(4.0, ge=0)
    gamma_positive: float = Field(1.0, ge=0)
    clip: float = Field(0.05, ge=0, lt=1)
    gamma: float = Field(2.0, ge=0)
    class_weights: bool = False


class TrainingConfig(Section):
    """How long, how much at once, at what precision.

    Attributes:
        epochs: passes over the training videos.
        batch_size: videos at once in a process.
        accumulation: batches a step and process; a step sees batch_size * accumulation * processes videos.
        precision: `fp32`, `bf16` or `fp16` (mixed).
        checkpointing: recompute activations in the backward pass, for memory.
        channels_last: memory layout, faster for most convolutional networks.
        compile: torch.compile the network.
        ema_decay: of the EMA of weights, reached by a warm-up; 0 is none.
        keep: `best` epoch by validation mAP, or `last`.
        validate_every: validate after every so many epochs, and after the last; `best` is one of these.
        workers: loading processes a training process; -1 takes what the machine has, at most 8.
        seed: of initial weights, order and augmentation.
    """

    epochs: int = Field(30, ge=1)
    batch_size: int = Field(4, ge=1)
    accumulation: int = Field(8, ge=1)
    precision: Literal["fp32", "bf16", "fp16"] = "bf16"
    checkpointing: bool = False
    channels_last: bool = True
    compile: bool = False
    ema_decay: float = Field(0.998, ge=0, lt=1)
    keep: Literal["best", "last"] = "best"
    validate_every: int = Field(1, ge=1)
    workers: int = Field(-1, ge=-1)
    seed: int = Field(0, ge=0)


class MemoryConfig(Section):
    """The feature memory of the dense method, and the phases of its training.

    Attributes:
        keep_stale: p, the probability with which a feature from the memory takes part in a step.
        max_stored: in the mode `stale` at most so many features from the memory take part for a video, drawn at
            random, which bounds memory for videos of many minutes.
        write: what a step writes back: the `fresh` features, or those of the EMA's encoder (`ema`).
        refresh_epochs: the whole memory is encoded anew every so many epochs; 0 never does.
        warmup_epochs: first epochs, in which the head alone learns, on the memory as it was filled.
        final_epochs: last epochs, in which the head alone learns, on features of the EMA's encoder.
        auxiliary: weight of the loss on the pooled logits of the fresh clips alone.
    """

    keep_stale: float = Field(0.5, ge=0, le=1)
    max_stored: int = Field(1024, ge=1)
    write: Literal["fresh", "ema"] = "fresh"
    refresh_epochs: int = Field(3, ge=0)
    warmup_epochs: int = Field(1, ge=0)
    final_epochs: int = Field(2, ge=0)
    auxiliary: float = Field(0.2, ge=0, allow_inf_nan=False)


_DECODER = ("decoder_width", "decoder_heads", "decoder_hidden", "decoder_dropout")


class Recipe(Section):
    """One row of a table: what is trained and how.

    Attributes:
        name: also the name of the run's folder.
        description: one line for people.
        input: what the network sees, by `method`.
        dense, memory: of the dense method alone.
        bag: of the bag method alone.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    description: str = ""
    input: InputConfig = Field(SuperImageConfig(), discriminator="method")
    augment: AugmentConfig = AugmentConfig()
    model: ModelConfig = ModelConfig()
    dense: DenseHeadConfig = DenseHeadConfig()
    memory: MemoryConfig = MemoryConfig()
    bag: BagHeadConfig = BagHeadConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    loss: LossConfig = LossConfig()
    training: TrainingConfig = TrainingConfig()

    @model_validator(mode="before")
    @classmethod
    def _known_method(cls, table: Any) -> Any:
        given = table.get("input") if isinstance(table, dict) else None
        if not isinstance(given, dict):
            return table
        if (method := given.get("method", "super-image")) not in [*METHODS]:
            raise ValueError(f"input.method = {method!r}: the methods are {', '.join(METHODS)}")
        return table | {"input": {"method": method, **given}}

    @model_validator(mode="after")
    def _no_setting_without_effect(self) -> Self:
        if isinstance(self.input, DenseConfig):
            self._dense_phases_fit()
        elif (self.dense, self.memory) != (DenseHeadConfig(), MemoryConfig()):
            raise ValueError(f"the sections dense and memory have no effect on the method {self.input.method}")
        if isinstance(self.input, BagConfig):
            self._bag_is_frozen()
        elif self.bag != BagHeadConfig():
            raise ValueError(f"the section bag has no effect on the method {self.input.method}")
        if self.loss.class_weights and self.loss.name == "asymmetric":
            raise ValueError("loss.class_weights = true has no effect on the asymmetric loss; use bce or focal")
        if self.model.dropout and self.model.head == "ml-decoder":
            raise ValueError("model.dropout has no effect on ml-decoder; use model.decoder_dropout")
        return self

    def _bag_is_frozen(self) -> None:
        model, optimiser = self.model, self.optimiser
        without_effect = {
            "model.head": model.head != "linear",
            "model.dropout": model.dropout,
            "model.drop_path": model.drop_path,
            "optimiser.backbone_lr_scale": optimiser.backbone_lr_scale < 1,
            "optimiser.layer_decay": optimiser.layer_decay < 1,
            "training.compile": self.training.compile,
            "training.checkpointing": self.training.checkpointing,
            **{f"model.{key}": getattr(model, key) != getattr(ModelConfig(), key) for key in _DECODER},
            "the section augment": self.augment != AugmentConfig(),
        }
        if given := [name for name, is_given in without_effect.items() if is_given]:
            raise ValueError(f"{given[0]} has no effect on the bag method: its backbone is frozen, its head is [bag]")

    def _dense_phases_fit(self) -> None:
        if self.model.head != "linear" or self.model.dropout:
            raise ValueError("model.head and model.dropout have no effect on the dense method; its head is [dense]")
        if self.training.compile:
            raise ValueError("training.compile = true has no effect on the dense method")
        if self.memory.write == "ema" and not self.training.ema_decay:
            raise ValueError('memory.write = "ema" needs a EMA: give training.ema_decay')
        alone = self.memory.warmup_epochs + self.memory.final_epochs
        if alone >= self.training.epochs:
            raise ValueError(
                f"training.epochs = {self.training.epochs}: memory.warmup_epochs and memory.final_epochs take {alone} "
                "and leave none for the encoder"
            )


def shipped_recipes() -> dict[str, Recipe]:
    """The recipes that come with the package, by name."""
    folder = resources.files("urbanpipe.methods") / "recipes"
    names = sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml"))
    return {name: load_recipe(name) for name in names}


def load_recipe(source: str | Path, overrides: list[str] | tuple[str, ...] = ()) -> Recipe:
    """Read a recipe.

    Args:
        source: a shipped recipe's name, or a TOML file.
        overrides: `section.key=value` each, the value as TOML (a bare word is a string).

    Raises:
        RecipeError: no such recipe, not TOML, an unknown key (the nearest known one is named) or a bad value.
    """
    table = _table(str(source))
    for override in overrides:
        set_value(table, override)
    return recipe_from_table(table, str(source))


def recipe_from_table(table: dict[str, Any], where: str) -> Recipe:
    """Check a table; see `load_recipe`."""
    try:
        return Recipe.model_validate(table)
    except ValidationError as error:
        raise RecipeError(f"{where}: {_plain(error.errors()[0])}") from None


def write_recipe(recipe: Recipe, path: Path) -> None:
    """Write every setting, defaults included, as TOML that `load_recipe` reads."""
    write_text(path, recipe_text(recipe))


def recipe_text(recipe: Recipe) -> str:
    """Every setting as TOML."""
    return tomli_w.dumps(recipe.model_dump(mode="json"))


def difference(one: Recipe, other: Recipe) -> str:
    """The first setting in which two recipes differ, as `section.key = this instead of that`; empty if none does.

    Settings that change how a result is come by and not the result (workers, checkpointing) do not count.
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
        text = shipped.read_text(encoding="utf-8") if is_shipped else Path(source).read_text(encoding="utf-8")
        return tomllib.loads(text)
    except (FileNotFoundError, IsADirectoryError):
        raise RecipeError(f"no recipe {source!r}: {_near_recipes(source)}") from None
    except OSError as error:
        raise RecipeError(f"cannot read the recipe {source}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{source} is not TOML: {error}") from error


def _near_recipes(source: str) -> str:
    names = [item.name.removesuffix(".toml") for item in (resources.files("urbanpipe.methods") / "recipes").iterdir()]
    near = difflib.get_close_matches(source, [name for name in names if not name.startswith("_")], n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"{hint}`urbanpipe recipes` lists those that come with it; anything else is the path of a TOML file"


def set_value(table: dict[str, Any], override: str) -> None:
    """Carry out `section.key=value` in a recipe's table; see `load_recipe`."""
    path, equals, text = override.partition("=")
    keys = [key.strip() for key in path.split(".")]
    if not equals or not all(keys):
        raise RecipeError(f"{override}: want section.key=value, for example training.epochs=10")
    for key in keys[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise RecipeError(f"{override}: {key} is a value, not a section")
    table[keys[-1]] = value_of(text)


def _plain(error: Any) -> str:
    where = [str(part) for part in error["loc"]]
    method = where.pop(1) if len(where) > 1 and where[0] == "input" else ""
    if error["type"] == "extra_forbidden":
        known = _known_keys(where[:-1], method)
        near = difflib.get_close_matches(where[-1], known, n=1, cutoff=0.4)
        hint = f"did you mean {'.'.join([*where[:-1], near[0]])}?" if near else f"known are {', '.join(known)}"
        return f"unknown key {'.'.join(where)}; {hint}"
    message: str = error["msg"].removeprefix("Value error, ")
    if not where:
        return message
    if isinstance(error["input"], dict):  # of settings together, not of one
        return f"{'.'.join(where)}: {message}"
    return f"{'.'.join(where)} = {error['input']!r}: {message[0].lower()}{message[1:]}"


def _known_keys(sections: list[str], method: str) -> list[str]:
    model: type[BaseModel] = Recipe
    for section in sections:
        inner = METHODS[method] if section == "input" else model.model_fields[section].annotation
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        model = inner
    return list(model.model_fields)
