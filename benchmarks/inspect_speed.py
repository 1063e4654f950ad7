"""What `inspect` reads and costs, this version beside another one.

    git worktree add ../before COMMIT
    urbanpipe simulate cctv --videos 3 --seed 1006 --kind cctv --size 640x480 --fps 25 --seconds 60:60
    python benchmarks/inspect_speed.py cctv/videos --before ../before/src

The command runs on all videos into a new folder (first) and once more into the same one (rerun), of both versions in
turn, and on one of the videos alone: the difference is what each further video costs, without the start. CPU seconds
are those of the process and its decoder processes. With `--bytes` (needs `strace`), the bytes that all of them read of
each video are counted; mapped bytes are counted on their own.
"""

import argparse
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from urbanpipe.evaluation.tables import markdown_table

CALL = re.compile(r"(read|pread64|readv|preadv|mmap)\(.*= (\d+|0x[0-9a-f]+)")


def command(videos: Path, out: Path) -> list[str]:
    """The command line of one inspection."""
    return [sys.executable, "-m", "urbanpipe.cli.main", "inspect", str(videos), "--out", str(out)]


def timed(videos: Path, out: Path, package: Path) -> tuple[float, float]:
    """Wall and CPU seconds of one inspection by the version in a folder."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command(videos, out), env=os.environ | {"PYTHONPATH": str(package)}, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - started, cpu


def times_read(video: Path, out: Path, package: Path) -> tuple[float, float]:
    """How often one inspection reads and maps the bytes of a video."""
    with tempfile.NamedTemporaryFile("r", encoding="utf-8", errors="replace") as trace:
        traced = ["strace", "-f", "-y", "-e", "trace=read,pread64,readv,preadv,mmap", "-o", trace.name]
        environment = os.environ | {"PYTHONPATH": str(package)}
        subprocess.run([*traced, *command(video, out)], env=environment, check=True, capture_output=True)
        calls = [(line, CALL.search(line)) for line in trace if f"/{video.name}>" in line]
    read = sum(int(call[2]) for _, call in calls if call and call[1] != "mmap")
    mapped = sum(int(line.split(",")[1]) for line, call in calls if call and call[1] == "mmap")
    size = video.stat().st_size
    return read / size, mapped / size


def medians(runs: list[tuple[float, float]]) -> tuple[float, float]:
    """Medians of wall and CPU seconds."""
    return median(wall for wall, _ in runs), median(cpu for _, cpu in runs)


def speed_rows(videos: Path, versions: dict[str, Path], repeats: int) -> list[list[str]]:
    """Rows of medians, and their ratio to the first version."""
    runs: dict[tuple[str, str], list[tuple[float, float]]] = {}
    paths = sorted(path for path in videos.iterdir() if path.is_file())
    for _ in range(repeats):
        for version, package in versions.items():
            with tempfile.TemporaryDirectory() as folder:
                one, out = Path(folder, "one"), Path(folder, "out")
                one.mkdir()
                shutil.copy2(paths[0], one)
                of_one = timed(one, Path(folder, "out of one"), package)
                of_all = timed(videos, out, package)
                others = len(paths) - 1
                more = ((of_all[0] - of_one[0]) / others, (of_all[1] - of_one[1]) / others)
                for call, spent in (
                    (f"first, {len(paths)} videos", of_all),
                    ("first, one video", of_one),
                    ("first, each further video", more),
                    ("rerun", timed(videos, out, package)),
                ):
                    runs.setdefault((call, version), []).append(spent)
    rows, base = [], next(iter(versions))
    for (call, version), seconds in sorted(runs.items()):
        wall, cpu = medians(seconds)
        of_base = medians(runs[call, base])
        ratios = [f"{of_base[0] / wall:.2f}", f"{of_base[1] / cpu:.2f}"]
        rows.append([call, version, f"{wall:.2f}", f"{cpu:.2f}", *ratios])
    return rows


def byte_rows(videos: list[Path], versions: dict[str, Path]) -> list[list[str]]:
    """Rows of how often each video is read."""
    rows = []
    for video in videos:
        for version, package in versions.items():
            with tempfile.TemporaryDirectory() as folder:
                first, rerun = (times_read(video, Path(folder), package) for _ in range(2))
            rows.append([video.name, version, f"{first[0]:.2f}", f"{first[1]:.2f}", f"{rerun[0]:.2f}"])
    return rows


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path)
    parser.add_argument("--before", type=Path, help="src folder of the other version")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--bytes", action="store_true")
    given = parser.parse_args()
    versions = {"before": given.before} if given.before else {}
    versions |= {"now": Path(__file__).parents[1] / "src"}
    if given.bytes:
        files = sorted(path for path in given.videos.iterdir() if path.is_file())
        header = ["video", "version", "first: read", "first: mapped", "rerun: read"]
        print(markdown_table(header, byte_rows(files, versions)))
    else:
        header = ["call", "version", "wall s", "CPU s", "wall ratio", "CPU ratio"]
        print(markdown_table(header, speed_rows(given.videos, versions, given.repeats)))


if __name__ == "__main__":
    main()
