"""CPU time per image of torch, ONNX Runtime and OpenVINO, with one thread, in one process each and together.

python benchmarks/runtimes.py [--images 8] [--repeats 30] [--int8] [--default-allocator]

urbanpipe lets the C library keep freed memory, which makes torch faster (allocator.md); --default-allocator does not.
With --int8, the convolutions of the graphs are quantised too (static, per channel, calibrated on noise, for time only).
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from urbanpipe.ensembling.graph_export import export_encoder
from urbanpipe.evaluation.tables import markdown_table
from urbanpipe.inference.graph import IMAGES, REAL, Graph, OnnxGraph, OpenVinoGraph
from urbanpipe.inference.torch_runtime import TorchRuntime
from urbanpipe.methods.recipe import load_recipe
from urbanpipe.models.allocator import keep_freed_memory

NETWORKS = (
    ("MobileNetV2", "mobilenetv2_100", 192),
    ("MobileNetV3-Small", "mobilenetv3_small_100", 128),
    ("EfficientNet-Lite2", "tf_efficientnet_lite2", 260),
    ("ConvNeXt-T", "convnext_tiny", 224),
)


def runtime_of(backbone: str, size: int) -> TorchRuntime:
    """Return a network of random weights for single frames."""
    settings = [f"input.size={size}", f"model.backbone={backbone}", "model.options={}", "training.precision=fp32"]
    recipe = load_recipe("small-frame", settings)
    return TorchRuntime(recipe.network(17).requires_grad_(False), recipe, torch.device("cpu"))


def milliseconds(run: Callable[[], Any], images: int) -> float:
    """Return the CPU milliseconds per image of a call."""
    started = time.process_time()
    run()
    return 1000 * (time.process_time() - started) / images


class Noise:
    """Calibration data of random pixels, as ONNX Runtime reads it."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        rng = np.random.default_rng(0)
        batches = [rng.integers(256, size=(4, *shape), dtype=np.uint8) for _ in range(4)]
        self._inputs = iter([{IMAGES: batch, REAL: np.ones(4, np.int64)} for batch in batches])

    def get_next(self) -> dict[str, Any] | None:
        """Return the next inputs; None at the end."""
        return next(self._inputs, None)


def quantised(file: Path, shape: tuple[int, ...]) -> Path:
    """Write a graph with its convolutions in INT8 beside a graph."""
    from onnxruntime.quantization import QuantType, quantize_static

    out = file.with_name("int8.onnx")
    types = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
    quantize_static(str(file), str(out), Noise(shape), per_channel=True, op_types_to_quantize=["Conv"], **types)
    return out


def calls_of(runtime: TorchRuntime, images: int, int8: bool) -> dict[str, Callable[[], Any]]:
    """Return a call of each runtime on the same images."""
    shape = runtime.recipe.input.segment_shape
    pixels = np.random.default_rng(0).integers(256, size=(images, *shape), dtype=np.uint8)
    real = np.ones(images, np.int64)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "encode.onnx"
        export_encoder(runtime, None, file, half=False)
        graphs: dict[str, Graph] = {
            "ONNX Runtime": OnnxGraph(file, threads=1),
            "OpenVINO": OpenVinoGraph(file, threads=1),
        }
        if int8:
            small = quantised(file, shape)
            graphs |= {
                "ONNX Runtime INT8": OnnxGraph(small, threads=1),
                "OpenVINO INT8": OpenVinoGraph(small, threads=1),
            }
    calls: dict[str, Callable[[], Any]] = {"torch": lambda: runtime.encode(pixels, real)}
    for name, graph in graphs.items():
        calls[name] = lambda graph=graph: graph.run({IMAGES: pixels, REAL: real})  # type: ignore[misc]
    return calls


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--int8", action="store_true")
    parser.add_argument("--default-allocator", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if not given.default_allocator:
        keep_freed_memory()
    rows = []
    for name, backbone, size in NETWORKS:
        calls = calls_of(runtime_of(backbone, size), given.images, given.int8)
        times: dict[str, list[float]] = {key: [] for key in calls}
        for repeat in range(given.repeats + 2):
            for key, call in calls.items():  # in turns, so that other programs slow all of them down
                spent = milliseconds(call, given.images)
                if repeat > 1:
                    times[key].append(spent)
        medians = {key: statistics.median(values) for key, values in times.items()}
        faster = {key: f"{value:.2f} ({medians['torch'] / value:.2f})" for key, value in medians.items()}
        rows.append([f"{name}, {size} px", *faster.values()])
    print("CPU ms per image (in brackets: torch's time divided by it)\n")
    print(markdown_table(["network", *faster], rows))
    together(given.images, given.repeats)


def together(images: int, repeats: int) -> None:
    """Print the wall time of torch with both threads, before and after ONNX Runtime ran in the same process."""
    torch.set_num_threads(2)
    runtime = runtime_of("mobilenetv2_100", 192)
    pixels = np.zeros((images, 3, 192, 192), np.uint8)
    real = np.ones(images, np.int64)

    def median(before: Callable[[], Any] = lambda: None) -> float:
        spent = []
        for _ in range(repeats):
            before()
            started = time.perf_counter()
            runtime.encode(pixels, real)
            spent.append(1000 * (time.perf_counter() - started) / images)
        return statistics.median(spent[2:])

    alone = median()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "encode.onnx"
        export_encoder(runtime, None, file, half=False)
        graph = OnnxGraph(file)
    rounds = [(median(), median(lambda: graph.run({IMAGES: pixels, REAL: real}))) for _ in range(3)]
    between, after = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"\ntorch, two threads, ms per image: {alone:.2f} alone, {between:.2f} beside a graph, {after:.2f} in turns")


if __name__ == "__main__":
    main()
