"""What an ablation tries, and how a table of the report is made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from urbanpipe.reproduce.report_models import Scale


@dataclass(frozen=True, kw_only=True)
class AblationPlan:
    """What an ablation tries.

    Attributes:
        rows: keys of the report's rows; all of them without rows and changes.
        changes: of your own, a row each against the base: `section.key=value` and what else `changes.change` takes,
            several in one row with semicolons between them.
        seeds: trainings of each network, with the recipe's seed and those after it.
        test: a catalog of other labelled videos, for the row `fold-ensemble`.
    """

    rows: Sequence[str] = ()
    changes: Sequence[str] = ()
    seeds: int = 1
    test: Path | None = None


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """How a table of the report is made.

    Attributes:
        scale: `small` for a laptop, `paper` for the report's networks.
        seeds: trainings of each network, with the recipe's seed and those after it.
        overrides: `section.key=value` for all recipes, `KEY:section.key=value` for one.
        weights: file of first weights, by the key of a model.
        test: a catalog of other labelled videos, for the row `fold-ensemble`.
    """

    scale: Scale = "small"
    seeds: int = 1
    overrides: Sequence[str] = ()
    weights: Mapping[str, str] | None = None
    test: Path | None = None
