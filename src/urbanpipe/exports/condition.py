"""Condition figures of pipe segments, computed from the grades that people gave, by rules read from a file.

The rules are those of CJJ 181-2012, chapter 8, as given in `cjj181.toml`. All arithmetic uses decimals, so that a value
exactly on a limit stays there.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from itertools import pairwise

from urbanpipe.exports.rules import Index, Kind, Level, Parameter, Rules

ZERO = Decimal(0)


@dataclass(frozen=True)
class Defect:
    """A defect that a person graded.

    Attributes:
        code: code of a class in the rules.
        grade: grade, from 1.
        start: start in metres along the segment.
        length: length in metres; 0 for a point defect.
        picture: path of a picture of it, relative to the table; empty without one.
    """

    code: str
    grade: int
    start: Decimal
    length: Decimal = ZERO
    picture: str = ""

    @property
    def end(self) -> Decimal:
        """End in metres along the segment."""
        return self.start + self.length


@dataclass(frozen=True)
class Segment:
    """A pipe from shaft to shaft with the data that a person entered.

    Attributes:
        name: name of the segment.
        length: length in metres, above 0.
        diameter: diameter in millimetres, above 0.
        region: value of K.
        soil: value of T.
        reviewer: person responsible for grades and data.
        defects: scored defects.
        recorded: codes of defects that are recorded but not scored.
        struck: number of proposals that the person rejected.
    """

    name: str
    length: Decimal
    diameter: Decimal
    region: Decimal
    soil: Decimal
    reviewer: str
    defects: tuple[Defect, ...] = ()
    recorded: tuple[str, ...] = ()
    struck: int = 0


@dataclass(frozen=True)
class Place:
    """Defects that are merged into one.

    Attributes:
        start: start of the first, metres along the segment.
        end: end of the last, metres along the segment.
        score: sum of their scores, limited by the rules.
        defects: number of defects.
        weight: weight of the score in mean and density.
    """

    start: Decimal
    end: Decimal
    score: Decimal
    defects: int = 1
    weight: Decimal = Decimal(1)


@dataclass(frozen=True)
class Figures:
    """Condition figures for one kind of defects in a segment.

    Attributes:
        places: places in order along the segment.
        mean: S or Y, sum of weighted scores divided by the number of places; 0 without any.
        maximum: Smax or Ymax, the highest score of a place.
        value: F or G, the larger of mean and maximum.
        level: level of the value.
        density: share of the segment that defects of the mean score would fill.
        density_level: level of the density; None without defects.
    """

    places: tuple[Place, ...]
    mean: Decimal
    maximum: Decimal
    value: Decimal
    level: Level
    density: Decimal
    density_level: Level | None


@dataclass(frozen=True)
class IndexFigure:
    """RI or MI.

    Attributes:
        value: the weighted sum.
        level: level of the value.
        counted: values in the sum, by name; 0 for those that do not count because the parameter is too small.
    """

    value: Decimal
    level: Level
    counted: dict[str, Decimal]


@dataclass(frozen=True)
class SegmentCondition:
    """All condition figures of a segment."""

    segment: Segment
    structural: Figures
    functional: Figures
    repair: IndexFigure
    maintenance: IndexFigure

    @cached_property
    def defects(self) -> int:
        """Number of scored defects."""
        return len(self.segment.defects)


def segment_condition(segment: Segment, rules: Rules) -> SegmentCondition:
    """Compute the condition figures of a segment whose defects a person graded."""
    structural = _figures(segment, "structural", rules.structural, rules)
    functional = _figures(segment, "functional", rules.functional, rules)
    given = {"K": segment.region, "E": rules.pipe_value(segment.diameter), "T": segment.soil}
    return SegmentCondition(
        segment=segment,
        structural=structural,
        functional=functional,
        repair=_index(rules.repair, rules.structural.parameter, structural.value, given),
        maintenance=_index(rules.maintenance, rules.functional.parameter, functional.value, given),
    )


def merged(defects: Iterable[Defect], rules: Rules) -> list[Place]:
    """Merge defects into places, in order along the segment, each with its weight.

    A defect joins the preceding place if the clear distance to that place's end is less than `merge_below_metres`; the
    scores are added, up to `merged_score_at_most`. A place gets the near weight if the next one on either side is at
    most `near_up_to_metres` away.
    """
    limits = rules.places
    places: list[Place] = []
    for one in sorted(defects, key=lambda defect: (defect.start, defect.end)):
        score = rules.by_code[one.code].scores[one.grade - 1]
        if places and one.start - places[-1].end < limits.merge_below_metres:
            last = places[-1]
            total = min(last.score + score, max(limits.merged_score_at_most, last.score, score))
            places[-1] = replace(last, end=max(last.end, one.end), score=total, defects=last.defects + 1)
        else:
            places.append(Place(one.start, one.end, score))
    return _weighted(places, limits.near_up_to_metres, limits.near_weight)


def _weighted(places: Sequence[Place], near_metres: Decimal, weight: Decimal) -> list[Place]:
    near = [after.start - before.end <= near_metres for before, after in pairwise(places)]
    sides = zip([False, *near], [*near, False], strict=True) if places else ()
    return [replace(one, weight=weight) if any(side) else one for one, side in zip(places, sides, strict=True)]


def _figures(segment: Segment, kind: Kind, parameter: Parameter, rules: Rules) -> Figures:
    """Compute S, Smax and F (or Y, Ymax and G) and the density: sections 8.2 and 8.3 of the standard."""
    places = merged((one for one in segment.defects if rules.by_code[one.code].kind == kind), rules)
    if not places:
        return Figures((), ZERO, ZERO, ZERO, parameter.level(ZERO), ZERO, None)
    limits = rules.places
    total = sum((one.score * one.weight for one in places), ZERO)
    filled = sum(
        (
            one.score
            * (one.weight if limits.near_weight_in_density else 1)
            * max(one.end - one.start, limits.least_length_metres)
            for one in places
        ),
        ZERO,
    )
    mean, maximum = total / len(places), max(one.score for one in places)
    value = max(mean, maximum)
    # not from the mean, which may be rounded: a density exactly on a limit must stay there
    density = filled * len(places) / (total * segment.length)
    level = rules.density.level(density)
    return Figures(tuple(places), mean, maximum, value, parameter.level(value), density, level)


def _index(rule: Index, parameter: str, value: Decimal, given: dict[str, Decimal]) -> IndexFigure:
    """Compute RI = .7 F + .1 K + .05 E + .15 T or MI = .8 G + .15 K + .05 E, with the weights of the rules."""
    counted = {name: one if rule.counts(name, value) else ZERO for name, one in given.items() if name in rule.weights}
    counted[parameter] = value
    total = sum((rule.weights[name] * one for name, one in counted.items() if name in rule.weights), ZERO)
    return IndexFigure(total, rule.level(total), counted)
