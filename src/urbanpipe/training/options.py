"""Options that several verbs share."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CACHE_GB = 20.0


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Where a training computes, and where it keeps decoded frames.

    Attributes:
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        cache: folder for decoded frames; by default one that all runs of the user share.
        cache_gb: its largest size in GB; 0 decodes every time.
    """

    device: str = "auto"
    cache: Path | None = None
    cache_gb: float = CACHE_GB


@dataclass(frozen=True, kw_only=True)
class FoldOptions:
    """How videos are split into folds, and which folds are trained.

    Attributes:
        folds: how many to make, or a CSV `video,fold`.
        group_by: `root`, `none` or a catalog column; a group stays in one fold.
        seed: of the folds; the seed of training is the recipe's.
        only: train these folds alone.
    """

    folds: int | Path = 5
    group_by: str = "root"
    seed: int = 0
    only: Sequence[int] = ()
