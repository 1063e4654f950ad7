"""Settings of moments: how they are made of scores, and by how much each class is moved."""

import difflib
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, FiniteFloat, ValidationError

from urbanpipe.errors import RecipeError, TaxonomyError
from urbanpipe.settings import Section, value_of
from urbanpipe.taxonomy import Taxonomy


class MomentsConfig(Section):
    """How moments are made of scores.

    Attributes:
        smooth_seconds: standard deviation of the Gaussian that smooths scores over time; 0 smooths nothing.
        min_score: a moment's score must be above this.
        apart_seconds: of two peaks of a class that are nearer than this, the higher one stays.
        max_moments: moments a class and video.
        weigh_by_video: a moment's score is the peak times the video's probability of the class.
        learn_shift: move the moments of a class by what the truth of other videos teaches.
        shift_prior: for how many moments the shift that all classes have in common counts in that of each class.
        shift_seconds: shift by class code, 0 for those not named; where it is given, none is learned.
    """

    smooth_seconds: float = Field(2.0, ge=0, allow_inf_nan=False)
    min_score: float = Field(0.01, ge=0, le=1)
    apart_seconds: float = Field(10.0, ge=0, allow_inf_nan=False)
    max_moments: int = Field(10, ge=1)
    weigh_by_video: bool = True
    learn_shift: bool = True
    shift_prior: float = Field(5.0, ge=0, allow_inf_nan=False)
    shift_seconds: dict[str, FiniteFloat] = Field(default_factory=dict)


def read_config(settings: Path | None, overrides: Sequence[str]) -> MomentsConfig:
    """The settings of a file (TOML), or the defaults, with `key=value` overrides.

    Raises:
        RecipeError: the file cannot be read, or a key or value is not known.
    """
    try:
        values = tomllib.loads(Path(settings).read_text(encoding="utf-8")) if settings else {}
    except OSError as error:
        raise RecipeError(f"cannot read the settings {settings}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{settings} is not TOML: {error}") from error
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise RecipeError(f"--set {override}: want key=value, for example --set min_score=0.1")
        values[key.strip()] = value_of(text)
    try:
        return MomentsConfig.model_validate(values)
    except ValidationError as error:
        raise RecipeError(_plain(error.errors()[0], f"{settings}" if settings else "--set")) from None


def _plain(error: Any, where: str) -> str:
    key, known = ".".join(map(str, error["loc"])), list(MomentsConfig.model_fields)
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.4)
        return f"{where}: unknown key {key}; " + (f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}")
    return f"{where}: {key} = {error['input']!r}: {error['msg'][0].lower()}{error['msg'][1:]}"


def given_shifts(config: MomentsConfig, taxonomy: Taxonomy) -> NDArray[np.float64]:
    """The shifts that the settings hold, (C,) seconds."""
    shifts = np.zeros(len(taxonomy))
    try:
        for code, value in config.shift_seconds.items():
            shifts[taxonomy.index(code)] = value
    except TaxonomyError as error:
        raise RecipeError(f"shift_seconds: {error}") from error
    return shifts
