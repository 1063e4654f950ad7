"""Devices, memory layout and precision of networks."""

import logging
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import torch
from torch import Tensor, nn

from urbanpipe.errors import RunError
from urbanpipe.models.allocator import keep_freed_memory

log = logging.getLogger(__name__)

MIXED = {"bf16": torch.bfloat16, "fp16": torch.float16}
TENSOR_CORES = (7, 0)  # lowest capability of NVIDIA GPUs that compute fp16 in tensor cores


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
    """Return the autocast context of the precision that `usable_precision` returns."""
    used = usable_precision(device, precision)
    return torch.autocast(device.type, MIXED.get(used), enabled=used in MIXED)


def grad_scaler(device: torch.device, precision: str) -> torch.amp.GradScaler:
    """Return the gradient scaler of the recipe's precision, which scales only where fp16 is used."""
    return torch.amp.GradScaler(device.type, enabled=usable_precision(device, precision) == "fp16")


def usable_precision(device: torch.device, precision: str) -> str:
    """Return the precision to compute in: `fp32`, `bf16` or `fp16`, which is logged once where a recipe leaves it open.

    A CPU without the instructions emulates bf16 and fp16, which takes more than ten times as long as fp32
    (`benchmarks/mixed_precision.py`), so fp32 replaces a precision that the device would emulate.

    Args:
        device: the device that computes.
        precision: precision of the recipe. `auto` is bf16 where the device has instructions for it, else fp16 on a GPU
            with tensor cores, else fp32.
    """
    if precision == "auto":
        chosen = _fastest_precision(device)
        _log_choice(device.type, chosen)
        return chosen
    if precision == "fp32" or is_native(device.type, precision):
        return precision
    _log_fallback(device.type, precision)
    return "fp32"


def _fastest_precision(device: torch.device) -> str:
    if is_native(device.type, "bf16"):
        return "bf16"
    if device.type == "cuda" and torch.cuda.get_device_capability(device) >= TENSOR_CORES:
        return "fp16"
    return "fp32"


@lru_cache
def is_native(device_type: str, precision: str) -> bool:
    """Return whether this machine has instructions for `bf16` or `fp16`, according to torch.

    An x86 CPU needs AVX512-BF16 or AMX for bf16, and AVX512-FP16 or AMX-FP16 for fp16; an ARM CPU needs the
    instructions of that name. A flag that this version of torch does not report counts as absent.

    Args:
        device_type: `cpu` or `cuda`.
        precision: `bf16` or `fp16`.
    """
    if device_type != "cpu":
        return precision != "bf16" or torch.cuda.is_bf16_supported(including_emulation=False)
    if platform.machine().lower() in ("arm64", "aarch64"):
        operator = getattr(torch.ops.mkldnn, f"_is_mkldnn_{precision}_supported", None)
        return operator is not None and bool(operator())
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    checks = [getattr(torch.cpu, name, None) for name in _X86_CHECKS[precision]]
    return any(check() for check in checks if check) or capabilities.get(f"avx512_{precision}") is True


_X86_CHECKS = {
    "bf16": ("_is_avx512_bf16_supported", "_is_amx_tile_supported"),
    "fp16": ("_is_amx_fp16_supported",),
}


@lru_cache
def _log_fallback(device_type: str, precision: str) -> None:
    if _is_main_process():
        log.warning(
            "this %s has no %s instructions: computing in fp32, which is faster here", _kind(device_type), precision
        )


@lru_cache
def _log_choice(device_type: str, precision: str) -> None:
    if _is_main_process():
        log.info("precision auto: computing in %s on this %s", precision, _kind(device_type))


def _is_main_process() -> bool:  # one line for all processes of `torchrun`
    return os.environ.get("RANK", "0") == "0"


def _kind(device_type: str) -> str:
    return "CPU" if device_type == "cpu" else "GPU"


def choose_device(device: str, local_rank: int = 0) -> torch.device:
    """Return the torch device that `device` stands for on this machine; see `join_distributed`.

    For a CPU, the allocator is set to keep freed memory; see `models.allocator`.
    """
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
    elif chosen.type == "cpu":
        keep_freed_memory()
    return chosen


@contextmanager
def processors_left(device: torch.device, loading: int) -> Iterator[None]:
    """Leave a processor to every two loading processes while training on a CPU, to avoid oversubscription.

    A loading process that reads cached frames waits most of the time: on two processors, training with two threads
    beside one loading process is 1.3 to 1.5 times as fast as with one (benchmarks/threads.md).

    OMP_NUM_THREADS takes precedence where it is set.
    """
    before = torch.get_num_threads()
    if device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, before - loading // 2))
    try:
        yield
    finally:
        torch.set_num_threads(before)
