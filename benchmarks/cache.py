"""An epoch that decodes every video against an epoch that reads its frames from the cache.

Run `python benchmarks/cache.py`; it makes its own videos and writes cache.md beside itself (minutes, on two cores).
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from decoding import GOPS, RATE, SIDE, cpu_seconds, machine, make_video

from urbanpipe.outputs import write_text
from urbanpipe.video.cache import FrameCache
from urbanpipe.video.decode import read_frames
from urbanpipe.video.probe import digest
from urbanpipe.video.sampling import uniform

PAGE = """# Frame cache

    python benchmarks/cache.py

{machine}.

CPU milliseconds a video, medians of {repeats} epochs over {videos} videos of {seconds:g} s at 720p (x264 with B-frames,
25 frames a second): nine uniform frames of {side} x {side} px each, JPEG quality {quality}, files in the operating
system's cache.

| GOP | epoch of decoding | first epoch, decoding and storing | epoch from the cache | decoding : cache | kB a video |
|---|---|---|---|---|---|
{rows}
"""


def measure(folder: Path, gop: int, videos: int, seconds: float, repeats: int, quality: int) -> str:
    paths = [make_video(folder / f"{gop}-{seed}.mp4", 720, gop, seconds, seed) for seed in range(videos)]
    digests = [digest(path) for path in paths]
    nine = uniform(round(seconds * RATE), 9)
    cache = FrameCache(folder / f"cache-{gop}", 10**9, quality)

    def decoding() -> None:
        for path in paths:
            read_frames(path, nine, (SIDE, SIDE))

    def reading() -> None:
        for path, content in zip(paths, digests, strict=True):
            cache.frames(path, content, nine, size=(SIDE, SIDE))

    decoded = cpu_seconds(decoding, repeats)
    stored = cpu_seconds(reading, 1)
    read = cpu_seconds(reading, 3 * repeats)
    size = np.mean([entry.stat().st_size for entry in cache.folder.glob("??/*.frames")])
    milliseconds = " | ".join(f"{total / videos * 1000:.1f}" for total in (decoded, stored, read))
    return f"| {gop} | {milliseconds} | {decoded / read:.0f} | {size / 1000:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quality", type=int, default=90)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    a = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        rows = [measure(Path(name), gop, a.videos, a.seconds, a.repeats, a.quality) for gop in GOPS]
    page = PAGE.format(
        machine=machine(),
        repeats=a.repeats,
        videos=a.videos,
        seconds=a.seconds,
        side=SIDE,
        quality=a.quality,
        rows="\n".join(rows),
    )
    write_text(a.out, page)
    print(page)
    print(f"written to {a.out}")


if __name__ == "__main__":
    main()
