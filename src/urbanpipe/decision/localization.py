"""Settings of moments: how scores become moments, and by how much the moments of each class are shifted."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, FiniteFloat, ValidationError

from urbanpipe.errors import RecipeError, TaxonomyError
from urbanpipe.settings import Section, plain_message, read_override, read_toml
from urbanpipe.taxonomy import Taxonomy


class MomentsConfig(Section):
    """How scores become moments.

    Attributes:
        smooth_seconds: standard deviation of the Gaussian that smooths scores over time; 0 disables smoothing.
        smooth_share: the standard deviation is at most this share of the video's duration.
        min_score: a moment's score must be above this.
        apart_seconds: of two peaks of a class that are closer than this, the higher one is kept.
        max_moments: maximum number of moments per class and video.
        valley_share: two peaks of an inspection are separate occurrences if the score between them falls to this share
            of the lower one.
        interval_share: an occurrence of an inspection lasts while the score stays above this share of its peak.
        weigh_by_video: multiply the score of a peak by the video's probability of the class.
        learn_shift: shift the moments of a class by an offset estimated from the ground truth of other videos.
        shift_prior: number of moments that the shift common to all classes counts for in the shift of each class.
        shift_seconds: shift by class code, 0 for classes not named; if given, none is learned.
    """

    smooth_seconds: float = Field(2.0, ge=0, le=3600)
    smooth_share: float = Field(1 / 15, gt=0, le=1)
    min_score: float = Field(0.01, ge=0, le=1)
    apart_seconds: float = Field(10.0, ge=0, allow_inf_nan=False)
    max_moments: int = Field(10, ge=1)
    valley_share: float = Field(0.75, ge=0, le=1)
    interval_share: float = Field(0.6, gt=0, le=1)
    weigh_by_video: bool = True
    learn_shift: bool = True
    shift_prior: float = Field(5.0, ge=0, allow_inf_nan=False)
    shift_seconds: dict[str, FiniteFloat] = Field(default_factory=dict)

    def smoothing(self, duration_seconds: float) -> float:
        """Return the standard deviation, in seconds, of the Gaussian for a video of this duration."""
        return min(self.smooth_seconds, self.smooth_share * duration_seconds)


def read_config(settings: Path | None, overrides: Sequence[str]) -> MomentsConfig:
    """Read the settings from a TOML file, or take the defaults, and apply `key=value` overrides.

    Raises:
        RecipeError: the file cannot be read, a key is unknown, or a value is invalid.
    """
    try:
        values = read_toml(Path(settings)) if settings else {}
    except OSError as error:
        raise RecipeError(f"cannot read the settings {settings}: {error.strerror}") from error
    except ValueError as error:
        raise RecipeError(f"{settings} is not TOML: {error}") from error
    for override in overrides:
        keys, value = read_override(override, "key=value", "min_score=0.1")
        values[".".join(keys)] = value
    try:
        return MomentsConfig.model_validate(values)
    except ValidationError as error:
        raise RecipeError(_plain(error.errors()[0], f"{settings}" if settings else "--set")) from None


def _plain(error: Any, where: str) -> str:
    key, known = ".".join(map(str, error["loc"])), list(MomentsConfig.model_fields)
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.4)
        return f"{where}: unknown key {key}; " + (f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}")
    message = plain_message(error["msg"])
    return f"{where}: {key} = {error['input']!r}: {message[0].lower()}{message[1:]}"


def given_shifts(config: MomentsConfig, taxonomy: Taxonomy) -> NDArray[np.float64]:
    """Return the shifts that the settings give, (C,) seconds.

    Raises:
        RecipeError: a code is not in the taxonomy.
    """
    shifts = np.zeros(len(taxonomy))
    try:
        for code, value in config.shift_seconds.items():
            shifts[taxonomy.index(code)] = value
    except TaxonomyError as error:
        raise RecipeError(f"shift_seconds: {error}") from error
    return shifts
