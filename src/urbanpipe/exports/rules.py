"""The rules of condition figures: scores, limits, weights and texts, read from a versioned TOML file.

The code that computes knows no number of the standard; it knows only how the rules are put together.
"""

import tomllib
from decimal import Decimal
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from urbanpipe.errors import RecipeError
from urbanpipe.settings import Section, complaint

Kind = Literal["structural", "functional"]
Number = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[Decimal, Field(gt=0, allow_inf_nan=False)]


class Text(Section):
    """The same in two languages."""

    en: str
    zh: str

    def in_(self, language: str) -> str:
        """The text in `language`, `en` or `zh`."""
        return self.zh if language == "zh" else self.en


class DefectRule(Section):
    """Grades of a class.

    Attributes:
        code: of the class.
        kind: what its scores count for.
        scores: by grade from 1; empty where the class is recorded and not scored.
        criteria: what each grade means.
    """

    code: str
    kind: Kind
    scores: tuple[Positive, ...] = ()
    criteria: tuple[Text, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.scores and len(self.scores) != len(self.criteria):
            raise ValueError(f"{self.code} has {len(self.scores)} scores and {len(self.criteria)} criteria")
        return self

    @property
    def grades(self) -> int:
        """How many there are: 1 is the slightest, this the worst."""
        return len(self.criteria)


class Level(Text):
    """A grade of a figure; the first of several whose limit holds.

    Attributes:
        name: such as `II`.
        at_most: limit that still belongs to it.
        below: limit that does not.
    """

    name: str
    at_most: Number | None = None
    below: Number | None = None

    def holds(self, value: Decimal) -> bool:
        """Whether `value` is within its limit."""
        return (self.at_most is None or value <= self.at_most) and (self.below is None or value < self.below)


class Levels(Section):
    """Grades of a figure, from the slightest."""

    levels: tuple[Level, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _open_above(self) -> Self:
        limits = [level.at_most if level.below is None else level.below for level in self.levels]
        known = [limit for limit in limits if limit is not None]
        rising = all(low < high for low, high in pairwise(known))
        if limits[-1] is not None or len(known) != len(limits) - 1 or not rising:
            raise ValueError("levels need rising limits (at_most or below), and the last none")
        return self

    def level(self, value: Decimal) -> Level:
        """The level of `value`."""
        return next(level for level in self.levels if level.holds(value))


class Places(Section):
    """How defects along a segment are put together; distances and lengths in metres."""

    merge_below_metres: Number
    near_up_to_metres: Number
    near_weight: Positive
    near_weight_in_density: bool
    merged_score_at_most: Number
    least_length_metres: Number


class Parameter(Levels):
    """What a kind's parameter, the mean and the largest of its scores are called, and its levels."""

    parameter: str
    mean: str
    maximum: str


class Index(Levels):
    """A weighted sum of a parameter and of K, E and T.

    Attributes:
        index: its name.
        weights: by name of the value.
        counted_from: the value counts as 0 unless the parameter is at least this.
        counted_above: likewise, unless the parameter is above this.
    """

    index: str
    weights: dict[str, Number]
    counted_from: dict[str, Number] = Field(default_factory=dict)
    counted_above: dict[str, Number] = Field(default_factory=dict)

    def counts(self, name: str, parameter: Decimal) -> bool:
        """Whether the value called `name` counts beside a parameter of this size."""
        above = self.counted_above.get(name)
        return parameter >= self.counted_from.get(name, Decimal(0)) and (above is None or parameter > above)


class Choice(Text):
    """What a person chooses for a segment, and the value that it stands for."""

    key: str
    value: Number

    def label(self, language: str) -> str:
        """As the table offers it: both languages, `language` first."""
        return f"{self.zh} / {self.en}" if language == "zh" else f"{self.en} / {self.zh}"

    @property
    def names(self) -> tuple[str, ...]:
        """All that a person may write for it."""
        return (self.key, self.en, self.zh, self.label("en"), self.label("zh"))


class Diameter(Section):
    """Value of pipes whose diameter in millimetres is above or at least something; the last has neither."""

    value: Number
    above: Number | None = None
    at_least: Number | None = None


class Rules(Section):
    """All rules of a standard.

    Attributes:
        name: of the standard.
        year: of its edition.
        version: of this file.
        places: how defects are put together.
        classes: grades and scores.
        structural, functional: levels of the two parameters.
        density: levels of the density of defects.
        repair, maintenance: the two indices.
        regions: choices of K.
        diameters: values of E.
        soils: choices of T.
    """

    name: str
    year: int
    version: str
    places: Places
    classes: tuple[DefectRule, ...] = Field(min_length=1)
    structural: Parameter
    functional: Parameter
    density: Levels
    repair: Index
    maintenance: Index
    regions: tuple[Choice, ...] = Field(min_length=1)
    diameters: tuple[Diameter, ...] = Field(min_length=1)
    soils: tuple[Choice, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        for parameter, index in ((self.structural, self.repair), (self.functional, self.maintenance)):
            known = {parameter.parameter, "K", "E", "T"}
            if unknown := {*index.weights, *index.counted_from, *index.counted_above} - known:
                raise ValueError(f"{index.index} speaks of {sorted(unknown)}; known are {sorted(known)}")
        if len(self.by_code) != len(self.classes):
            raise ValueError("a code is there twice")
        last = self.diameters[-1]
        if last.above is not None or last.at_least is not None:
            raise ValueError("the last of the diameters must be for all others, without a limit")
        return self

    @cached_property
    def by_code(self) -> dict[str, DefectRule]:
        """The classes by code."""
        return {rule.code: rule for rule in self.classes}

    def pipe_value(self, diameter_mm: Decimal) -> Decimal:
        """E of a pipe."""
        for rule in self.diameters:
            above = rule.above is None or diameter_mm > rule.above
            if above and (rule.at_least is None or diameter_mm >= rule.at_least):
                return rule.value
        raise AssertionError("the last diameter has no limit")


def read_rules(path: Path | None = None) -> Rules:
    """Read rules; by default those of CJJ 181-2012.

    Raises:
        RecipeError: the file cannot be read, is not TOML, or does not describe rules.
    """
    path = Path(path or Path(__file__).with_name("cjj181.toml"))
    try:
        table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as error:
        raise RecipeError(f"cannot read the rules {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not TOML: {error}") from error
    try:
        return Rules.model_validate(table)
    except ValidationError as error:
        raise RecipeError(f"{path} holds no rules: {complaint(error)}; start from a copy of cjj181.toml") from None
