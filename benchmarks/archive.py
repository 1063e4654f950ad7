"""Seconds and memory of the steps of an archive around its networks, with an inspector that makes up its results.

    python benchmarks/archive.py WORK --clips 20000

Each clip is a file of a few bytes. It gets 17 classes, of which 4 are shown with an occurrence and a small picture
each, and 80 scores over time of each class. Every step runs in a process of its own.
"""

import argparse
import hashlib
import multiprocessing
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from urbanpipe.archive.shards.inspecting import InspectedVideo, VideoInspector
from urbanpipe.archive.shards.merge import archive_merge
from urbanpipe.archive.shards.plan import archive_plan
from urbanpipe.archive.shards.query import archive_query
from urbanpipe.archive.shards.run import run_archive
from urbanpipe.archive.shards.status import archive_status
from urbanpipe.archive.shards.video_report import archive_report
from urbanpipe.archive.shards.workers import RunOptions
from urbanpipe.archive_store.archive_settings import ArchiveSettings
from urbanpipe.contracts.findings import BundleFacts, Evidence, Finding, Inspection, Occurrence, Timeline, VideoFacts
from urbanpipe.evaluation.tables import markdown_table
from urbanpipe.taxonomy import default_taxonomy

SHOWN = 4
SQL = "SELECT uri, probability FROM findings WHERE code = 'SL' AND probability > .6 ORDER BY probability DESC LIMIT 100"


@dataclass(frozen=True)
class MadeUp:
    """An inspection and its pictures."""

    inspection: Inspection
    pictures: dict[str, bytes]


class MakesUp:
    """Makes up inspections from the names of files."""

    def inspect(self, video: Path) -> InspectedVideo:
        numbers = hashlib.blake2b(video.name.encode(), digest_size=64).digest()
        classes = default_taxonomy().classes
        findings = [finding(item.code, row, numbers[row] / 256) for row, item in enumerate(classes)]
        facts = VideoFacts(
            name=video.name,
            path=str(video),
            relative="",
            digest=numbers[:16].hex(),
            duration_seconds=40,
            frame_count=1000,
            width=640,
            height=480,
            frame_rate=25,
        )
        bundle = BundleFacts(name="made up", digest="0", taxonomy="", demonstration=True, calibrated=True)
        made = Inspection(
            video=facts,
            bundle=bundle,
            exclusive=None,
            findings=tuple(findings),
            timed=True,
            timeline=timeline(),
            made_at="2026-01-01T00:00:00+00:00",
        )
        return MadeUp(made, {f"frame-{row:06d}.jpg": numbers * 8 for row in range(SHOWN)})


@dataclass(frozen=True)
class Source:
    """Where workers get their inspector from."""

    def settings(self) -> ArchiveSettings:
        return ArchiveSettings(bundle="made up", digest="0" * 32)

    def load(self) -> VideoInspector:
        return MakesUp()


def finding(code: str, row: int, share: float) -> Finding:
    evidence = Evidence(seconds=share, frame=row, score=share, picture=f"frame-{row:06d}.jpg")
    found = Occurrence(seconds=1, begin_seconds=0, end_seconds=2, score=share, evidence=(evidence,))
    shown = row < SHOWN
    triage = "review" if shown else "reject"
    return Finding(
        code=code, en=code, probability=share, score=share, triage=triage, occurrences=(found,) if shown else ()
    )


@lru_cache
def timeline() -> Timeline:
    codes = default_taxonomy().codes
    times = tuple(0.5 * step for step in range(80))
    scores = tuple(tuple(round((row * 31 + step * 7) % 97 / 97, 4) for row in range(len(codes))) for step in range(80))
    return Timeline(seconds=times, codes=codes, scores=scores)


def make(videos: Path, clips: int) -> object:
    for number in range(clips):
        folder = videos / f"contract{number % 50}"
        if number < 50:
            folder.mkdir(parents=True, exist_ok=True)
        (folder / f"clip{number:06d}.mp4").write_bytes(b"%d" % number)
    return clips


def measured(step: Callable[..., object], *arguments: object) -> tuple[float, float, float, str]:
    """Seconds, CPU seconds and highest memory in MiB of a step in a fresh process, without imports; and its result."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_timed, (step, arguments))


def _timed(step: Callable[..., object], arguments: tuple[object, ...]) -> tuple[float, float, float, str]:
    started, used = time.perf_counter(), time.process_time()
    made = step(*arguments)
    seconds, used = time.perf_counter() - started, time.process_time() - used
    return seconds, used, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, str(made)[:300]


def plan(videos: Path, archive: Path) -> object:
    return archive_plan([videos], archive)


def run(archive: Path, workers: int) -> object:
    return run_archive(archive, Source(), options=RunOptions(workers=workers))


def query(archive: Path) -> object:
    return len(archive_query(archive, SQL).rows)


def report(archive: Path, out: Path) -> object:
    return archive_report(archive, "clip000123.mp4", out=out).report


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--clips", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    videos, archive = given.work / "videos", given.work / "archive"
    make(videos, given.clips)
    steps: list[tuple[str, Callable[..., object], tuple[object, ...]]] = [
        ("plan", plan, (videos, archive)),
        ("plan again", plan, (videos, archive)),
        ("run", run, (archive, given.workers)),
        ("run again", run, (archive, given.workers)),
        ("status", archive_status, (archive,)),
        ("query of parts", query, (archive,)),
        ("merge", archive_merge, (archive,)),
        ("query", query, (archive,)),
        ("report", report, (archive, given.work / "report")),
    ]
    rows = []
    for name, step, arguments in steps:
        seconds, used, memory, made = measured(step, *arguments)
        print(f"{name}: {made}", flush=True)
        rows.append([name, f"{seconds:.1f}", f"{used:.1f}", f"{memory:.0f}"])
    files = [path.stat().st_size for path in archive.rglob("*") if path.is_file()]
    print(markdown_table([f"{given.clips} videos", "seconds", "CPU seconds", "peak MiB"], rows))
    print(f"{len(files)} files, {sum(files) / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
