"""Proxies and stills of the review: speed and size of proxies, and jumps to a frame of an hour of video.

Videos of 640x480 at 25 frames per second: a drifting wall with sensor noise. The hour repeats one minute of it, copied
without encoding.

    python benchmarks/review_media.py OUT
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from PIL import Image

from urbanpipe.review.media.encoding import H264, VP9, write_proxy
from urbanpipe.review.media.indices import IndexCache
from urbanpipe.review.media.stills import Stills
from urbanpipe.video.decoders import shared_decoders
from urbanpipe.video.isolated import index_frames

WIDTH, HEIGHT, RATE, SECONDS, MINUTES, JUMPS = 640, 480, 25, 30, 60, 20
X264 = {"preset": "veryfast", "crf": "23"}
CODECS = {
    "MPEG-4, AVI": ("mpeg4.avi", "mpeg4", {"b": "2M", "g": "12", "bf": "2"}),
    "MPEG-2, MPEG-PS": ("mpeg2.mpg", "mpeg2video", {"b": "4M", "g": "12", "bf": "2"}),
    "H.264, MPEG-TS": ("h264.ts", "libx264", X264 | {"g": "50"}),
}
HOURS = {
    "H.264, MP4, GOP 50": ("gop50.mp4", "libx264", X264 | {"g": "50"}),
    "H.264, MP4, GOP 250": ("gop250.mp4", "libx264", X264 | {"g": "250"}),
    "MPEG-2, MPEG-TS, GOP 12": ("mpeg2.ts", "mpeg2video", {"b": "4M", "g": "12", "bf": "2"}),
}


def make_video(path: Path, codec: str, options: dict[str, str], seconds: int) -> Path:
    if path.exists():
        return path
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(20, 200, (48, 64, 3), dtype=np.uint8))
    wall = np.asarray(coarse.resize((2 * WIDTH, 2 * HEIGHT), Image.Resampling.BICUBIC)).astype(np.int16)
    noise = rng.normal(0, 6, (8, HEIGHT, WIDTH, 3)).astype(np.int16)
    with av.open(str(path), "w") as out:
        stream = cast("av.VideoStream", out.add_stream(codec, rate=RATE, options=options))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(seconds * RATE):
            pixels = np.roll(wall, (number // 2, number // 3), (0, 1))[:HEIGHT, :WIDTH] + noise[number % 8]
            frame = av.VideoFrame.from_ndarray(np.clip(pixels, 0, 255).astype(np.uint8), "rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def repeated(source: Path, path: Path, times: int, seconds: int) -> Path:
    """The packets of a video, several times one after the other."""
    if path.exists():
        return path
    with av.open(str(source)) as given:
        old = given.streams.video[0]
        packets = [(p.pts, p.dts, p.is_keyframe, bytes(p)) for p in given.demux(old) if p.size]
        base, step = cast("Fraction", old.time_base), round(seconds / cast("Fraction", old.time_base))
        with av.open(str(path), "w") as out:
            new = out.add_stream_from_template(old)
            for turn in range(times):
                for pts, dts, key, data in packets:
                    packet = av.Packet(data)
                    packet.pts, packet.dts = cast("int", pts) + turn * step, cast("int", dts) + turn * step
                    packet.time_base, packet.is_keyframe, packet.stream = base, key, new
                    out.mux(packet)
    return path


def cpu_seconds() -> float:
    """CPU time of this process and of those that it started and that have ended."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in usage)


def measure_proxy(video: Path, out: Path) -> None:
    """Print wall and CPU seconds of a proxy, and the length of the video."""
    form = VP9 if out.suffix == VP9.suffix else H264
    wall, cpu = time.perf_counter(), cpu_seconds()
    index = index_frames(video)
    write_proxy(index, out, form=form, report=lambda _: None)
    wall = time.perf_counter() - wall
    shared_decoders.close()
    print(wall, cpu_seconds() - cpu, index.duration_seconds)


def proxies(folder: Path) -> None:
    print("| video | proxy | times real time | CPU s per s of video | MB per minute |\n|---|---|---:|---:|---:|")
    for name, (file, codec, options) in CODECS.items():
        video = make_video(folder / file, codec, options, SECONDS)
        for form in (H264, VP9) if "MPEG-4" in name else (H264,):
            out = folder / f"proxy{form.suffix}"
            command = [sys.executable, __file__, str(folder), "--proxy", str(video), str(out)]
            told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            wall, cpu, length = (float(part) for part in told.split()[-3:])
            size = out.stat().st_size / 1e6 / length * 60
            print(f"| {name} | {form.codec} | {length / wall:.1f} | {cpu / length:.3f} | {size:.2f} |", flush=True)


def jumps(folder: Path) -> None:
    print("\n| hour of video | index, s | first jump, ms | median jump, ms | slowest jump, ms | step, ms |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, (file, codec, options) in HOURS.items():
        minute = make_video(folder / f"minute-{file}", codec, options, 60)
        video = repeated(minute, folder / f"hour-{file}", MINUTES, 60)
        indices = IndexCache()
        started = time.perf_counter()
        count = indices.index(video).frame_count
        known = time.perf_counter() - started
        stills = Stills(indices)
        numbers = np.random.default_rng(0).integers(count // 2, count, JUMPS).tolist()
        first, *others = [_milliseconds(stills, video, number) for number in numbers]
        steps = [_milliseconds(stills, video, numbers[-1] + step) for step in range(-5, 0)]
        print(
            f"| {name} | {known:.1f} | {first:.0f} | {np.median(others):.0f} | {max(others):.0f} "
            f"| {np.median(steps):.0f} |",
            flush=True,
        )


def _milliseconds(stills: Stills, video: Path, number: int) -> float:
    started = time.perf_counter()
    stills.frame(video, number)
    return (time.perf_counter() - started) * 1000


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="a folder for the videos")
    parser.add_argument("--proxy", type=Path, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.proxy:
        measure_proxy(*options.proxy)
        return
    options.out.mkdir(parents=True, exist_ok=True)
    print(f"Load of the machine at the start: {os.getloadavg()[0]:.1f}\n")
    proxies(options.out)
    jumps(options.out)
    print(f"\nLoad of the machine at the end: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
