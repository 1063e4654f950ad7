"""Options of `ablate` and `reproduce`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from urbanpipe.reproduce.report_models import Scale


@dataclass(frozen=True, kw_only=True)
class AblationPlan:
    """The rows and seeds of an ablation.

    Attributes:
        rows: keys of the report's rows; all of them if there are neither rows nor changes.
        changes: your own changes, one row each, compared with the base: `section.key=value` and the other forms of
            `changes.change`; several changes in one row are separated by semicolons.
        seeds: number of trainings of each network, with consecutive seeds from the recipe's seed on.
        test: catalog of additional labelled videos for the row `fold-ensemble`.
    """

    rows: Sequence[str] = ()
    changes: Sequence[str] = ()
    seeds: int = 1
    test: Path | None = None


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """Options of a table of the report.

    Attributes:
        scale: `small` for a laptop, `paper` for the report's networks.
        seeds: number of trainings of each network, with consecutive seeds from the recipe's seed on.
        overrides: `section.key=value` for all recipes, `KEY:section.key=value` for one.
        weights: files of initial weights, by the key of a model.
        test: catalog of additional labelled videos for the row `fold-ensemble`.
    """

    scale: Scale = "small"
    seeds: int = 1
    overrides: Sequence[str] = ()
    weights: Mapping[str, str] | None = None
    test: Path | None = None
