"""Networks as graphs, which ONNX Runtime or OpenVINO run without torch.

A network has two graphs, which are ONNX files: one encodes segments, the other aggregates a video. A runtime is one
class with the method `run`.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from urbanpipe.errors import BundleError, OutOfMemoryError

Arrays = Mapping[str, NDArray[Any]]
"""Arrays by the names of a graph's inputs or outputs."""

IMAGES, REAL, FEATURES, SECONDS, VIDEO, SEGMENTS = "images", "real", "features", "seconds", "video", "segments"
OBSERVED, MAPS = "observed", "maps"
_NAMES = {IMAGES, REAL, FEATURES, SECONDS, VIDEO, SEGMENTS, OBSERVED, MAPS}


class Graph(Protocol):
    """A graph that is ready to run.

    Attributes:
        inputs: names of its inputs.
        outputs: names of its outputs.
    """

    inputs: Sequence[str]
    outputs: Sequence[str]

    def run(self, inputs: Arrays) -> Arrays:
        """Return the outputs for the inputs; inputs that the graph does not have are ignored.

        Raises:
            BundleError: the graph does not fit the inputs.
            OutOfMemoryError: the memory does not suffice.
        """


class OnnxGraph:
    """A graph in ONNX Runtime, on the CPU.

    Args:
        file: the ONNX file.
        threads: number of threads; None takes OMP_NUM_THREADS, or all processors where it is not set.

    Raises:
        BundleError: the extra `onnx` is not installed, or the file is damaged.
    """

    def __init__(self, file: Path, threads: int | None = None) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise not_installed("onnx") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or _threads_of_environment()
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads would slow torch down
        self._file = file
        with graph_errors(file):
            self._session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self.inputs: Sequence[str] = [item.name for item in self._session.get_inputs()]
        self.outputs: Sequence[str] = [item.name for item in self._session.get_outputs()]

    def run(self, inputs: Arrays) -> Arrays:
        """Return the outputs for the inputs; see `Graph`."""
        with graph_errors(self._file):
            outputs = self._session.run(self.outputs, {name: inputs[name] for name in self.inputs})
        return dict(zip(self.outputs, outputs, strict=True))


class OpenVinoGraph:
    """A graph in OpenVINO, on the CPU. Arguments and errors as for `OnnxGraph`."""

    def __init__(self, file: Path, threads: int | None = None) -> None:
        if find_spec("openvino") is None:
            raise not_installed("openvino")
        config: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        # Compiled attention that was cached for one number of segments gives wrong results for another (2026.4).
        config["CPU_RUNTIME_CACHE_CAPACITY"] = 0
        if count := threads or _threads_of_environment():
            config["INFERENCE_NUM_THREADS"] = count
        self._file = file
        with graph_errors(file):
            self._compiled = _core().compile_model(file, "CPU", config)
        self.inputs: Sequence[str] = [_name(port) for port in self._compiled.inputs]
        self.outputs: Sequence[str] = [_name(port) for port in self._compiled.outputs]

    def run(self, inputs: Arrays) -> Arrays:
        """Return the outputs for the inputs; see `Graph`."""
        with graph_errors(self._file):
            results = self._compiled({name: np.ascontiguousarray(inputs[name]) for name in self.inputs})
            return {name: np.array(results[name]) for name in self.outputs}


@cache
def _core() -> Any:
    """Return OpenVINO's core, one for the process.

    Each core gives the thread that loads it an alternate stack for signals, and unmaps that when it is freed (2026.4).
    When several are freed in another order than they were made, the thread is left with a stack that is unmapped, and
    the next signal, such as Ctrl-C or the end of a child, ends the process.
    """
    import openvino

    return openvino.Core()


def _threads_of_environment() -> int:
    """Return OMP_NUM_THREADS, which torch heeds; 0 if it is not a number."""
    text = os.environ.get("OMP_NUM_THREADS", "")
    return int(text) if text.isdecimal() else 0


def _name(port: Any) -> str:
    """Return the name of a port of OpenVINO, which also has those of nodes that were optimised away."""
    names: set[str] = port.get_names()
    return min(names & _NAMES or names)


def not_installed(extra: str) -> BundleError:
    """Return the error for a runtime whose extra is not installed."""
    return BundleError(f"--runtime {extra} needs the extra `{extra}`: pip install 'urbanpipe[{extra}]'")


@contextmanager
def graph_errors(file: Path) -> Iterator[None]:
    """Turn the errors of a runtime in the block, which have a type per kind of damage, into errors about a file.

    Raises:
        BundleError: the file is no graph that the runtime can run.
        OutOfMemoryError: the memory does not suffice.
    """
    try:
        yield
    except Exception as error:
        lines = [line for line in str(error).splitlines() if line.strip() and not line.startswith("Exception from")]
        reason = " ".join((lines or [type(error).__name__])[-1 if "Summary:" in lines else 0].split())[:200]
        if isinstance(error, MemoryError) or "allocate memory" in reason:
            raise OutOfMemoryError("out of memory on cpu") from error
        raise BundleError(f"{file} cannot be run: {reason}; make the bundle again with `urbanpipe bundle`") from error
