"""The choice of what runs the networks of a bundle."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from urbanpipe.errors import BundleError
from urbanpipe.inference.graph import Graph, OnnxGraph, OpenVinoGraph, not_installed
from urbanpipe.inference.options import RuntimeName
from urbanpipe.platform_support import may_have_gpu

GRAPHS: dict[str, Callable[[Path], Graph]] = {"onnx": OnnxGraph, "openvino": OpenVinoGraph}
"""Runtimes of graphs, the fastest first (benchmarks/runtimes.md)."""

_MODULES = {"onnx": "onnxruntime", "openvino": "openvino", "torch": "torch"}


def choose_runtime(wanted: RuntimeName, checked: Sequence[str], device: str, bundle: Path) -> str:
    """Return what runs the networks of a bundle: `torch`, or a key of `GRAPHS`.

    `auto` takes the fastest that is installed and that the graphs were checked with; on a GPU it takes torch.

    Args:
        wanted: name of the runtime, or `auto`.
        checked: runtimes that the bundle's graphs were checked with.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        bundle: folder of the bundle, for messages.

    Raises:
        BundleError: the runtime is not installed, the bundle has no graphs for it, or it does not use the device.
    """
    asked = wanted
    if wanted == "auto":
        usable = [] if _on_gpu(device) else [name for name in GRAPHS if name in checked and is_installed(name)]
        wanted = usable[0] if usable else "torch"  # type: ignore[assignment]
    elif wanted != "torch":
        if wanted not in checked:
            raise BundleError(
                f"{bundle} has no graphs for --runtime {wanted}; make it again with `urbanpipe bundle --runtime "
                f"{wanted}`, or use --runtime torch"
            )
        if device.startswith("cuda"):
            raise BundleError(f"--runtime {wanted} runs on the CPU; use --device cpu, or --runtime torch")
    if not is_installed(wanted):
        raise not_installed(wanted) if wanted in GRAPHS else BundleError(_without_torch(asked, checked, device, bundle))
    return wanted


def is_installed(runtime: str) -> bool:
    """Return whether the package of a runtime is installed."""
    try:
        return find_spec(_MODULES[runtime]) is not None
    except ImportError:
        return False


def _on_gpu(device: str) -> bool:
    """Return whether the networks run on a GPU; torch is imported only where the machine may have one."""
    if device != "auto":
        return device.startswith("cuda")
    if not is_installed("torch") or not may_have_gpu():
        return False
    import torch

    return torch.cuda.is_available()


def _without_torch(asked: RuntimeName, checked: Sequence[str], device: str, bundle: Path) -> str:
    """Return what to install: torch where the user asked for it or nothing else runs the bundle, else a runtime."""
    install = "run `pip install 'urbanpipe[train]'`"
    if not checked:
        return (
            f"torch is not installed, and {bundle} has no graphs; {install}, or make the bundle again with `urbanpipe "
            "bundle --runtime onnx`"
        )
    if asked == "torch" or device.startswith("cuda"):
        option = "--runtime torch" if asked == "torch" else f"--device {device}"
        return f"{option} needs torch, which is not installed; {install}, or use --runtime {checked[0]} on the CPU"
    extras = " or ".join(f"`pip install 'urbanpipe[{name}]'`" for name in checked)
    return f"{bundle} needs a runtime, and none is installed; run {extras}"
