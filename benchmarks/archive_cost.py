"""What 100,000 videos would take: CPU seconds per video as measured here, hours and cost as extrapolated from them.

    python benchmarks/archive_cost.py VIDEOS_OF_40_SECONDS VIDEOS_OF_10_MINUTES

Each folder is inspected twice in an archive by one worker with one thread: the first video alone, then all with copies.
The difference is what a further video costs, without the start of the process. The rest of the table multiplies.
"""

import argparse
import os
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

from archive_scaling import copied, measured

from urbanpipe.evaluation.tables import markdown_table
from urbanpipe.video.index import index_frames

VIDEOS = 100_000
MACHINES = (1, 4, 32)


@dataclass(frozen=True)
class PerVideo:
    """What one more video takes, on one core."""

    length_seconds: float
    mebibytes: float
    wall_seconds: float
    cpu_seconds: float
    peak_mebibytes: float


def per_video(videos: Path, copies: int, bundle: list[str]) -> PerVideo:
    """Measure one video alone and all of them several times, on the first core of this machine."""
    paths = sorted(videos.glob("*.mp4"))
    core = sorted(os.sched_getaffinity(0))[:1]
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as many:
        Path(one, paths[0].name).symlink_to(paths[0].resolve())
        count = copied(videos, copies, Path(many))
        first, every = measured(Path(one), core, bundle), measured(Path(many), core, bundle)
    return PerVideo(
        length_seconds=statistics.mean(index_frames(path).duration_seconds for path in paths),
        mebibytes=statistics.mean(path.stat().st_size for path in paths) / 2**20,
        wall_seconds=(every[0] - first[0]) / (count - 1),
        cpu_seconds=(every[1] - first[1]) / (count - 1),
        peak_mebibytes=every[3],
    )


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--copies", type=int, default=2)
    parser.add_argument("--bundle", default="", help="default: the demonstration bundle")
    parser.add_argument("--cores", type=int, default=8, help="cores of a machine, each with one worker")
    parser.add_argument("--price", type=float, default=0.05, help="assumed price of a core for an hour")
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    bundle = ["--bundle", given.bundle] if given.bundle else []
    found = [per_video(folder, given.copies, bundle) for folder in given.folders]
    head = ["length s", "MiB", "wall s", "CPU s", "CPU s per second of video", "worker's peak MiB"]
    rows = [
        [
            f"{one.length_seconds:.0f}",
            f"{one.mebibytes:.1f}",
            f"{one.wall_seconds:.2f}",
            f"{one.cpu_seconds:.2f}",
            f"{one.cpu_seconds / one.length_seconds:.4f}",
            f"{one.peak_mebibytes:.0f}",
        ]
        for one in found
    ]
    print(markdown_table(head, rows))
    head = ["length s", "core hours", *(f"hours on {count}" for count in MACHINES), "cost", "TiB read twice"]
    rows = []
    for one in found:
        core_hours = VIDEOS * max(one.wall_seconds, one.cpu_seconds) / 3600
        hours = [f"{core_hours / (given.cores * count):.1f}" for count in MACHINES]
        read = 2 * VIDEOS * one.mebibytes / 2**20
        rows.append(
            [f"{one.length_seconds:.0f}", f"{core_hours:.0f}", *hours, f"{given.price * core_hours:.0f}", f"{read:.1f}"]
        )
    print(markdown_table(head, rows))


if __name__ == "__main__":
    main()
