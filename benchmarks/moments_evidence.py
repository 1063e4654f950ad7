"""Moments, intervals, pictures and rows of inspections, compared with the truth of simulated videos.

    urbanpipe simulate qv --videos 30 --seed 1021 --size 320x240 --fps 12.5 --seconds 8:40
    urbanpipe simulate cctv --videos 8 --seed 1022 --size 320x240 --fps 12.5 --seconds 60:120 --kind cctv
    python benchmarks/moments_evidence.py qv cctv

Only findings of classes that the video shows count, whether accepted or for review; a row is one occurrence of such a
finding. Per folder, the table has

- the share of moments at which a defect of the class is in view, beside that of random times of the same videos;
- the share of hottest points of main pictures in the box of such a defect, beside that of random points;
- the IoU of a row's interval with the best interval of the truth, beside that of the whole video's, and the share of
  the video that a row's interval covers;
- how far the main and second picture are from the moment, in seconds, and rows without a picture;
- rows per true defect, rows in view per defect that has one, and true defects without a row in view.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pointing import Samples, distances, in_view

from urbanpipe.api import Inspector
from urbanpipe.contracts.findings import UNLIKELY, Finding, Occurrence
from urbanpipe.evaluation.tables import markdown_table
from urbanpipe.progress import track

Interval = tuple[float, float]
STEP_SECONDS = 0.25  # of the random times


@dataclass(frozen=True)
class Defect:
    """A true defect: boxes over time, and the intervals in which it is in view."""

    boxes: Samples
    intervals: list[Interval]


@dataclass(frozen=True)
class Row:
    """An occurrence of a class, compared with the true defects of the class.

    Attributes:
        in_view: indices of the defects in view at its moment.
        hit: whether the hottest point of the main picture is in a box, whether the centre is, and the chance of a
            random point; None without a picture or heat.
        iou: IoU of its interval with the best interval of the truth.
        covered: share of the video that its interval covers.
        offsets: distances of its pictures from its moment, seconds.
    """

    in_view: tuple[int, ...]
    hit: tuple[float, float, float] | None
    iou: float
    covered: float
    offsets: tuple[float, ...]


@dataclass(frozen=True)
class TrueFinding:
    """A class that a video shows and that its inspection does not reject.

    Attributes:
        probability: its probability in the inspection.
        rows: its occurrences.
        defects: number of true defects of the class.
        in_view: share of the video's time with such a defect in view.
        whole: best IoU of the whole video with an interval of the truth.
    """

    probability: float
    rows: list[Row]
    defects: int
    in_view: float
    whole: float


def read_defects(path: Path) -> dict[str, dict[str, list[Defect]]]:
    """Read the true defects by video and class."""
    defects: dict[str, dict[str, list[Defect]]] = defaultdict(lambda: defaultdict(list))
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        boxes = [(float(time), (left, top, right, bottom)) for time, left, top, right, bottom in row["boxes"]]
        intervals = [(begin, end) for begin, end in row["intervals"]]
        if boxes:
            defects[row["video"]][row["class"]].append(Defect(boxes, intervals))
    return defects


def iou(one: Interval, other: Interval) -> float:
    """Return the intersection of two intervals divided by their union; 1 for two equal points."""
    union = max(one[1], other[1]) - min(one[0], other[0])
    return max(0.0, min(one[1], other[1]) - max(one[0], other[0])) / union if union > 0 else 1.0


def best_iou(interval: Interval, defects: list[Defect]) -> float:
    """Return the largest IoU with an interval of the truth."""
    return max(iou(interval, known) for defect in defects for known in defect.intervals)


def compared(occurrence: Occurrence, defects: list[Defect], duration: float) -> Row:
    """Compare an occurrence with the true defects of its class."""
    interval = occurrence.begin_seconds, occurrence.end_seconds
    main = occurrence.evidence[0] if occurrence.evidence else None
    hit = None
    if main and main.hottest:
        hit = distances(main.hottest, in_view([defect.boxes for defect in defects], main.seconds))
    return Row(
        in_view=tuple(i for i, defect in enumerate(defects) if in_view([defect.boxes], occurrence.seconds)),
        hit=hit,
        iou=best_iou(interval, defects),
        covered=(interval[1] - interval[0]) / duration,
        offsets=tuple(abs(shown.seconds - occurrence.seconds) for shown in occurrence.evidence),
    )


def true_finding(finding: Finding, defects: list[Defect], duration: float) -> TrueFinding:
    """Compare a finding with the true defects of its class."""
    boxes = [defect.boxes for defect in defects]
    return TrueFinding(
        probability=finding.probability,
        rows=[compared(item, defects, duration) for item in finding.occurrences],
        defects=len(defects),
        in_view=float(np.mean([bool(in_view(boxes, float(time))) for time in np.arange(0, duration, STEP_SECONDS)])),
        whole=best_iou((0.0, duration), defects),
    )


def inspected(folder: Path, inspector: Inspector, without: list[str]) -> tuple[list[TrueFinding], int]:
    """Inspect the videos of a folder that have defects; return the true findings and the number of true defects."""
    truth = read_defects(folder / "truth.jsonl")
    truth = {name: defects for name, defects in truth.items() if name.split("_")[0] not in without}
    findings: list[TrueFinding] = []
    for name in track(sorted(truth), len(truth), folder.name):
        inspection = inspector.inspect(folder / "videos" / name).inspection
        duration = inspection.video.duration_seconds
        shown = [item for item in inspection.defects if item.code in truth[name]]
        findings += [true_finding(item, truth[name][item.code], duration) for item in shown]
    return findings, sum(len(defects) for by_code in truth.values() for defects in by_code.values())


def share(values: list[float]) -> str:
    """Return the mean in per cent."""
    return f"{np.mean(values):.0%}" if values else "-"


def spread(values: list[float]) -> str:
    """Return median, 95th percentile and maximum, seconds."""
    if not values:
        return "-"
    median, high, highest = np.percentile(values, [50, 95, 100])
    return f"{median:.2f}, {high:.2f}, {highest:.2f}"


def figures(findings: list[TrueFinding], true_defects: int) -> Iterator[tuple[str, str]]:
    """Yield the lines of the table: name and value."""
    rows = [row for finding in findings for row in finding.rows]
    defects = sum(finding.defects for finding in findings)
    hits: NDArray[np.float64] = np.array([row.hit for row in rows if row.hit]).reshape(-1, 3)
    yield "true defects, of all", f"{defects} of {true_defects}"
    yield "rows", f"{len(rows)}"
    yield "moment in view", share([float(bool(row.in_view)) for row in rows])
    yield "random time in view", share([finding.in_view for finding in findings for _ in finding.rows])
    yield "hottest point in the box", share(hits[:, 0].tolist())
    yield "random point in the box", share(hits[:, 2].tolist())
    yield "interval IoU, mean", f"{np.mean([row.iou for row in rows]):.2f}"
    yield "IoU of the whole video", f"{np.mean([finding.whole for finding in findings for _ in finding.rows]):.2f}"
    yield "share of the video covered, median", f"{np.median([row.covered for row in rows]):.0%}"
    yield "main picture, s (median, p95, max)", spread([row.offsets[0] for row in rows if row.offsets])
    yield "second picture, s (median, p95, max)", spread([row.offsets[1] for row in rows if len(row.offsets) > 1])
    yield "rows without a picture", f"{sum(not row.offsets for row in rows)}"
    yield "rows per true defect", f"{len(rows) / defects:.2f}"
    reached = sum(len({index for row in finding.rows for index in row.in_view}) for finding in findings)
    yield "rows in view per defect that has one", f"{sum(bool(row.in_view) for row in rows) / max(1, reached):.2f}"
    yield "true defects without a row in view", f"{defects - reached}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("simulated", type=Path, nargs="+", help="folders of `urbanpipe simulate`")
    parser.add_argument("--without", nargs="+", default=[], metavar="SITE", help="sites to leave out, such as k56268")
    parser.add_argument("--bundle", type=Path, help="default: the demonstration bundle")
    parser.add_argument("--runtime", default="torch", choices=["torch", "onnx", "openvino"])
    given = parser.parse_args()
    torch.set_num_threads(1)
    inspector = Inspector.load(given.bundle, device="cpu", runtime=given.runtime)
    folders = {folder.name: inspected(folder, inspector, given.without) for folder in given.simulated}
    for lowest, what in ((0.0, "All findings"), (UNLIKELY, f"Findings of {UNLIKELY:.0%} or more")):
        columns = [
            dict(figures([finding for finding in findings if finding.probability >= lowest], total))
            for findings, total in folders.values()
        ]
        print(f"\n{what}\n")
        print(markdown_table(["", *folders], [[name, *(column[name] for column in columns)] for name in columns[0]]))


if __name__ == "__main__":
    main()
