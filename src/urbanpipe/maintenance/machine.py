"""Checks of the processor, the GPU, the memory and the encoding of texts."""

import locale
import os
import platform
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import psutil

from urbanpipe.maintenance.check import Check
from urbanpipe.progress import size_text

LITTLE_MEMORY_BYTES = 4_000_000_000  # a small network on 224 px frames needs 2 to 3 GB


def machine_checks() -> Iterator[Check]:
    """Yield processor, GPU, memory and encoding; what only torch knows is left out where it cannot be imported."""
    yield Check("system", "ok", platform.platform())
    torch = _torch()
    yield _processor(torch)
    if torch is not None:
        yield from _gpus(torch)
    yield _memory()
    yield _encoding()


def _torch() -> Any:
    """Return torch, or None where it cannot be imported, which is a finding of its own."""
    try:
        return import_module("torch")
    except Exception:
        return None


def _processor(torch: Any) -> Check:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    text = f"{platform.machine()}, {usable} of {os.cpu_count()} cores usable"
    if torch is None:
        return Check("processor", "ok", text)
    capability = torch.backends.cpu.get_cpu_capability()
    text += f", torch uses {capability}, bf16 is {'native' if _is_bf16_native() else 'not native, so fp32 is used'}"
    if os.environ.get("ATEN_CPU_CAPABILITY"):
        return Check("processor", "note", text, "ATEN_CPU_CAPABILITY is set; unset it for full speed")
    if capability in ("DEFAULT", "NO AVX") and platform.machine().lower() in ("x86_64", "amd64"):
        return Check("processor", "note", text, "without AVX2 networks are several times slower")
    return Check("processor", "ok", text)


def _is_bf16_native() -> bool:
    from urbanpipe.models.device import is_native

    return is_native("cpu", "bf16")


def _gpus(torch: Any) -> Iterator[Check]:
    try:
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        for index in range(count):
            facts = torch.cuda.get_device_properties(index)
            with torch.cuda.device(index):  # `is_bf16_supported` asks the current one
                bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
            text = f"{facts.name}, {size_text(facts.total_memory)}, {'with' if bf16 else 'without'} bf16"
            yield Check(f"GPU {index}", "ok", f"{text}, CUDA {torch.version.cuda or torch.version.hip}")
    except RuntimeError as error:  # a driver that does not fit
        yield Check("GPU", "note", f"cannot be used: {str(error).splitlines()[0]}", "check the driver")
        return
    if count:
        return
    if getattr(torch.backends, "mps", None) is not None and torch.backends.mps.is_available():
        yield Check("GPU", "note", "Apple GPU (MPS), which urbanpipe does not use: it computes on the processor")
    else:
        build = "this torch is built without CUDA" if torch.version.cuda is None else "no NVIDIA GPU or driver"
        yield Check("GPU", "missing", build, "networks run on the processor")


def _memory() -> Check:
    memory = psutil.virtual_memory()
    text = f"{size_text(memory.available)} of {size_text(memory.total)} free"
    if memory.available < LITTLE_MEMORY_BYTES:
        return Check("memory", "note", text, "choose a small recipe, or close other programs")
    return Check("memory", "ok", text)


def _encoding() -> Check:
    output = sys.__stdout__  # the JSON of a verb is printed while `sys.stdout` is something else
    shown = (output.encoding if output else "none").lower()
    names = sys.getfilesystemencoding().lower()
    text = f"output {shown}, file names {names}, locale {locale.setlocale(locale.LC_CTYPE)}"
    if {shown.replace("-", ""), names.replace("-", "")} != {"utf8"}:
        return Check("encoding", "note", text, "other characters are shown as escapes; set PYTHONUTF8=1 to see them")
    return Check("encoding", "ok", text)
