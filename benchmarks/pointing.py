"""The pointing test on simulated videos: is the hottest point of `explain` in the box of the defect?

For each video and each of its classes with boxes, the class is explained whether the network believes in it or not. Of
the explained frames (those with the class's highest scores, or all of a super-image or clip) the test takes

- the hottest point of all, "the" answer: a hit if it is in a true box at its time, a miss if the defect is not in view
  then;
- the hottest point of each frame that shows the defect: the share of hits among them, and of that the mean over videos.

Beside each stand two baselines at the same frames: the middle of the picture, and a uniformly random point, whose
chance is the area of the boxes. The second line counts only classes to which the network gave .5 or more.

    urbanpipe simulate SIMULATED --videos 60
    python benchmarks/pointing.py RUN SIMULATED
"""

import argparse
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from urbanpipe.evaluation.tables import markdown_table, per_cent
from urbanpipe.explain.explain import CERTAIN, VideoExplainer
from urbanpipe.explain.heat import Heat
from urbanpipe.explain.network import load_explained
from urbanpipe.progress import track
from urbanpipe.simulate.truth import SAMPLES_PER_SECOND, Box

CENTRE = (0.5, 0.5)
NEAR_SECONDS = 1 / SAMPLES_PER_SECOND
GRID = 100  # points a side, on which the area of boxes that overlap is counted
Samples = list[tuple[float, Box]]
HEADER = ["class", "n", "in view", "frames in view", "hit", "centre", "random", "n", "hit", "centre", "random"]


@dataclass(frozen=True)
class Pointed:
    """One class of one video; shares in [0, 1].

    Attributes:
        probability: what the network gives the class in the video.
        seen: whether the defect is in view where it is hottest; then the share of explained frames that show it.
        best: of the hottest point: hit, centre, random.
        shown: means over the frames in view: hit, centre, random; NaN where there is none.
    """

    probability: float
    seen: tuple[float, float]
    best: tuple[float, float, float]
    shown: tuple[float, float, float]


def read_boxes(path: Path) -> dict[str, dict[str, list[Samples]]]:
    """Boxes of each defect by video and class: (seconds, box)."""
    boxes: dict[str, dict[str, list[Samples]]] = defaultdict(lambda: defaultdict(list))
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        samples = [(float(time), (left, top, right, bottom)) for time, left, top, right, bottom in row["boxes"]]
        if samples:
            boxes[row["video"]][row["class"]].append(samples)
    return boxes


def in_view(defects: list[Samples], seconds: float) -> list[Box]:
    """The box of each defect that is in view at a time: of its nearest sample, if that is near enough."""
    nearest = [min(samples, key=lambda sample: abs(sample[0] - seconds)) for samples in defects]
    return [box for time, box in nearest if abs(time - seconds) <= NEAR_SECONDS]


def distances(point: tuple[float, float], boxes: list[Box]) -> tuple[float, float, float]:
    """Whether a point is in a box, whether the centre is, and how likely a random one."""
    return float(_inside(point, boxes)), float(_inside(CENTRE, boxes)), _area(boxes)


def _inside(point: tuple[float, float], boxes: list[Box]) -> bool:
    x, y = point
    return any(left <= x <= right and top <= y <= bottom for left, top, right, bottom in boxes)


def _area(boxes: list[Box]) -> float:
    middles = (np.arange(GRID) + 0.5) / GRID
    covered = np.zeros((GRID, GRID), dtype=bool)
    for left, top, right, bottom in boxes:
        covered |= np.outer((middles >= top) & (middles <= bottom), (middles >= left) & (middles <= right))
    return float(covered.mean())


def pointed(heat: Heat, defects: list[Samples]) -> Pointed:
    """The two tests of one class of one video."""
    boxes = [in_view(defects, float(seconds)) for seconds in heat.seconds]
    points = [(float(x), float(y)) for x, y in heat.peaks]  # NaN, where a frame has no heat, is in no box
    shown = [distances(point, there) for point, there in zip(points, boxes, strict=True) if there]
    place = heat.hottest
    best = (0.0, 0.0, 0.0) if place is None else distances(points[place], boxes[place])
    seen = float(place is not None and bool(boxes[place])), len(shown) / len(boxes)
    means = np.mean(shown, axis=0) if shown else np.full(3, np.nan)
    return Pointed(heat.probability, seen, best, (float(means[0]), float(means[1]), float(means[2])))


def row(name: str, found: list[Pointed]) -> list[str]:
    """A line of the table."""
    shown: NDArray[np.float64] = np.array([one.shown for one in found])
    shown = shown[~np.isnan(shown[:, 0])]
    first = np.concatenate([np.mean([one.seen for one in found], axis=0), np.mean([one.best for one in found], axis=0)])
    second = shown.mean(axis=0) if len(shown) else np.full(3, np.nan)
    cells = [per_cent(float(value), 0) for value in (*first, *second)]
    return [name, str(len(found)), *cells[:5], str(len(shown)), *cells[5:]]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a run")
    parser.add_argument("simulated", type=Path, help="folder of `urbanpipe simulate`")
    parser.add_argument("--classes", nargs="+", default=[], metavar="CODE", help="all by default")
    parser.add_argument("--videos", type=int, default=0, help="only so many, the first by name")
    parser.add_argument("--layer", help="as of `explain`")
    parser.add_argument("--fold", type=int, help="as of `explain`")
    parser.add_argument("--top", type=int, default=9, help="as of `explain`")
    return parser.parse_args()


def main() -> None:
    """Print the table."""
    options, device = arguments(), torch.device("cpu")
    torch.set_num_threads(1)
    truth = read_boxes(options.simulated / "truth.jsonl")
    loaded = load_explained(options.run, options.fold, "", device)
    found: dict[str, list[Pointed]] = defaultdict(list)
    names = sorted(truth)[: options.videos or None]
    for name in track(names, len(names), "pointing"):
        codes = [code for code in truth[name] if not options.classes or code in options.classes]
        if not codes:
            continue
        explainer = VideoExplainer(loaded, options.simulated / "videos" / name, device, options.layer)
        prediction = explainer.prediction(8)
        for code in codes:
            heat = explainer.heat(prediction, loaded.taxonomy.index(code), options.top)
            found[code].append(pointed(heat, truth[name][code]))
    print(f"{loaded.recipe.name}, layer {explainer.layer}, {len(names)} videos; per cent\n")
    everything = [one for each in found.values() for one in each]
    sure = [one for one in everything if one.probability >= CERTAIN]
    rows = [row("all", everything), *([row(f"all from {CERTAIN}", sure)] if sure else [])]
    rows += [row(code, found[code]) for code in loaded.taxonomy.codes if code in found]
    print(markdown_table(HEADER, rows))


if __name__ == "__main__":
    main()
