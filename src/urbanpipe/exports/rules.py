"""The rules of condition figures: scores, limits, weights and texts, read from a versioned TOML file.

All numbers of the standard are in the file; the code only implements how they are combined.
"""

from decimal import Decimal
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from urbanpipe.errors import RecipeError
from urbanpipe.settings import Section, complaint, read_toml

Kind = Literal["structural", "functional"]
_LARGEST = 1_000_000  # no rule needs more, and sums of far larger numbers overflow
Number = Annotated[Decimal, Field(ge=0, le=_LARGEST, allow_inf_nan=False)]
Positive = Annotated[Decimal, Field(gt=0, le=_LARGEST, allow_inf_nan=False)]


class Text(Section):
    """A text in two languages."""

    en: str
    zh: str

    def in_(self, language: str) -> str:
        """Return the text in `language`, `en` or `zh`."""
        return self.zh if language == "zh" else self.en


class DefectRule(Section):
    """Grades of a class.

    Attributes:
        code: code of the class.
        kind: kind of condition that its scores count for.
        scores: scores by grade, from 1; empty if the class is recorded but not scored.
        criteria: meaning of each grade.
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
        """Number of grades: 1 is the slightest, this the worst."""
        return len(self.criteria)


class Level(Text):
    """A level of a figure; of several levels, the first whose limit holds applies.

    Attributes:
        name: name of the level, such as `II`.
        at_most: inclusive upper limit.
        below: exclusive upper limit.
    """

    name: str
    at_most: Number | None = None
    below: Number | None = None

    def holds(self, value: Decimal) -> bool:
        """Return whether `value` is within the limit."""
        return (self.at_most is None or value <= self.at_most) and (self.below is None or value < self.below)


class Levels(Section):
    """Levels of a figure, from the slightest."""

    levels: tuple[Level, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _open_above(self) -> Self:
        limits = [level.at_most if level.below is None else level.below for level in self.levels]
        known = [limit for limit in limits if limit is not None]
        rising = all(low < high for low, high in pairwise(known))
        if limits[-1] is not None or len(known) != len(limits) - 1 or not rising:
            raise ValueError("levels need rising limits (at_most or below), and the last level must have none")
        return self

    def level(self, value: Decimal) -> Level:
        """Return the level of `value`."""
        return next(level for level in self.levels if level.holds(value))


class Places(Section):
    """How defects along a segment are merged; distances and lengths in metres."""

    merge_below_metres: Number
    near_up_to_metres: Number
    near_weight: Positive
    near_weight_in_density: bool
    merged_score_at_most: Number
    least_length_metres: Number


class Parameter(Levels):
    """Names of the parameter of a kind and of the mean and maximum of its scores, and its levels."""

    parameter: str
    mean: str
    maximum: str


class Index(Levels):
    """A weighted sum of a parameter and of K, E and T.

    Attributes:
        index: name of the index.
        weights: weights by name of the value.
        counted_from: by name, the value counts as 0 unless the parameter is at least this.
        counted_above: by name, the value counts as 0 unless the parameter is above this.
    """

    index: str
    weights: dict[str, Number]
    counted_from: dict[str, Number] = Field(default_factory=dict)
    counted_above: dict[str, Number] = Field(default_factory=dict)

    def counts(self, name: str, parameter: Decimal) -> bool:
        """Return whether the value `name` counts for this value of the parameter."""
        above = self.counted_above.get(name)
        return parameter >= self.counted_from.get(name, Decimal(0)) and (above is None or parameter > above)


class Choice(Text):
    """An option that a person chooses for a segment, and its value."""

    key: str
    value: Number

    def label(self, language: str) -> str:
        """Return the label that the table offers: both languages, `language` first."""
        return f"{self.zh} / {self.en}" if language == "zh" else f"{self.en} / {self.zh}"

    @property
    def names(self) -> tuple[str, ...]:
        """All names that a person may enter for it."""
        return (self.key, self.en, self.zh, self.label("en"), self.label("zh"))


class Diameter(Section):
    """Value of pipes whose diameter in millimetres is above or at least a limit; the last entry has no limit."""

    value: Number
    above: Number | None = None
    at_least: Number | None = None


class Rules(Section):
    """All rules of a standard.

    Attributes:
        name: name of the standard.
        year: year of its edition.
        version: version of this file.
        places: how defects are merged.
        classes: grades and scores of the classes.
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
                raise ValueError(f"{index.index} has the unknown values {sorted(unknown)}; known are {sorted(known)}")
        if len(self.by_code) != len(self.classes):
            raise ValueError("a code occurs twice; list each class once")
        last = self.diameters[-1]
        if last.above is not None or last.at_least is not None:
            raise ValueError("the last of the diameters must have no limit, to cover all other pipes")
        return self

    @cached_property
    def by_code(self) -> dict[str, DefectRule]:
        """Classes by code."""
        return {rule.code: rule for rule in self.classes}

    def pipe_value(self, diameter_mm: Decimal) -> Decimal:
        """Return E of a pipe, given its diameter in millimetres."""
        for rule in self.diameters:
            above = rule.above is None or diameter_mm > rule.above
            if above and (rule.at_least is None or diameter_mm >= rule.at_least):
                return rule.value
        raise AssertionError("the last diameter has no limit")


def read_rules(path: Path | None = None) -> Rules:
    """Read rules; default: those of CJJ 181-2012.

    Raises:
        RecipeError: the file cannot be read, is not TOML, or does not contain valid rules.
    """
    path = Path(path or Path(__file__).with_name("cjj181.toml"))
    try:
        table: dict[str, Any] = read_toml(path, parse_float=Decimal)
    except OSError as error:
        raise RecipeError(f"cannot read the rules {path}: {error.strerror}") from error
    except (ValueError, ArithmeticError, RecursionError) as error:  # also for numbers and brackets without end
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise RecipeError(f"{path} is not TOML: {reason}") from error
    try:
        return Rules.model_validate(table)
    except ValidationError as error:
        raise RecipeError(f"{path} has no valid rules: {complaint(error)}; start from a copy of cjj181.toml") from None
