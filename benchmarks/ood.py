"""Does a bundle recognise non-pipe videos and other cameras?

    python benchmarks/ood.py FOLDER... [--bundle BUNDLE] [--most N]

Scores, over the bundle's limit, of non-pipe pictures (two photographs that come with scikit-learn, panned over; colour
bars; noise; grey), and of the videos of each folder, at most N drawn by chance; and how many are above the limit, with
the 95 % interval of the share (Clopper and Pearson).
"""

import argparse
import random
import tempfile
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.datasets import load_sample_images

from urbanpipe.catalog.files import find_videos
from urbanpipe.evaluation.tables import markdown_table
from urbanpipe.inference.bundle import DEMONSTRATION, Bundle, read_bundle
from urbanpipe.inference.members import evidence_member
from urbanpipe.inference.observed_features import observed_features

WIDTH, HEIGHT, FRAMES, RATE = 320, 240, 60, 12


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


def scores(videos: list[Path], bundle: Bundle) -> list[float]:
    """Scores of videos over the bundle's limit."""
    assert bundle.ood is not None, "checked by the caller"
    member = bundle.models.members[evidence_member(bundle.models.members)]
    features = (observed_features(video, member.runtimes[0], member.recipe.view) for video in videos)
    return [bundle.ood.score(video) / bundle.ood.threshold for video in features]


def row(name: str, scores: list[float]) -> list[str]:
    """Return how many videos, their median, lowest and highest score, and how many are above the limit."""
    numbers = [f"{value:.2f}" for value in (np.median(scores), min(scores), max(scores))]
    above = sum(score > 1 for score in scores)
    ends = binomtest(above, len(scores)).proportion_ci()
    return [
        name,
        str(len(scores)),
        *numbers,
        str(above),
        f"{above / len(scores):.0%}",
        f"{ends.low:.0%}-{ends.high:.0%}",
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="*")
    parser.add_argument("--bundle", type=Path, default=DEMONSTRATION)
    parser.add_argument("--most", type=int, default=100)
    given = parser.parse_args()
    bundle = read_bundle(given.bundle, device="cpu", runtime="torch")
    if bundle.ood is None:
        raise SystemExit(f"{given.bundle} was made without --data")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, picture) in enumerate(pictures().items()):
            rows.append(row(name, scores([panned(picture, Path(folder) / f"{number}.mp4")], bundle)))
    for folder in given.folders:
        videos = sorted(find_videos(folder).paths.values())
        drawn = random.Random(0).sample(videos, min(given.most, len(videos)))
        rows.append(row(f"{folder.parent.name}/{folder.name}", scores(drawn, bundle)))
    head = ["what", "videos", "median", "lowest", "highest", "remarked", "share", "95 % interval"]
    print(markdown_table(head, rows))


if __name__ == "__main__":
    main()
