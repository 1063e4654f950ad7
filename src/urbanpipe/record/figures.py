"""The derivation of condition figures, step by step, in the terms of the rules."""

from dataclasses import dataclass
from decimal import Decimal

from urbanpipe.exports.condition import Figures, IndexFigure, SegmentCondition
from urbanpipe.exports.rules import Index, Parameter, Rules
from urbanpipe.report.wording import Wording


@dataclass(frozen=True)
class Half:
    """The figures of one kind of defects.

    Attributes:
        title: the kind.
        results: name, value, level and meaning of its parameter and of its index.
        places: from, to, number of defects, score and weight of each place.
        steps: one line of arithmetic for each figure.
    """

    title: str
    results: tuple[tuple[str, str, str, str], ...]
    places: tuple[tuple[str, ...], ...]
    steps: tuple[str, ...]


def derivation(done: SegmentCondition, rules: Rules, t: Wording) -> tuple[Half, Half]:
    """Return the figures of structure and function with their derivation."""
    length = done.segment.length
    return (
        _half("structural", rules.structural, done.structural, rules.repair, done.repair, length=length, t=t),
        _half("functional", rules.functional, done.functional, rules.maintenance, done.maintenance, length=length, t=t),
    )


def _half(
    kind: str,
    parameter: Parameter,
    figures: Figures,
    rule: Index,
    index: IndexFigure,
    *,
    length: Decimal,
    t: Wording,
) -> Half:
    places = tuple(
        (_plain(one.start), _plain(one.end), str(one.defects), _plain(one.score), _plain(one.weight))
        for one in figures.places
    )
    value, level = figures.value, figures.level
    return Half(
        title=t(kind),
        results=(
            (parameter.parameter, f"{value:.2f}", level.name, level.in_(t.language)),
            (rule.index, f"{index.value:.2f}", index.level.name, index.level.in_(t.language)),
        ),
        places=places,
        steps=(*(_parameter_steps(parameter, figures, length, t) if places else ()), _index_step(rule, index)),
    )


def _parameter_steps(parameter: Parameter, figures: Figures, length: Decimal, t: Wording) -> tuple[str, ...]:
    total = sum((one.score * one.weight for one in figures.places), Decimal(0))
    mean, maximum, name = parameter.mean, parameter.maximum, parameter.parameter
    terms = " + ".join(
        _plain(one.score) + (f" × {_plain(one.weight)}" if one.weight != 1 else "") for one in figures.places
    )
    if len(figures.places) > 6:
        terms = _plain(total)
    elif len(figures.places) > 1:
        terms = f"({terms})"
    density = figures.density_level.in_(t.language) if figures.density_level else ""
    filled = figures.density * figures.mean * length
    return (
        f"{mean} = {terms} / {len(figures.places)} = {_plain(figures.mean)}",
        f"{maximum} = {_plain(figures.maximum)}",
        f"{name} = max({mean}, {maximum}) = {_plain(figures.value)}",
        f"{t('density')} = {_plain(filled)} / ({_plain(figures.mean)} × {_plain(length)}) = {_plain(figures.density)}"
        + (f" ({density})" if density else ""),
    )


def _index_step(rule: Index, index: IndexFigure) -> str:
    names = " + ".join(f"{_plain(weight)} {name}" for name, weight in rule.weights.items())
    values = " + ".join(f"{_plain(weight)} × {_plain(index.counted[name])}" for name, weight in rule.weights.items())
    return f"{rule.index} = {names} = {values} = {_plain(index.value)}"


def _plain(value: Decimal) -> str:
    """Return a number with at most four decimals.

    >>> _plain(Decimal("2.50000")), _plain(Decimal(10)), _plain(Decimal("0.33333"))
    ('2.5', '10', '0.3333')
    """
    return f"{round(value, 4):f}".rstrip("0").rstrip(".") if value % 1 else f"{value:.0f}"
