"""How long `inspect` takes for a second of video, what of it goes where, and how much memory it needs.

    urbanpipe simulate cctv --videos 3 --seed 1006 --kind cctv --size 640x480 --fps 25 --seconds 60:60
    python benchmarks/inspecting.py cctv/videos

Every video is inspected whole in a process of its own: findings, pictures and report. One of them is also looped
(without encoding anew) to ten times its length, for the memory.
"""

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
from pathlib import Path
from statistics import median

import av
import torch

from urbanpipe.evaluation.tables import markdown_table
from urbanpipe.inference.options import RuntimeName
from urbanpipe.inspection.inspector import Inspector
from urbanpipe.report.html import write_report

PARTS = ("decode", "network", "evidence", "report")


def inspected(video: Path, bundle: Path | None, threads: int, runtime: RuntimeName) -> dict[str, float]:
    """Seconds of each part, the video's length, and the highest memory of the process in MiB; loading is left out."""
    torch.set_num_threads(threads)
    os.environ["OMP_NUM_THREADS"] = str(threads)  # of graphs
    inspector = Inspector.load(bundle, "cpu", runtime=runtime)
    with tempfile.TemporaryDirectory() as folder:
        done = inspector.inspect(video)
        started = time.perf_counter()
        report = write_report(done.write(Path(folder)), Path(folder))
        seconds = done.seconds | {"report": time.perf_counter() - started}
        size = report.stat().st_size / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return seconds | {"video": done.inspection.video.duration_seconds, "peak": peak, "size": size}


def alone(video: Path, bundle: Path | None, threads: int, runtime: RuntimeName) -> dict[str, float]:
    """`inspected` in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(inspected, (video, bundle, threads, runtime))


def copied(video: Path, out: av.container.OutputContainer, to: av.VideoStream, base: int) -> int:
    """Append the packets of a video, `base` ticks later than they are; how many ticks they last."""
    end = 0
    with av.open(str(video)) as source:
        for packet in source.demux(source.streams.video[0]):
            if packet.pts is None or packet.dts is None:
                continue
            end = max(end, packet.pts + (packet.duration or 0))
            packet.pts, packet.dts, packet.stream = packet.pts + base, packet.dts + base, to
            out.mux(packet)
    return end


def looped(video: Path, times: int, path: Path) -> Path:
    """The packets of a video again and again."""
    with av.open(str(path), "w") as out:
        with av.open(str(video)) as source:
            to = out.add_stream_from_template(source.streams.video[0])
        base = 0
        for _ in range(times):
            base += copied(video, out, to, base)
    return path


def row(name: str, found: dict[str, float]) -> list[str]:
    """A line of the table: length, parts and sum as seconds of work a second of video, memory, size of the report."""
    shares = [found[part] / found["video"] for part in PARTS]
    numbers = [f"{share:.4f}" for share in [*shares, sum(shares)]]
    return [name, f"{found['video']:.0f}", *numbers, f"{found['peak']:.0f}", f"{found['size']:.1f}"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--runtime", default="torch", choices=["torch", "onnx", "openvino"])
    given = parser.parse_args()
    videos = sorted(given.videos.glob("*.mp4"))
    each = [alone(video, given.bundle, given.threads, given.runtime) for video in videos]
    keys = each[0].keys()
    with tempfile.TemporaryDirectory() as folder:
        long = alone(looped(videos[0], 10, Path(folder) / "long.mp4"), given.bundle, given.threads, given.runtime)
    rows = [
        row(f"median of {len(each)}", {key: median(one[key] for one in each) for key in keys}),
        row("the first", each[0]),
        row("the first ten times over", long),
    ]
    parts = [f"{part} s/s" for part in PARTS]
    print(markdown_table(["video", "seconds", *parts, "all s/s", "peak MiB", "report MiB"], rows))


if __name__ == "__main__":
    main()
