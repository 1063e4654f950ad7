"""An inspector without networks for tests of archives: what it finds depends on the bytes of the file alone."""

import hashlib
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from urbanpipe.archive.shards.inspecting import InspectedVideo, VideoInspector
from urbanpipe.archive.shards.run import run_archive
from urbanpipe.archive.shards.workers import RunOptions
from urbanpipe.archive_store.archive_settings import ArchiveSettings
from urbanpipe.contracts.findings import (
    BundleFacts,
    Evidence,
    Finding,
    Inspection,
    Occurrence,
    Timeline,
    VideoFacts,
)
from urbanpipe.errors import StorageError, VideoError

CODES = ("SL", "CK", "FS", "ZC")


@dataclass(frozen=True)
class StubInspected:
    """An inspection and its pictures."""

    inspection: Inspection
    pictures: dict[str, bytes]


@dataclass
class StubInspector:
    """Finds in a file what its bytes say.

    A file that begins with `damaged` cannot be decoded, with `bug` makes the inspector fail, with `network` fails once,
    with `kill` kills the process.
    """

    seconds: float = 0.0
    digest: str = "d" * 32
    failed: set[Path] = field(default_factory=set)

    def inspect(self, video: Path) -> InspectedVideo:
        """Inspect a file."""
        data = video.read_bytes()
        time.sleep(self.seconds)
        if data.startswith(b"damaged"):
            raise VideoError(video, "no video stream")
        if data.startswith(b"bug"):
            raise ZeroDivisionError("a bug")
        if data.startswith(b"network") and video not in self.failed:
            self.failed.add(video)
            raise StorageError("the drive is away")
        if data.startswith(b"kill"):
            os.kill(os.getpid(), signal.SIGKILL)
        return StubInspected(*_found(video, data, self.digest))


@dataclass(frozen=True)
class StubSource:
    """Gives workers stub inspectors."""

    seconds: float = 0.0
    digest: str = "d" * 32

    def settings(self) -> ArchiveSettings:
        """Return what results depend on."""
        return ArchiveSettings(bundle="stub", digest=self.digest)

    def load(self) -> VideoInspector:
        """Return an inspector."""
        return StubInspector(self.seconds, self.digest)


def _found(video: Path, data: bytes, bundle: str) -> tuple[Inspection, dict[str, bytes]]:
    digest = hashlib.blake2b(data, digest_size=16).hexdigest()
    numbers = [byte / 256 for byte in bytes.fromhex(digest)]
    pictures: dict[str, bytes] = {}
    findings = tuple(_finding(code, numbers[row], data, pictures) for row, code in enumerate(CODES))
    times = tuple(0.5 * step for step in range(8))
    inspection = Inspection(
        video=_facts(video, digest, len(data)),
        bundle=BundleFacts(name="stub", digest=bundle, taxonomy="stub", demonstration=False, calibrated=True),
        exclusive="ZC",
        findings=findings,
        timed=True,
        timeline=Timeline(seconds=times, codes=CODES, scores=tuple(tuple(numbers[i : i + 4]) for i in range(8))),
        made_at="2026-01-02T03:04:05+00:00",
    )
    return inspection, pictures


def _facts(video: Path, digest: str, size: int) -> VideoFacts:
    return VideoFacts(
        name=video.name,
        path=str(video.resolve()),
        relative="",
        digest=digest,
        duration_seconds=40.0,
        frame_count=1000 + size,
        width=640,
        height=480,
        frame_rate=25.0,
    )


def _finding(code: str, share: float, data: bytes, pictures: dict[str, bytes]) -> Finding:
    shown = code != "ZC" and share > 0.5
    name = f"frame-{int(share * 1000):06d}.jpg"
    if shown:
        pictures[name] = b"JPEG" + data + code.encode()
    evidence = Evidence(seconds=share, frame=int(share * 1000), score=share, picture=name)
    occurrence = Occurrence(
        seconds=share, begin_seconds=share, end_seconds=share + 1, score=share, evidence=(evidence,)
    )
    return Finding(
        code=code,
        en=f"class {code}",
        probability=share,
        score=share,
        triage="accept" if share > 0.8 else "review" if shown else "reject",
        occurrences=(occurrence,) if shown else (),
    )


if __name__ == "__main__":  # ARCHIVE SECONDS-PER-VIDEO WORKERS RETRIES [RAY]
    archive, seconds, workers, retries, *ray = sys.argv[1:]
    given = RunOptions(
        workers=int(workers), retries=int(retries), lease_seconds=5.0, retry_seconds=0.01, ray=ray[0] if ray else None
    )
    print(dict(run_archive(archive, StubSource(float(seconds)), options=given).statuses))
