"""CPU time per image of torch, ONNX Runtime and OpenVINO, with one thread, in one process each and together.

python benchmarks/runtimes.py [--images 8] [--repeats 30]
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
from urbanpipe.inference.graph import IMAGES, REAL, OnnxGraph, OpenVinoGraph
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


def calls_of(runtime: TorchRuntime, images: int) -> dict[str, Callable[[], Any]]:
    """Return a call of each runtime on the same images."""
    pixels = np.random.default_rng(0).integers(256, size=(images, *runtime.recipe.input.segment_shape), dtype=np.uint8)
    real = np.ones(images, np.int64)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "encode.onnx"
        export_encoder(runtime, None, file, half=False)
        graphs = {"ONNX Runtime": OnnxGraph(file, threads=1), "OpenVINO": OpenVinoGraph(file, threads=1)}
    calls: dict[str, Callable[[], Any]] = {"torch": lambda: runtime.encode(pixels, real)}
    for name, graph in graphs.items():
        calls[name] = lambda graph=graph: graph.run({IMAGES: pixels, REAL: real})  # type: ignore[misc]
    return calls


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=30)
    given = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    print("| network | torch ms | ONNX Runtime ms | OpenVINO ms | ONNX Runtime, times faster | OpenVINO |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, backbone, size in NETWORKS:
        calls = calls_of(runtime_of(backbone, size), given.images)
        times: dict[str, list[float]] = {key: [] for key in calls}
        for repeat in range(given.repeats + 2):
            for key, call in calls.items():  # in turns, so that other programs slow all of them down
                spent = milliseconds(call, given.images)
                if repeat > 1:
                    times[key].append(spent)
        medians = {key: statistics.median(values) for key, values in times.items()}
        ratios = [medians["torch"] / medians[key] for key in ("ONNX Runtime", "OpenVINO")]
        cells = [f"{name}, {size} px", *(f"{value:.2f}" for value in medians.values()), *(f"{r:.2f}" for r in ratios)]
        print(f"| {' | '.join(cells)} |", flush=True)
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
