"""The weakly supervised rows of the report's Table 5: bags of frozen features against the super-image."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from urbanpipe.reproduce.entries import Scale, read_entries
from urbanpipe.reproduce.gains import gain
from urbanpipe.reproduce.models import Model, train_models
from urbanpipe.reproduce.rows import Row
from urbanpipe.reproduce.table import Line
from urbanpipe.reproduce.work import Work


def weak_lines(
    work: Work, base: Path, scale: Scale, overrides: Sequence[str], weights: Mapping[str, str]
) -> list[Line]:
    """Train the bag models and compare each with a run of the super-image on the same videos and folds.

    Args:
        work: the data.
        base: run of the super-image.
        scale: of the recipes.
        overrides: `section.key=value` for all of them.
        weights: `model.weights` by the key of a model.
    """
    models = train_models(work, read_entries("table5"), scale, overrides, weights)
    return [_line(work, base, model) for model in models]


def _line(work: Work, base: Path, model: Model) -> Line:
    row = Row(key=model.entry.key, table=5, name=model.entry.name, report=model.entry.report)
    if model.maps is None:
        return Line(row, reason=model.reason)
    names = [name for of_fold in work.names(base).values() for name in of_fold]
    found = gain(work.scores([model.run], names), work.scores([base], names), work.judged(work.videos(names)))
    return Line(row, found, model.costs, work.costs([base]))
