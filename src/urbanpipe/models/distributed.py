"""The processes of a run (one, or several under `torchrun`) and their communication."""

import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn

from urbanpipe.errors import RunError, UrbanpipeError
from urbanpipe.models.device import choose_device

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class DistributedContext:
    """This process and the other processes of the run.

    Attributes:
        rank: rank of this process, 0 to `count` - 1. Rank 0 writes the files.
        count: number of processes.
        device: device of this process.
    """

    rank: int
    count: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this process writes and prints."""
        return self.rank == 0

    def log(self, text: str) -> None:
        """Log a line in rank 0 only."""
        if self.is_main:
            log.info(text)

    def gather(self, value: T) -> list[T]:
        """Return the values of all processes, by rank, in every process."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        distributed.all_gather_object(values, value)
        return values

    def from_main(self, value: T) -> T:
        """Return the value of rank 0 in every process; also a barrier."""
        return self.gather(value)[0]

    def on_main(self, work: Callable[[], T]) -> T:
        """Call `work` in rank 0 only; return its value, or raise its UrbanpipeError, in every process.

        Raises:
            UrbanpipeError: raised by `work`.
        """
        result: T | UrbanpipeError | None = None
        if self.is_main:
            try:
                result = work()
            except UrbanpipeError as error:
                result = error
        shared = self.from_main(result)
        if isinstance(shared, UrbanpipeError):
            raise shared
        return shared  # type: ignore[return-value]

    def wrap(self, model: nn.Module, unused_parameters: bool) -> nn.Module:
        """Return the model with gradients averaged over the processes.

        Args:
            model: model on this process's device.
            unused_parameters: whether some parameters do not affect the loss.
        """
        if self.count == 1:
            return model
        return nn.parallel.DistributedDataParallel(
            model,
            device_ids=[self.device.index] if self.device.type == "cuda" else None,
            broadcast_buffers=False,
            find_unused_parameters=unused_parameters,
        )

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace floating-point tensors (batch norm's running statistics) by their mean over the processes."""
        if self.count == 1:
            return
        for tensor in tensors:
            if tensor.is_floating_point():
                distributed.all_reduce(tensor)
                tensor /= self.count


def join_distributed(device: str = "auto") -> DistributedContext:
    """Return the context of this process; under `torchrun` join the other processes (nccl on GPUs, gloo on CPUs).

    Args:
        device: `auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:N`.

    Raises:
        RunError: the device does not exist, or several processes would share it.
    """
    rank, count = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if count > 1 and device.startswith("cuda:"):
        raise RunError(f"--device {device} would put all {count} processes on one GPU; give --device cuda")
    chosen = choose_device(device, int(os.environ.get("LOCAL_RANK", 0)))
    if count > 1 and not distributed.is_initialized():
        backend = "nccl" if chosen.type == "cuda" else "gloo"
        distributed.init_process_group(
            backend, timeout=timedelta(days=7)
        )  # the others wait while rank 0 reads an archive
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    return DistributedContext(rank, count, chosen)
