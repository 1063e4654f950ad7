"""Peak memory of the dense method on videos of half a minute, of three and of thirty minutes, and with half the clips.

Two videos of each length are trained on (memory filled, an epoch with the encoder, a last one with the head alone; the
same number of clips a step) and predicted. Every step runs in a process of its own, whose largest resident memory the
system tells.

    python benchmarks/long_videos.py OUT
"""

import argparse
import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

MINUTES = (0.5, 3.0, 30.0)
RATE, WIDTH, HEIGHT = Fraction(25, 2), 160, 120
CLIPS = 8
SETTINGS = (
    "model.weights=random",
    "training.epochs=3",
    "training.batch_size=2",
    "training.accumulation=1",
    "training.workers=0",
    "input.memory.warmup_epochs=1",
    "input.memory.final_epochs=1",
)


def make_video(path: Path, minutes: float, seed: int) -> None:
    """A texture that drifts, H.264, 160x120 at 12.5 frames a second."""
    texture = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "g": "50"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(int(minutes * 60 * RATE)):
            frame = av.VideoFrame.from_ndarray(np.roll(texture, number // 4, axis=1), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def peak_mib(*arguments: str | Path) -> float:
    """Largest resident memory of `urbanpipe ARGUMENTS`, MiB."""
    process = subprocess.Popen(
        [sys.executable, "-m", "urbanpipe.cli.main", *map(str, arguments)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(errors)
    return usage.ru_maxrss / 1024


def measure(folder: Path, minutes: float, clips: int) -> tuple[float, float]:
    """Peak memory of training and of prediction, MiB."""
    videos = folder / f"videos-{minutes:g}"
    if not videos.exists():
        videos.mkdir(parents=True)
        for number in range(2):
            make_video(videos / f"{number}_1.mp4", minutes, number)
        (videos / "labels.json").write_text(json.dumps({"0_1.mp4": [1], "1_1.mp4": [2]}))
    catalog, run = folder / f"catalog-{minutes:g}.csv", folder / f"run-{minutes:g}-{clips}"
    peak_mib("scan", videos, "--labels", videos / "labels.json", "--out", catalog)
    sets = [part for setting in (*SETTINGS, f"input.max_clips={clips}") for part in ("--set", setting)]
    train = peak_mib("train", catalog, "--recipe", "small-dense", "--out", run, "--cache-gb", "0", *sets)
    predict = peak_mib("predict", run, videos, "--out", folder / "predictions.json", "--workers", "0")
    return train, predict


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="a folder for the videos and runs")
    folder = parser.parse_args().out
    rows = [(minutes, clips, *measure(folder, minutes, clips)) for clips in (CLIPS, CLIPS // 2) for minutes in MINUTES]
    print("| minutes | clips a video and step | training, MiB | to the first | prediction, MiB | to the first |")
    print("|---:|---:|---:|---:|---:|---:|")
    for minutes, clips, train, predict in rows:
        first = rows[0]
        ratios = f"{train / first[2]:.2f} | {predict:.0f} | {predict / first[3]:.2f}"
        print(f"| {minutes:g} | {clips} | {train:.0f} | {ratios} |")


if __name__ == "__main__":
    main()
