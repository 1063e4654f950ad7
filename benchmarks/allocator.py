"""What does a network's pass cost if glibc keeps freed memory, and if it does not?

    python benchmarks/allocator.py

Runs each case in a process of its own, alternately with and without `keep_freed_memory`, and prints the medians of
user, system and wall seconds, the peak of resident memory, and the ratios.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

import torch

from urbanpipe.evaluation.tables import markdown_table
from urbanpipe.methods.recipe import load_recipe
from urbanpipe.models.allocator import keep_freed_memory
from urbanpipe.models.device import images_to, place

CASES = {
    "encode, frozen MobileNetV2, 16 frames of 224 px": ("frozen-mobilenetv2", 16, False),
    "training step, `small-mobilenetv2`, 16 super-images of 192 px": ("small-mobilenetv2", 16, True),
    "training step, `small-frame`, 64 frames of 96 px": ("small-frame", 64, True),
}


def measure(recipe_name: str, count: int, *, backward: bool, keeps: bool, passes: int) -> dict[str, float]:
    """Return the seconds of passes, and the peak of resident memory in MiB."""
    if keeps:
        assert keep_freed_memory(), "this is not glibc"
    torch.set_num_threads(1)
    recipe = load_recipe(recipe_name)
    network = recipe.network(17).train()
    place(network, recipe.training.channels_last, torch.device("cpu"))
    images = images_to(torch.zeros(count, *recipe.input.segment_shape), torch.device("cpu"), True)
    real = torch.ones(count, dtype=torch.int64)
    for number in range(passes + 1):
        if number == 1:  # after one pass to warm up
            before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        if backward:
            network.segment_logits(images, real).sum().backward()  # type: ignore[no-untyped-call]
        else:
            with torch.inference_mode():
                network.encode(images, real)
    after = resource.getrusage(resource.RUSAGE_SELF)
    seconds = {"user": after.ru_utime - before.ru_utime, "system": after.ru_stime - before.ru_stime}
    return seconds | {"wall": time.perf_counter() - started, "peak": after.ru_maxrss / 1024}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passes", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", nargs=2, metavar=("CASE", "KEEPS"), help="measure one case in this process")
    given = parser.parse_args()
    if given.one:
        recipe_name, count, backward = CASES[given.one[0]]
        keeps = given.one[1] == "True"
        print(json.dumps(measure(recipe_name, count, backward=backward, keeps=keeps, passes=given.passes)))
        return
    rows = []
    for case in CASES:
        runs: dict[bool, list[dict[str, float]]] = {False: [], True: []}
        for _ in range(given.repeats):
            for keeps, results in runs.items():
                command = [sys.executable, __file__, "--passes", str(given.passes), "--one", case, str(keeps)]
                results.append(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))
        medians = {
            keeps: {key: statistics.median(one[key] for one in results) for key in results[0]}
            for keeps, results in runs.items()
        }
        for keeps, found in medians.items():
            total = found["user"] + found["system"]
            ratio = total / (medians[False]["user"] + medians[False]["system"])
            cells = [f"{found[key] / given.passes:.3f}" for key in ("user", "system", "wall")]
            rows.append([case, "kept" if keeps else "given back", *cells, f"{found['peak']:.0f}", f"{ratio:.2f}"])
    header = ["pass", "freed memory", "user s", "system s", "wall s", "peak MiB", "CPU ratio"]
    print(markdown_table(header, rows, left=2))


if __name__ == "__main__":
    main()
