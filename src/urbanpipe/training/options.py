"""Options that several verbs of training share."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CACHE_GB = 20.0


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Device, frame cache and logger of a training run.

    Attributes:
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        cache: folder for decoded frames; default: one folder that all runs of the user share.
        cache_gb: largest size of the cache in GB; 0 decodes frames every time.
        logger: `tensorboard`, or `mlflow` or `wandb` of the extra `loggers`; it does not change the result.
    """

    device: str = "auto"
    cache: Path | None = None
    cache_gb: float = CACHE_GB
    logger: str = "tensorboard"


@dataclass(frozen=True, kw_only=True)
class FoldOptions:
    """How videos are split into folds, and which folds are trained.

    Attributes:
        folds: number of folds to make, or a CSV `video,fold`.
        group_by: `root`, `folder`, `none` or a catalog column; all videos of a group are in the same fold.
        seed: random seed of the folds; the seed of training is part of the recipe.
        only: train only these folds; `fit` then trains on the videos of the others too, and never evaluates them.
    """

    folds: int | Path = 5
    group_by: str = "root"
    seed: int = 0
    only: Sequence[int] = ()
