"""The state of a training run, and its checkpoints."""

import errno
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from timm.utils import ModelEmaV3
from torch.optim import AdamW
from torch.optim.lr_scheduler import LRScheduler

from urbanpipe.errors import RunError
from urbanpipe.models.distributed import DistributedContext
from urbanpipe.models.network import Network
from urbanpipe.outputs import whole_path

EpochMetrics = dict[str, float | int]


def save_whole(value: dict[str, Any], path: Path) -> None:
    """Write a checkpoint atomically."""
    with whole_path(path) as temporary:
        try:
            torch.save(value, temporary)
        except RuntimeError as error:  # torch raises RuntimeError for a full disk
            raise OSError(errno.ENOSPC, str(error)) from error


@dataclass
class State:
    """The state of one model's training at the end of an epoch."""

    model: Network
    ema: ModelEmaV3 | None
    optimiser: AdamW
    schedule: LRScheduler
    scaler: torch.amp.GradScaler
    epoch: int = 0
    step: int = 0
    best: float = -1.0
    best_epoch: int = -1

    def save(self, path: Path, rows: list[EpochMetrics], distributed: DistributedContext) -> None:
        """Write the state and the rows of the log atomically."""
        value = {
            "model": self.model.state_dict(),
            "ema": self.ema.module.state_dict() if self.ema else None,
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
            "counters": (self.epoch, self.step, self.best, self.best_epoch),
            "rows": rows,
            "processes": distributed.count,
        }
        save_whole(value, path)

    def load(self, path: Path, distributed: DistributedContext) -> list[EpochMetrics]:
        """Load a saved state and return the rows of the log.

        Raises:
            RunError: the state is damaged, or was saved with another number of processes.
        """
        try:
            value = dict[str, Any](torch.load(path, distributed.device, weights_only=True))
        except Exception as error:  # torch and pickle raise many types for a damaged file
            raise RunError(f"{path} is damaged; delete it to restart this model from its first epoch") from error
        if (count := value.get("processes")) != distributed.count:
            raise RunError(
                f"{path} was saved by {count} processes and this run has {distributed.count}, whose steps would "
                f"differ; resume with {count}, or delete {path.parent} to start this model again"
            )
        try:
            return self._take(value)
        except torch.OutOfMemoryError:
            raise
        except (KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
            raise RunError(
                f"{path} was saved by another version; delete it to restart this model from its first epoch"
            ) from error

    def _take(self, value: dict[str, Any]) -> list[EpochMetrics]:
        self.model.load_state_dict(value["model"])
        if self.ema:
            self.ema.module.load_state_dict(value["ema"])
        self.optimiser.load_state_dict(value["optimiser"])
        self.schedule.load_state_dict(value["schedule"])
        if value["scaler"]:  # empty if saved on a machine that computed in another precision
            self.scaler.load_state_dict(value["scaler"])
        self.epoch, self.step, self.best, self.best_epoch = value["counters"]
        rows: list[EpochMetrics] = value["rows"]
        return rows

    @property
    def final(self) -> Network:
        """The network to keep: the EMA where there is one."""
        return self.ema.module if self.ema else self.model
