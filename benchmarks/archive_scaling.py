"""How many videos per second one core and two cores inspect in an archive, and what is not inspection.

    urbanpipe simulate short --videos 24 --seed 7 --kind cctv --size 640x480 --fps 25 --seconds 20:20
    python benchmarks/archive_scaling.py short/videos --copies 5

Each core has one `archive run` with one worker and one thread, and its decoder, as a machine would have. Every run of
the benchmark has an archive of its own and includes the start of its processes.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq

from urbanpipe.archive.shards.plan import archive_plan
from urbanpipe.evaluation.tables import markdown_table


def copied(videos: Path, copies: int, folder: Path) -> int:
    """Copy every video several times; return the number of copies."""
    for number in range(copies):
        (folder / f"copy{number}").mkdir(parents=True)
        for path in sorted(videos.glob("*.mp4")):
            shutil.copy(path, folder / f"copy{number}" / path.name)
    return len(list(folder.rglob("*.mp4")))


def measured(videos: Path, cores: list[int], bundle: list[str]) -> tuple[float, float, float, float]:
    """Run an archive on some cores; return wall and CPU seconds, seconds of inspection of all rows, and peak MiB."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "archive"
        archive_plan([videos], archive)
        command = [sys.executable, "-m", "urbanpipe.cli.main", "archive", "run", str(archive), *bundle]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = time.perf_counter()
        processes = []
        for core in cores:
            os.sched_setaffinity(0, {core})  # what is started inherits it
            processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        if any(process.wait() for process in processes):
            raise SystemExit("a run has failed")
        wall = time.perf_counter() - started
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        parts = archive.rglob("*.videos.parquet")
        inspecting = sum(sum(pq.read_table(part, columns=["seconds"])["seconds"].to_pylist()) for part in parts)
    return wall, spent, inspecting, after.ru_maxrss / 1024


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path)
    parser.add_argument("--copies", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--bundle", default="", help="default: the demonstration bundle")
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    bundle = ["--bundle", given.bundle] if given.bundle else []
    with tempfile.TemporaryDirectory() as folder:
        count = copied(given.videos, given.copies, Path(folder))
        runs: dict[int, list[tuple[float, float, float, float]]] = {1: [], 2: []}
        cores = sorted(os.sched_getaffinity(0))
        for _ in range(given.repeats):
            for number, results in runs.items():  # in turns, so that other programs slow both down
                results.append(measured(Path(folder), cores[:number], bundle))
                print(number, *(f"{value:.1f}" for value in results[-1]), flush=True)
    rows = []
    first = statistics.median(wall for wall, *_ in runs[1])
    for number, results in runs.items():
        wall, spent, inspecting, memory = (statistics.median(column) for column in zip(*results, strict=True))
        figures = [f"{wall:.1f}", f"{spent:.1f}", f"{count / wall:.2f}", f"{first / wall:.2f}"]
        rows.append([str(number), *figures, f"{1 - inspecting / (wall * number):.0%}", f"{memory:.0f}"])
    head = [f"cores, {count} videos", "seconds", "CPU seconds", "videos/s", "times one", "not inspection", "peak MiB"]
    print(markdown_table(head, rows))


if __name__ == "__main__":
    main()
