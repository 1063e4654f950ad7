"""Videos per second in training on a CPU: one processor left to each loading process, or to every two of them.

    python benchmarks/threads.py CATALOG FOLDS WORK [--set KEY=VALUE ...]

Trains an epoch of each case, in turn with as many threads as processors minus loading processes, and with as many as
`urbanpipe` chooses. Prints medians and ratios. A first training fills the frame cache.
"""

import argparse
import csv
import os
import shutil
import statistics
import subprocess
from pathlib import Path

from urbanpipe.evaluation.tables import markdown_table
from urbanpipe.inputs.loading import loading_workers

POOLED = ["input.size=224", "input.pooling=mean-max", 'augment.tile=["crop","horizontal_flip","colour_jitter"]']
CASES = {
    "super-images of 192 px, `small-mobilenetv2`": ("small-mobilenetv2", []),
    "frames of 96 px, `small-frame`": ("small-frame", []),
    "frames of 224 px, cropped and coloured, pooled": ("small-frame", POOLED),
}


def trained(given: argparse.Namespace, recipe: str, settings: list[str], threads: int | None) -> float:
    """Train an epoch; return its videos per second."""
    out = given.work / "run"
    shutil.rmtree(out, ignore_errors=True)
    changes = [*settings, *given.set, "training.epochs=1", "optimiser.warmup_epochs=0.1"]
    command = ["urbanpipe", "train", given.catalog, "--folds", given.folds, "--fold", "0", "--recipe", recipe]
    options = [word for change in changes for word in ("--set", change)]
    environment = os.environ | ({} if threads is None else {"OMP_NUM_THREADS": str(threads)})
    where = ["--out", str(out), "--cache", str(given.work / "cache"), "--quiet"]
    subprocess.run([*command, *options, *where], env=environment, check=True)
    with (out / "fold0" / "metrics.csv").open(newline="", encoding="utf-8") as file:
        return float([*csv.DictReader(file)][-1]["videos_per_second"])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalog")
    parser.add_argument("folds")
    parser.add_argument("work", type=Path, help="folder for the runs and the frame cache")
    parser.add_argument("--set", action="append", default=[], help="a setting of all recipes, such as model.weights")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    before = max(1, (os.cpu_count() or 1) - loading_workers(-1))
    rows = []
    for case, (recipe, settings) in CASES.items():
        trained(given, recipe, settings, None)
        pairs = [
            (trained(given, recipe, settings, before), trained(given, recipe, settings, None))
            for _ in range(given.repeats)
        ]
        each, shared = (statistics.median(values) for values in zip(*pairs, strict=True))
        ratio = statistics.median(new / old for old, new in pairs)
        rows.append([case, f"{each:.1f}", f"{shared:.1f}", f"{ratio:.2f}"])
    header = ["training", "one left to each loading process", "to every two", "ratio"]
    print(markdown_table(header, rows, left=1))


if __name__ == "__main__":
    main()
