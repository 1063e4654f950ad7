"""Does a bundle recognise non-pipe videos?

    python benchmarks/ood.py FOLDER... [--bundle BUNDLE]

Scores, over the bundle's limit, of non-pipe pictures (two photographs that come with scikit-learn, panned
over; colour bars; noise; grey), and of up to 25 videos, drawn by chance, of each folder.
"""

import argparse
import random
import tempfile
from pathlib import Path

import av
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_sample_images

from urbanpipe.catalog.files import find_videos
from urbanpipe.evaluation.tables import markdown_table
from urbanpipe.inference.bundle import DEMONSTRATION, read_bundle
from urbanpipe.inference.ood import OODDetector
from urbanpipe.inspection.video_pass import VideoPass

WIDTH, HEIGHT, FRAMES, RATE = 320, 240, 60, 12
MOST = 25


def pictures() -> dict[str, NDArray[np.uint8]]:
    """Pictures (480, 640, 3) or nearly so, by name."""
    photographs = {f"photograph {number}": image for number, image in enumerate(load_sample_images().images, 1)}
    colours = np.array([[(c >> 2 & 1) * 255, (c >> 1 & 1) * 255, (c & 1) * 255] for c in range(8)], np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    bars = np.broadcast_to(colours.repeat(80, 0), (480, 640, 3))
    return photographs | {"colour bars": bars, "noise": noise, "grey": np.full((480, 640, 3), 128, np.uint8)}


def panned(picture: NDArray[np.uint8], path: Path) -> Path:
    """Five seconds of a window that moves from one corner of a picture to the other."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for share in np.linspace(0, 1, FRAMES):
            y, x = (int((side - wanted) * share) for side, wanted in zip(picture.shape, (HEIGHT, WIDTH), strict=False))
            window = np.ascontiguousarray(picture[y : y + HEIGHT, x : x + WIDTH])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(window, "rgb24")))
        container.mux(stream.encode())
    return path


def row(name: str, videos: list[Path], video_pass: VideoPass, ood: OODDetector) -> list[str]:
    """How many videos, their median, lowest and highest score over the limit, and how many are above it."""
    scores = [ood.score(video_pass.run(video).features) / ood.threshold for video in videos]
    numbers = [f"{value:.2f}" for value in (np.median(scores), min(scores), max(scores))]
    return [name, str(len(scores)), *numbers, str(sum(score > 1 for score in scores))]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="*")
    parser.add_argument("--bundle", type=Path, default=DEMONSTRATION)
    given = parser.parse_args()
    bundle = read_bundle(given.bundle, torch.device("cpu"))
    if bundle.ood is None:
        raise SystemExit(f"{given.bundle} was made without --data")
    video_pass, rows = VideoPass(bundle.models), []
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, picture) in enumerate(pictures().items()):
            rows.append(row(name, [panned(picture, Path(folder) / f"{number}.mp4")], video_pass, bundle.ood))
    for folder in given.folders:
        videos = sorted(find_videos(folder).paths.values())
        drawn = random.Random(0).sample(videos, min(MOST, len(videos)))
        rows.append(row(f"{folder.parent.name}/{folder.name}", drawn, video_pass, bundle.ood))
    print(markdown_table(["what", "videos", "median", "lowest", "highest", "remarked"], rows))


if __name__ == "__main__":
    main()
