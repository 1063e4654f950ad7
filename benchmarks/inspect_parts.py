"""Where the CPU time of an inspection goes: the parts of each video, without the start.

    urbanpipe simulate cctv --videos 3 --seed 1006 --kind cctv --size 640x480 --fps 25 --seconds 60:60
    OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/inspect_parts.py cctv/videos

Runs the demonstration bundle by ONNX Runtime. The two processes share one core (`taskset`), because on two virtual
cores the same work may count more CPU seconds (inspect_speed.md).
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from unittest.mock import patch

import numpy as np
import psutil

from urbanpipe.evaluation.tables import markdown_table
from urbanpipe.inspection import evidence_buffer
from urbanpipe.inspection.inspector import Inspected, Inspector
from urbanpipe.inspection.video_pass import DARK
from urbanpipe.report.html import write_report
from urbanpipe.video.decode import stream_decoded
from urbanpipe.video.index import FrameIndex, index_frames
from urbanpipe.video.isolated import stream_pictures
from urbanpipe.video.picture import upright
from urbanpipe.video.resizing import resized

T = TypeVar("T")
REPEATS = 3


def cpu_seconds() -> float:
    """CPU seconds of this process and its decoder processes."""
    times = [process.cpu_times() for process in (psutil.Process(), *psutil.Process().children())]
    return sum(item.user + item.system for item in times)


def timed(call: Callable[[], T], clock: Callable[[], float] = time.process_time) -> tuple[float, T]:
    """Least CPU seconds of a few calls, and what the last one returns."""
    spent = []
    for _ in range(REPEATS):
        started = clock()
        value = call()
        spent.append(clock() - started)
    return min(spent), value


def frame_parts(video: Path, index: FrameIndex, wanted: list[int]) -> dict[str, float]:
    """Seconds of what is done with each wanted frame before the networks."""
    decode, found = timed(lambda: list(stream_decoded(index, wanted, "conceal")))
    frames = [item.frame for item in found if item.frame is not None]
    rgb, pictures = timed(lambda: [upright(frame, index) for frame in frames])
    across, _ = timed(lambda: sum(1 for _ in stream_pictures(index, wanted, "conceal")), cpu_seconds)
    return {
        "index and digest": timed(lambda: index_frames(video, hashed=True))[0],
        "decoding": decode,
        "conversion to RGB": rgb,
        "from process to process": max(0.0, across - decode - rgb),
        "resizing to 128 px": timed(lambda: [resized(picture, (128, 128)) for picture in pictures])[0],
        "dark or not": timed(lambda: [np.percentile(p[::8, ::8].max(axis=2), 95) < DARK for p in pictures])[0],
    }


def inspection_parts(inspector: Inspector, video: Path) -> tuple[dict[str, float], Inspected]:
    """Seconds of the networks and of all that makes pictures, and the inspection."""
    jpeg = 0.0
    encode = evidence_buffer.to_jpeg

    def encoded(picture: np.ndarray) -> bytes:
        nonlocal jpeg
        spent, data = time.thread_time(), encode(picture)
        jpeg += time.thread_time() - spent
        return data

    with patch.object(evidence_buffer, "to_jpeg", encoded), patch("time.perf_counter", time.thread_time):
        done = inspector.inspect(video)
    with tempfile.TemporaryDirectory() as folder:
        write, inspection = timed(lambda: done.write(Path(folder)))
        page, _ = timed(lambda: write_report(inspection, Path(folder)))
    parts = {
        "networks": done.seconds["network"] - jpeg,
        "JPEG of possible evidence": jpeg,
        "heat maps": done.seconds["evidence"],
        "files": write,
        "page": page,
    }
    return parts, done


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path)
    given = parser.parse_args()
    inspector = Inspector.load(runtime="onnx")
    assert "torch" not in sys.modules, "pictures would be resized by torch"
    columns: list[dict[str, float]] = []
    names = []
    for video in sorted(given.videos.glob("*.mp4")):
        index = index_frames(video)
        wanted = np.searchsorted(index.times_seconds, np.arange(0.25, index.duration_seconds, 0.5)).tolist()
        inspector.inspect(video)  # loads what is loaded once
        parts, done = inspection_parts(inspector, video)
        whole, _ = timed(lambda video=video: inspector.inspect(video), cpu_seconds)  # type: ignore[misc]
        parts = frame_parts(video, index, wanted) | parts
        made = sum(len(finding.occurrences) for finding in done.findings)
        names.append(f"{video.name}, {made} occurrences")
        rest = whole - sum(parts.values()) + parts["files"] + parts["page"]
        columns.append(parts | {"the rest": rest, "**all**": whole + parts["files"] + parts["page"]})
    rows = [[part, *[f"{column[part]:.3f}" for column in columns]] for part in columns[0]]
    print(markdown_table(["part, CPU s", *names], rows))


if __name__ == "__main__":
    main()
