"""Damaged videos among sound ones: does any end `scan`, `predict` or `inspect`, or change what a neighbour gets?

    python benchmarks/damaged_videos.py OUT --videos 10000

Makes small videos in eight containers, damages copies of them (bit flips, cuts, zeroed runs, edited sizes; seeded),
strews sound copies among them, trains a tiny network, and runs the three verbs. Prints a row per verb:

- crashes: the command ended with a traceback or a signal; hangs: it did not end in time
- lost neighbours: sound videos without the result that they have alone
- unnamed: damaged videos that are neither among the results nor among the failures
- refused, and of them those that killed a decoder process, kept it too long, or raised an unexpected exception
"""

import argparse
import csv
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from urbanpipe.api import bundle, crossval
from urbanpipe.evaluation.tables import markdown_table
from urbanpipe.training.options import FoldOptions, RunOptions

CONTAINERS = {
    "mp4": "libx264",
    "mkv": "libx264",
    "mov": "mpeg4",
    "avi": "mpeg4",
    "ts": "mpeg2video",
    "mpg": "mpeg2video",
    "webm": "libvpx",
    "flv": "flv",
}
SOUND_EVERY = 25  # one sound video after so many damaged ones
SECONDS_PER_VIDEO = 20.0  # a verb that takes longer hangs
TINY = (
    "input.size=32",
    "input.every_seconds=0.5",
    "model.backbone=test_resnet",
    "model.options={}",
    "model.weights=random",
    "training.epochs=1",
    "training.batch_size=4",
    "training.workers=0",
)
Bytes = NDArray[np.uint8]


def write_source(path: Path, codec: str, seed: int = 0) -> None:
    """Write two seconds of a moving pattern."""
    rng = np.random.default_rng(seed)
    texture = rng.integers(0, 255, (24, 40, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    with av.open(str(path), "w") as container:
        stream = cast("VideoStream", container.add_stream(codec, rate=25))
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 160, 128, "yuv420p", 12
        for number in range(50):
            picture = np.ascontiguousarray(texture[number : number + 128, 2 * number : 2 * number + 160])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())


def flip_bits(data: Bytes, rng: np.random.Generator) -> Bytes:
    """Flip 1 to 16 bits."""
    places = rng.integers(len(data), size=rng.integers(1, 17))
    data[places] ^= np.uint8(1) << rng.integers(8, size=len(places), dtype=np.uint8)
    return data


def cut(data: Bytes, rng: np.random.Generator) -> Bytes:
    """Keep the beginning, or leave out a part in the middle."""
    first, second = np.sort(rng.integers(1, len(data), size=2))
    return data[:first] if rng.integers(2) else np.concatenate([data[:first], data[second:]])


def zero_run(data: Bytes, rng: np.random.Generator) -> Bytes:
    """Overwrite a run of 16 bytes to a tenth of the file with zeros."""
    begin = rng.integers(len(data))
    data[begin : begin + rng.integers(16, max(17, len(data) // 10))] = 0
    return data


def edit_size(data: Bytes, rng: np.random.Generator) -> Bytes:
    """Overwrite four bytes, near the beginning or the end where containers keep sizes, with a size."""
    near = min(2000, len(data) - 4)
    begin = rng.integers(near) if rng.integers(2) else len(data) - 4 - rng.integers(near)
    size = rng.choice([0, 1, 7, 2**31 - 1, 2**32 - 1, int(rng.integers(2**32)), int(rng.integers(2 * len(data)))])
    data[begin : begin + 4] = np.frombuffer(int(size).to_bytes(4, "big"), np.uint8)
    return data


DAMAGES: tuple[Callable[[Bytes, np.random.Generator], Bytes], ...] = (flip_bits, cut, zero_run, edit_size)


def make_videos(folder: Path, sources: Path, count: int) -> tuple[list[str], list[str]]:
    """Write damaged and sound videos in mixed order; return the names of both."""
    folder.mkdir()
    damaged, sound = [], []
    originals = {ending: np.fromfile(sources / f"sound.{ending}", np.uint8) for ending in CONTAINERS}
    for number in range(count):
        ending = list(CONTAINERS)[number % len(CONTAINERS)]
        harm = DAMAGES[number // len(CONTAINERS) % len(DAMAGES)]
        name = f"v{number:05}_{harm.__name__}.{ending}"
        (folder / name).write_bytes(harm(originals[ending].copy(), np.random.default_rng([7, number])).tobytes())
        damaged.append(name)
        if number % SOUND_EVERY == 0:
            name = f"v{number:05}_sound.{ending}"
            shutil.copy(sources / f"sound.{ending}", folder / name)
            sound.append(name)
    return damaged, sound


@dataclass
class Outcome:
    """What a verb did: its exit status or None if it hung, results by name, and reasons by name."""

    status: int | None
    output: str
    seconds: float
    results: dict[str, object]
    reasons: dict[str, str]


def run_verb(
    arguments: list[str], read: Callable[[], tuple[dict[str, object], dict[str, str]]], limit: float
) -> Outcome:
    """Run a verb as a user would, and read its results."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "urbanpipe.cli.main", *arguments]
    status, output = None, ""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=limit, check=False)
        status, output = done.returncode, done.stdout + done.stderr
    except subprocess.TimeoutExpired:
        pass
    try:
        results, reasons = read()
    except OSError:
        results, reasons = {}, {}
    return Outcome(status, output, time.perf_counter() - started, results, reasons)


def read_table(path: Path) -> list[dict[str, str]]:
    """Read a CSV; no rows if it is missing."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def verbs(folder: Path, out: Path, tools: Path, limit: float) -> dict[str, Outcome]:
    """Run the three verbs on a folder."""
    out.mkdir()

    def scanned() -> tuple[dict[str, object], dict[str, str]]:
        rows = read_table(out / "catalog.csv")
        facts: dict[str, object] = {
            row["name"]: (row["frame_count"], row["duration_seconds"]) for row in rows if row["status"] == "ok"
        }
        return facts, {row["name"]: row["status"] for row in rows if row["status"] != "ok"}

    def predicted() -> tuple[dict[str, object], dict[str, str]]:
        rows = read_table(out / "p.csv")
        scores: dict[str, object] = {
            row["video"]: [round(float(cell), 4) for key, cell in row.items() if key != "video"] for row in rows
        }
        return scores, {row["video"]: row["reason"] for row in read_table(out / "p.failures.csv")}

    def inspected() -> tuple[dict[str, object], dict[str, str]]:
        found: dict[str, object] = {}
        for path in (out / "inspected").glob("*/findings.json"):
            table = json.loads(path.read_text(encoding="utf-8"))
            found[table["video"]["name"]] = [round(row["probability"], 4) for row in table["findings"]]
        return found, {row["video"]: row["reason"] for row in read_table(out / "inspected" / "failures.csv")}

    run, packed = str(tools / "experiment" / "small-frame"), str(tools / "bundle")
    return {
        "scan": run_verb(["scan", str(folder), "--out", str(out / "catalog.csv")], scanned, limit),
        "predict": run_verb(["predict", run, str(folder), "--out", str(out / "p.json")], predicted, limit),
        "inspect": run_verb(
            ["inspect", str(folder), "--out", str(out / "inspected"), "--bundle", packed], inspected, limit
        ),
    }


def make_tools(out: Path) -> None:
    """Train a tiny network on patterns with labels that mean nothing, and bundle it."""
    (out / "training").mkdir()
    names = [f"site{number}_1.mp4" for number in range(16)]
    for seed, name in enumerate(names):
        write_source(out / "training" / name, "libx264", seed)
    labels = {name: [number % 4] for number, name in enumerate(names)}
    (out / "labels.json").write_text(json.dumps(labels), encoding="utf-8")
    crossval(
        out / "training",
        ["small-frame"],
        out=out / "experiment",
        labels=out / "labels.json",
        overrides=TINY,
        split=FoldOptions(folds=2),
        options=RunOptions(device="cpu", cache_gb=0),
    )
    bundle(out / "experiment" / "small-frame", out=out / "bundle", device="cpu")


def row(verb: str, outcome: Outcome, alone: Outcome, damaged: list[str], sound: list[str]) -> list[str]:
    """Return the row of a verb."""
    expected = {Path(name).suffix: result for name, result in alone.results.items()}
    lost = [name for name in sound if outcome.results.get(name) != expected.get(Path(name).suffix)]
    unnamed = [name for name in damaged if name not in outcome.results and name not in outcome.reasons]
    crashed = outcome.status is not None and (outcome.status not in {0, 3} or "Traceback" in outcome.output)
    kinds = [
        sum(reason.startswith(start) for reason in outcome.reasons.values())
        for start in ("reading it crashed", "reading it took", "reading it failed")
    ]
    for name in [*lost, *unnamed]:
        print(f"{verb}: {name}: {outcome.reasons.get(name, 'no word about it')}", file=sys.stderr)
    counts = (int(crashed), int(outcome.status is None), len(lost), len(unnamed), len(outcome.reasons), *kinds)
    return [verb, *map(str, counts), f"{outcome.seconds:.0f}"]


def main() -> None:
    """Make the videos, run the verbs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="empty or new folder")
    parser.add_argument("--videos", type=int, default=10_000, help="number of damaged videos")
    given = parser.parse_args()
    out: Path = given.out.resolve()
    sources = out / "sources"
    sources.mkdir(parents=True)
    for ending, codec in CONTAINERS.items():
        write_source(sources / f"sound.{ending}", codec)
    make_tools(out)
    damaged, sound = make_videos(out / "videos", sources, given.videos)
    limit = 600 + SECONDS_PER_VIDEO * len(damaged)
    alone = verbs(sources, out / "alone", out, limit)
    together = verbs(out / "videos", out / "together", out, limit)
    header = ["verb", "crashes", "hangs", "lost neighbours", "unnamed", "refused", "decoder killed", "too long"]
    rows = [row(verb, outcome, alone[verb], damaged, sound) for verb, outcome in together.items()]
    print(f"{len(damaged)} damaged videos, {len(sound)} sound ones among them\n")
    print(markdown_table([*header, "unexpected exception", "seconds"], rows))


if __name__ == "__main__":
    main()
