"""What do bf16 and fp16 cost on this machine's CPU, emulated or not, and what with the fallback to fp32?

    python benchmarks/mixed_precision.py [--backbone mobilenetv2_100] [--size 192] [--images 4]

Milliseconds of CPU time per image, the median of three, for inference and for a training step.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import timm
import torch

from urbanpipe.evaluation.tables import markdown_table
from urbanpipe.models import device as devices

CPU = torch.device("cpu")


@contextmanager
def emulation() -> Iterator[None]:
    """Take every precision as given, as before the fallback."""
    real = devices.is_native
    devices.is_native = lambda *_: True  # type: ignore[assignment]
    try:
        yield
    finally:
        devices.is_native = real


def cost(work: Callable[[], object], images: int) -> float:
    """Median CPU time per image in milliseconds, after one call to warm up."""
    work()
    times = []
    for _ in range(3):
        start = time.process_time()
        work()
        times.append((time.process_time() - start) / images * 1e3)
    return statistics.median(times)


def row(model: torch.nn.Module, images: torch.Tensor, precision: str) -> list[str]:
    """Costs of a precision."""

    def infer() -> None:
        with torch.inference_mode(), devices.autocast(CPU, precision):
            model.eval()(images)

    def train() -> None:
        with devices.autocast(CPU, precision):
            loss = model.train()(images).float().square().mean()
        loss.backward()

    return [f"{cost(work, len(images)):.0f}" for work in (infer, train)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="mobilenetv2_100")
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--images", type=int, default=4)
    given = parser.parse_args()
    torch.set_num_threads(1)
    model = timm.create_model(given.backbone, num_classes=17).to(memory_format=torch.channels_last)
    images = torch.randn(given.images, 3, given.size, given.size).to(memory_format=torch.channels_last)
    rows = [["fp32", *row(model, images, "fp32")]]
    with emulation():
        rows += [[f"{precision} as given", *row(model, images, precision)] for precision in ("bf16", "fp16")]
    for precision in ("bf16", "fp16"):
        used = devices.usable_precision(CPU, precision)
        rows.append([f"{precision}, computed in {used}", *row(model, images, precision)])
    print(f"{given.backbone} at {given.size} px, {platform.machine()}, torch {torch.__version__}, one thread\n")
    print(markdown_table(["recipe", "inference ms", "training step ms"], rows))


if __name__ == "__main__":
    main()
