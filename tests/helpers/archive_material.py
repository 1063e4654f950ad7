"""Archives of stub clips, for tests."""

import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from helpers.stub_inspector import StubSource
from urbanpipe.archive.shards.merge import archive_merge
from urbanpipe.archive.shards.run import ArchiveRun, run_archive
from urbanpipe.archive.shards.workers import RunOptions
from urbanpipe.archive_store.merged import FINDINGS, VIDEOS
from urbanpipe.archive_store.object_storage import open_storage

TESTS = Path(__file__).parents[1]
PYTHON = sys.executable
STUB = StubSource()


def make_clips(folder: Path, count: int, first: int = 0) -> Path:
    """Write clips that differ in their bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        (folder / f"clip{number:03d}.mp4").write_bytes(b"clip %d" % number)
    return folder


def stub_run(archive: Path | str, source: StubSource = STUB, **options: Any) -> ArchiveRun:
    """Run an archive with stub inspectors."""
    given = {"retry_seconds": 0.0, "lease_seconds": 5.0} | options
    return run_archive(archive, source, options=RunOptions(**given))


def merged(archive: Path | str) -> tuple[pa.Table, pa.Table]:
    """Merge an archive; return the tables of videos and findings."""
    archive_merge(archive)
    storage = open_storage(str(archive))
    videos, findings = (pq.read_table(pa.BufferReader(storage.read(name)[0])) for name in (VIDEOS, FINDINGS))
    return videos.replace_schema_metadata(), findings.replace_schema_metadata()


def statuses(archive: Path | str) -> dict[str, str]:
    """Merge an archive; return the status of each video by its file name."""
    videos, _ = merged(archive)
    return {row["uri"].rpartition("/")[2]: row["status"] for row in videos.to_pylist()}
