"""Devices, memory layout and precision of networks."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from urbanpipe.errors import RunError

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def place(model: nn.Module, channels_last: bool, device: torch.device) -> None:
    """Move a network to its device and memory layout."""
    model.to(device)
    if channels_last:
        for module in model.modules():  # weights of 3-D convolutions have no such layout
            if isinstance(module, nn.Conv2d):
                module.to(memory_format=torch.channels_last)


def images_to(images: Tensor, device: torch.device, channels_last: bool) -> Tensor:
    """Move images to the device and to the network's memory layout."""
    layout = torch.channels_last if channels_last and images.ndim == 4 else torch.contiguous_format
    return images.to(device, non_blocking=True, memory_format=layout)


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return the autocast context of the recipe's precision."""
    return torch.autocast(device.type, PRECISIONS[precision], enabled=precision != "fp32")


def choose_device(device: str, local_rank: int = 0) -> torch.device:
    """Return the torch device that `device` stands for on this machine; see `join_distributed`."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
    except RuntimeError:
        chosen = torch.device("meta")
    if chosen.type not in ("cpu", "cuda"):
        raise RunError(f"unknown device {device!r}: give auto, cpu, cuda or cuda:N")
    if chosen.type == "cuda":
        if not torch.cuda.is_available():
            raise RunError(f"device {device} requested, but torch finds no GPU here; use --device cpu")
        chosen = torch.device("cuda", local_rank if chosen.index is None else chosen.index)
        if chosen.index >= torch.cuda.device_count():
            raise RunError(f"there is no {chosen}: torch finds {torch.cuda.device_count()} GPUs")
    return chosen


@contextmanager
def processors_left(device: torch.device, loading: int) -> Iterator[None]:
    """Leave one processor to each loading process while training on a CPU, to avoid oversubscription.

    OMP_NUM_THREADS takes precedence where it is set.
    """
    before = torch.get_num_threads()
    if device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, before - loading))
    try:
        yield
    finally:
        torch.set_num_threads(before)
