"""What the recipes of the report's size cost a training on a GPU: loading from the cache and steps.

    urbanpipe simulate videos --videos 64 --seed 7 --size 640x480 --seconds 8:8
    python benchmarks/real_size.py videos OUT [--recipe NAME ...] [--set section.key=value ...]

Every recipe is trained from random weights on four fifths of the videos by `urbanpipe train`, in a process of its own,
which decodes the videos into the cache before the first epoch. That epoch warms the GPU up; the later ones show what an
epoch costs. *waited* is the share of an epoch's time in which the loop waited for the loading processes. The dense
method's first epoch fills its memory and its last one reads no videos. The ranking that such runs learn is worth
nothing.
"""

import argparse
import csv
import subprocess
import sys
from pathlib import Path
from statistics import median

import torch

from urbanpipe.evaluation.tables import markdown_table

RECIPES = ("super-image-convnext-b", "frame-tresnet-m", "video-swin-b-k400", "dense-convnext-b")
EPOCHS = 4
PHASES = {"dense-convnext-b": ["input.memory.warmup_epochs=1", "input.memory.final_epochs=1"]}  # so that they fit


def run(*arguments: str | Path) -> None:
    """A command, whose output goes to the terminal; if it fails, it has printed why."""
    command = [sys.executable, "-m", "urbanpipe.cli.main", *map(str, arguments)]
    if subprocess.run(command, check=False, stdout=sys.stderr).returncode:
        sys.exit(1)


def row(recipe: str, out: Path, settings: list[str]) -> list[str]:
    """Train, and tell the costs."""
    given = ["model.weights=random", f"training.epochs={EPOCHS}", f"training.validate_every={EPOCHS}"]
    sets = [part for each in [*given, *PHASES.get(recipe, []), *settings] for part in ("--set", each)]
    sets += ["--folds", str(out / "folds.csv"), "--fold", "0", "--cache", str(out / "cache" / recipe)]
    run("train", out / "catalog.csv", "--recipe", recipe, *sets, "--out", out / recipe)
    with next((out / recipe).rglob("metrics.csv")).open(encoding="utf-8") as file:
        epochs = list(csv.DictReader(file))
    rates = [float(epoch["videos_per_second"]) for epoch in epochs]
    waited = [float(epoch["waited_for_data"]) for epoch in epochs]
    peak = max(float(epoch["peak_memory_mib"]) for epoch in epochs) / 1024
    return [recipe, f"{rates[0]:.1f}", f"{median(rates[1:]):.1f}", f"{median(waited[1:]):.2f}", f"{peak:.1f}"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("simulated", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--recipe", action="append", default=[])
    parser.add_argument("--set", dest="settings", action="append", default=[])
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    catalog = given.out / "catalog.csv"
    run("scan", given.simulated / "videos", "--labels", given.simulated / "labels.json", "--out", catalog)
    run("folds", catalog, "--out", given.out / "folds.csv")
    rows = [row(recipe, given.out, given.settings) for recipe in given.recipe or RECIPES]
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    print(f"{gpu}, torch {torch.__version__}\n")
    header = ["recipe", "videos/s, first epoch (GPU cold)", "later", "waited", "GiB"]
    print(markdown_table(header, rows))


if __name__ == "__main__":
    main()
