"""Settings of pretraining; importable without torch."""

import difflib
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field, ValidationError

from urbanpipe.errors import RecipeError
from urbanpipe.settings import Section, plain_message, read_override


class PretrainConfig(Section):
    """Settings common to both methods.

    Attributes:
        weights: initial weights of the backbone: `random`, `hub` or a file.
        options: keyword arguments of the timm model, as in a recipe.
        size: height and width of the input frames, in pixels.
        every_seconds: interval between the frames of a video.
        epochs: number of passes over the frames.
        batch_size: frames per batch.
        learning_rate: peak learning rate of AdamW.
        weight_decay: weight decay; not applied to biases and norms.
        warmup_epochs: epochs of linear warm-up to the peak learning rate, followed by half a cosine.
        clip_norm: maximum gradient norm; 0 disables clipping.
        precision: `auto`, `fp32`, `bf16` or `fp16`, as in a recipe.
        workers: number of loading processes; -1 uses the available cores, at most 8.
        seed: seed of initial weights, order and augmentation.
    """

    method: ClassVar[str]
    weights: str = "random"
    options: dict[str, str | int | float | bool | list[int]] = Field(default_factory=dict)
    size: int = Field(224, ge=16, le=1024)
    every_seconds: float = Field(1.0, gt=0, le=3600)
    epochs: int = Field(100, ge=1)
    batch_size: int = Field(256, ge=2)
    learning_rate: float = Field(5e-4, gt=0, allow_inf_nan=False)
    weight_decay: float = Field(0.05, ge=0, allow_inf_nan=False)
    warmup_epochs: float = Field(5.0, ge=0)
    clip_norm: float = Field(1.0, ge=0)
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    workers: int = Field(-1, ge=-1)
    seed: int = Field(0, ge=0)


class SimCLRConfig(PretrainConfig):
    """SimCLR (arXiv 2002.05709), with AdamW instead of LARS, as batches here are far smaller.

    Attributes:
        temperature: temperature of the NT-Xent loss.
        projection: output width of the projection head.
        crop_scale: minimum share of the area that a random crop keeps.
        colour_strength: strength s of the colour distortion (appendix A).
    """

    method: ClassVar[str] = "simclr"
    temperature: float = Field(0.1, gt=1e-3, allow_inf_nan=False)
    projection: int = Field(128, ge=8)
    crop_scale: float = Field(0.08, gt=0, le=1)
    colour_strength: float = Field(1.0, ge=0, le=1)


class MAEConfig(PretrainConfig):
    """Masked autoencoder (arXiv 2111.06377), with each patch normalised by itself as the target.

    Attributes:
        mask_ratio: share of masked patches.
        decoder_width, decoder_depth, decoder_heads: size of the decoder, which is discarded after pretraining.
        crop_scale: minimum share of the area that a random crop keeps.
    """

    method: ClassVar[str] = "mae"
    epochs: int = Field(200, ge=1)
    mask_ratio: float = Field(0.75, gt=0, lt=1)
    decoder_width: int = Field(512, ge=16)
    decoder_depth: int = Field(8, ge=1)
    decoder_heads: int = Field(16, ge=1)
    crop_scale: float = Field(0.2, gt=0, le=1)


METHODS: dict[str, type[SimCLRConfig | MAEConfig]] = {"simclr": SimCLRConfig, "mae": MAEConfig}


def read_settings(method: str, overrides: Sequence[str]) -> SimCLRConfig | MAEConfig:
    """Return the settings of a method with `key=value` overrides, values as TOML (a bare word is a string).

    Raises:
        RecipeError: the method, a key or a value does not exist or is invalid.
    """
    if method not in METHODS:
        raise RecipeError(f"--method {method}: the methods are {', '.join(METHODS)}")
    values: dict[str, Any] = {}
    for override in overrides:
        keys, value = read_override(override, "key=value", "epochs=50")
        values[".".join(keys)] = value
    try:
        return METHODS[method].model_validate(values)
    except ValidationError as error:
        raise RecipeError(_plain(error.errors()[0], method)) from None


def _plain(error: Any, method: str) -> str:
    key, known = ".".join(map(str, error["loc"])), list(METHODS[method].model_fields)
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.4)
        return f"--set {key}: {method} has no such setting; " + (
            f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
        )
    message = plain_message(error["msg"])
    return f"--set {key} = {error['input']!r}: {message[0].lower()}{message[1:]}"
