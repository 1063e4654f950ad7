"""What it costs to take a few frames out of a video, and which frames one gets: urbanpipe against other decoders.

Run `python benchmarks/decoding.py`; it makes its own videos and writes decoding.md beside itself (minutes, on two
cores). OpenCV and torchcodec take part where they are installed (`pip install urbanpipe[bench]`; torchcodec also needs
FFmpeg's shared libraries).
"""

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from urbanpipe.outputs import write_text
from urbanpipe.video.decode import read_frames, stream_frames
from urbanpipe.video.probe import probe
from urbanpipe.video.resizing import resized_by_swscale, resized_by_torch
from urbanpipe.video.sampling import interval, uniform

os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "threads;1"
try:
    cv2: Any = import_module("cv2")
except ImportError:
    cv2 = None
try:
    from torchcodec.decoders import VideoDecoder
except (ImportError, OSError, RuntimeError):
    VideoDecoder = None

Pixels = NDArray[np.uint8]
Reader = Callable[[Path, Sequence[int]], object]
HEIGHTS, GOPS = (576, 720), (12, 50, 250)
WIDTHS = {576: 720, 720: 1280}
RATE, SIDE = 25, 448


def machine() -> str:
    """The processor and what runs on it, for the head of a page."""
    names = [
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if "model name" in line
    ]
    versions = f"Python {platform.python_version()}, PyAV {av.__version__}, torch {torch.__version__}"
    others = f"OpenCV {cv2.__version__}" if cv2 is not None else "no OpenCV"
    torchcodec = "torchcodec with its FFmpeg" if VideoDecoder is not None else "torchcodec could not be loaded"
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores; {versions}, {others}, {torchcodec}"


def wall(seed: int) -> Pixels:
    """A still of 1800 x 2600 pixels with structure at every scale, like the wall of an old pipe."""
    rng = np.random.default_rng(seed)
    total = np.zeros((1800, 2600), dtype=np.float32)
    for octave in range(8):
        cells = (8 << octave, 12 << octave)
        noise = Image.fromarray(rng.normal(size=cells).astype(np.float32))
        total += np.asarray(noise.resize((2600, 1800), Image.Resampling.BICUBIC)) * 0.62**octave
    tint = np.array([1.0, 0.9, 0.72], dtype=np.float32)
    still: Pixels = np.clip((115 + 42 * total)[:, :, None] * tint, 0, 255).astype(np.uint8)
    return still


def make_video(path: Path, height: int, gop: int, seconds: float, seed: int = 0) -> Path:
    """A shaky camera that drifts along the wall, with sensor noise; x264 with B-frames."""
    rng = np.random.default_rng(seed)
    width, still = WIDTHS[height], wall(seed)
    grain = rng.normal(0, 4.5, (12, height, width, 1)).astype(np.int8)
    with av.open(str(path), "w") as out:
        options = {"preset": "veryfast", "crf": "22", "g": str(gop), "bf": "3"}
        stream = out.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = Fraction(1, RATE)
        for number in range(round(seconds * RATE)):
            top = int((1800 - height) * (0.5 + 0.45 * np.sin(number / 90)) + rng.normal(0, 0.3))
            left = int((2600 - width) * (0.5 + 0.45 * np.cos(number / 140)) + rng.normal(0, 0.3))
            view = still[top : top + height, left : left + width] + grain[rng.integers(12)]
            frame = av.VideoFrame.from_ndarray(np.clip(view, 0, 255).astype(np.uint8), format="rgb24")
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def cpu_seconds(work: Callable[[], object], repeats: int) -> float:
    """Median CPU time of all threads of this process."""
    taken = []
    for _ in range(repeats):
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)
    return statistics.median(taken)


def plain_pass(path: Path) -> None:
    """Decode everything, keep nothing: the unit of the tables."""
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for _ in container.decode(video=0):
            pass


def opencv_read_all(path: Path, wanted: Sequence[int]) -> list[Pixels]:
    video, frames, keep = cv2.VideoCapture(str(path)), [], set(wanted)
    for number in range(max(wanted) + 1):
        _, frame = video.read()
        if number in keep:
            frames.append(cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_AREA))
    return frames


def opencv_seek(path: Path, wanted: Sequence[int], side: int | None = SIDE) -> list[Pixels]:
    video, frames = cv2.VideoCapture(str(path)), []
    for number in wanted:
        video.set(cv2.CAP_PROP_POS_FRAMES, number)
        good, frame = video.read()
        if not good:
            raise OSError("OpenCV gives no frame")
        frames.append(cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA) if side else frame[..., ::-1])
    return frames


def torchcodec_at(path: Path, wanted: Sequence[int], side: int | None = SIDE) -> list[Pixels]:
    decoder = VideoDecoder(str(path), seek_mode="exact", num_ffmpeg_threads=1, dimension_order="NHWC")
    frames = decoder.get_frames_at(list(wanted)).data.numpy()
    return [resized_by_torch(frame, (side, side)) if side else frame for frame in frames]


def pyav_seek(path: Path, wanted: Sequence[int]) -> list[Pixels]:
    """What a careful user writes: for each frame seek to the keyframe before and decode up to its time."""
    frames = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for number in wanted:
            ticks = round(number / RATE / float(stream.time_base or 1))
            container.seek(ticks, stream=stream)
            frame = next(frame for frame in container.decode(stream) if frame.pts is not None and frame.pts >= ticks)
            frames.append(resized_by_torch(np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8), (SIDE, SIDE)))
    return frames


def ours(path: Path, wanted: Sequence[int]) -> Pixels:
    return read_frames(path, np.array(wanted), (SIDE, SIDE))


def ours_streamed(path: Path, wanted: Sequence[int]) -> None:
    for _ in stream_frames(path, np.array(wanted), (SIDE, SIDE)):
        pass


def readers() -> dict[str, Reader]:
    found: dict[str, Reader] = {}
    if cv2 is not None:
        found |= {"OpenCV, read all": opencv_read_all, "OpenCV, seek by number": opencv_seek}
    if VideoDecoder is not None:
        found["torchcodec, exact"] = torchcodec_at
    return found | {"PyAV, seek for each frame": pyav_seek}


def cost_table(videos: dict[tuple[int, int], Path], wanted: list[int], ways: dict[str, Reader], repeats: int) -> str:
    units = {key: cpu_seconds(lambda path=path: plain_pass(path), repeats) for key, path in videos.items()}  # type: ignore[misc]
    lines = [
        "| way | " + " | ".join(f"{height}p, GOP {' / '.join(map(str, GOPS))}" for height in HEIGHTS) + " |",
        "|---|" + "---|" * len(HEIGHTS),
        "| megabits a second | "
        + " | ".join(" / ".join(_megabits(videos[height, gop]) for gop in GOPS) for height in HEIGHTS)
        + " |",
        "| one plain pass, CPU seconds | "
        + " | ".join(" / ".join(f"{units[height, gop]:.2f}" for gop in GOPS) for height in HEIGHTS)
        + " |",
    ]
    for name, read in ways.items():
        cells = []
        for height in HEIGHTS:
            shares = []
            for gop in GOPS:
                path = videos[height, gop]
                taken = cpu_seconds(lambda path=path, read=read: read(path, wanted), repeats)  # type: ignore[misc]
                shares.append(f"{taken / units[height, gop]:.2f}")
            cells.append(" / ".join(shares))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
        print(lines[-1], file=sys.stderr, flush=True)
    return "\n".join(lines)


def _megabits(path: Path) -> str:
    info = probe(path)
    return f"{info.bit_rate / 1e6:.1f}"


def resize_table(videos: dict[tuple[int, int], Path], repeats: int) -> str:
    lines = [
        f"| way to {SIDE} px RGB | "
        + " | ".join(f"{height}p: ms, mean and largest difference" for height in HEIGHTS)
        + " |",
        "|---|" + "---|" * len(HEIGHTS),
    ]
    frames = {}
    for height in HEIGHTS:
        with av.open(str(videos[height, 12])) as container:
            frames[height] = [frame for frame, _ in zip(container.decode(video=0), range(20), strict=False)]
    ways: dict[str, Callable[[av.VideoFrame], Pixels]] = {
        f"swscale from YUV, {name.replace('_', ' ').lower()}": lambda frame, name=name: np.asarray(  # type: ignore[misc]
            frame.reformat(SIDE, SIDE, "rgb24", interpolation=name, threads=1).to_ndarray(), dtype=np.uint8
        )
        for name in ("FAST_BILINEAR", "BILINEAR", "AREA", "BICUBIC")
    }
    ways["RGB, then Pillow bilinear"] = _pillow
    ways["**RGB, then torch antialias (urbanpipe)**"] = lambda frame: resized_by_torch(_rgb(frame), (SIDE, SIDE))
    ways["**RGB, then swscale by plane (urbanpipe without torch)**"] = lambda frame: resized_by_swscale(
        _rgb(frame), (SIDE, SIDE)
    )
    for name, way in ways.items():
        cells = []
        for height in HEIGHTS:
            taken = cpu_seconds(lambda way=way, height=height: [way(f) for f in frames[height]], repeats)  # type: ignore[misc]
            away = np.abs(way(frames[height][5]).astype(int) - _pillow(frames[height][5]))
            cells.append(f"{taken / len(frames[height]) * 1000:.2f}, {away.mean():.2f}, {away.max()}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _rgb(frame: av.VideoFrame) -> Pixels:
    return np.asarray(frame.to_ndarray(format="rgb24", threads=1), dtype=np.uint8)


def _pillow(frame: av.VideoFrame) -> Pixels:
    return np.asarray(Image.fromarray(_rgb(frame)).resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def exactness_table(folder: Path) -> str:
    """The tests' videos carry their frame numbers in the picture: read 28 of each and compare."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from helpers.video_files import FORMS, FRAMES, number_in

    ways: dict[str, Callable[[Path, Sequence[int]], Sequence[Pixels]]] = {}
    if cv2 is not None:
        ways["OpenCV, seek by number"] = lambda path, wanted: opencv_seek(path, wanted, None)
    if VideoDecoder is not None:
        ways["torchcodec, exact"] = lambda path, wanted: torchcodec_at(path, wanted, None)
    ways["urbanpipe"] = lambda path, wanted: list(read_frames(path, np.array(wanted)))
    lines = ["| file | " + " | ".join(ways) + " |", "|---|" + "---|" * len(ways)]
    wanted = sorted(np.random.default_rng(0).permutation(FRAMES)[:28].tolist())
    for name, (make, _) in FORMS.items():
        path = make(Path(tempfile.mkdtemp(dir=folder)))
        first = 33 if name == "edit list" else 0
        cells = []
        for read in ways.values():
            try:
                wrong = sum(
                    number_in(got) != number + first for got, number in zip(read(path, wanted), wanted, strict=True)
                )
                cells.append(f"{wrong} wrong" if wrong else "right")
            except Exception:  # whatever another decoder raises: it does not give these frames
                cells.append("fails")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


PAGE = """# Decoding

    python benchmarks/decoding.py

{machine}.

Videos: x264 with B-frames, 25 frames a second, {seconds:g} s, a drifting textured wall with sensor noise. Unit: the CPU
time of one plain decoding pass over the whole video with one thread, so 1.00 is what extracting all frames pays before
it writes any. Every way ends with frames of {side} x {side} px. Medians of {repeats} runs; one run at two frames a
second.

## Nine uniform frames

{nine}

## Two frames a second

{dense}

## Resizing one frame

Milliseconds, and the difference in grey levels from Pillow's bilinear filter on the RGB picture.

{resize}

## Which frame one gets

28 frames of 75, the number read from the picture. These files are those of the tests, where urbanpipe's frames are
compared with a full decode to the last bit.

{exact}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each video")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--resizing", action="store_true", help="print the table of one frame's resizing, and no other")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if cv2 is not None:
        cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.resizing:
            short = {(height, 12): make_video(folder / f"{height}.mp4", height, 12, 1.0) for height in HEIGHTS}
            print(resize_table(short, arguments.repeats))
            return
        videos = {
            (height, gop): make_video(folder / f"{height}-{gop}.mp4", height, gop, arguments.seconds)
            for height in HEIGHTS
            for gop in GOPS
        }
        frame_count = round(arguments.seconds * RATE)
        nine = uniform(frame_count, 9).tolist()
        dense = interval(np.arange(frame_count) / RATE, 0.5).tolist()
        page = PAGE.format(
            machine=machine(),
            repeats=arguments.repeats,
            seconds=arguments.seconds,
            side=SIDE,
            nine=cost_table(videos, nine, readers() | {"**urbanpipe**": ours}, arguments.repeats),
            dense=cost_table(videos, dense, readers() | {"**urbanpipe, streamed**": ours_streamed}, 1),
            resize=resize_table(videos, arguments.repeats),
            exact=exactness_table(folder),
        )
    write_text(arguments.out, page)
    print(page)
    print(f"written to {arguments.out}")


if __name__ == "__main__":
    main()
