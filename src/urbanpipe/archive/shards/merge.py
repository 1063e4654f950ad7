"""`archive merge`: one table of videos and one of findings, from the parts of an archive."""

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from urbanpipe.archive_store.merged import FINDINGS, VIDEOS, with_state
from urbanpipe.archive_store.object_storage import open_storage
from urbanpipe.archive_store.part_schemas import MERGED_FINDINGS, MERGED_VIDEOS
from urbanpipe.archive_store.parts import PartSummary, read_findings, read_videos
from urbanpipe.archive_store.results import CurrentResults, current_results, state_of
from urbanpipe.archive_store.storage import Storage
from urbanpipe.contracts.names import shortened
from urbanpipe.errors import ArchiveError
from urbanpipe.progress import track

_ROWS = 5000


@dataclass(frozen=True)
class Merge:
    """The outcome of `archive merge`.

    Attributes:
        archive: path or address.
        videos: number of rows of `merged/videos.parquet`.
        findings: number of rows of `merged/findings.parquet`.
        statuses: number of videos by status.
    """

    archive: str
    videos: int
    findings: int
    statuses: Mapping[str, int]


def archive_merge(archive: str | Path) -> Merge:
    """Write `merged/videos.parquet` and `merged/findings.parquet`, ordered by id, if every video has one result.

    The tables do not depend on the course of the runs: which machine inspected a video, when, and after how many
    interruptions.

    Raises:
        ArchiveError: videos have no result, or several.
        StorageError: the archive cannot be read or written.
        OutputError: a folder cannot be written, or its disk is full.
    """
    storage = open_storage(str(archive))
    state = state_of(storage)
    found = current_results(storage)
    check_complete(found, str(archive))
    with tempfile.TemporaryDirectory(prefix="urbanpipe-") as folder, ExitStack() as stack:
        paths = {name: Path(folder, Path(name).name) for name in (FINDINGS, VIDEOS)}
        videos = stack.enter_context(_Rows(paths[VIDEOS], with_state(MERGED_VIDEOS, state)))
        findings = stack.enter_context(_Rows(paths[FINDINGS], with_state(MERGED_FINDINGS, state)))
        shards = [[*parts] for _, parts in groupby(found.parts, key=lambda part: part.shard)]
        for parts in track(shards, len(shards), "archive merge", "shards"):
            videos.add(_of_shard(storage, found, parts, MERGED_VIDEOS, ["id"]))
            findings.add(_of_shard(storage, found, parts, MERGED_FINDINGS, ["id", "position"]))
        stack.close()
        if videos.written != len(found.manifest):
            raise ArchiveError(f"{archive}: {videos.written} rows for {len(found.manifest)} videos; a part is damaged")
        for name, path in paths.items():
            storage.write(name, path)
    return Merge(str(archive), videos.written, findings.written, found.statuses)


def check_complete(found: CurrentResults, archive: str) -> None:
    """Check that every video of the manifest has one result.

    Raises:
        ArchiveError: some have none, or several.
    """
    if found.doubled:
        raise ArchiveError(
            f"{archive} has two results in the same version of {shortened(sorted(set(found.doubled)))}; "
            "delete the later part of one of them"
        )
    missing = len(found.manifest) - len(found.part_of)
    if missing:
        raise ArchiveError(
            f"{missing} of the {len(found.manifest)} videos of {archive} have no result yet; "
            f"run `urbanpipe archive run {archive}`"
        )


class _Rows:
    """A Parquet file that is written in groups of rows of about equal size."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._writer, self._schema = pq.ParquetWriter(path, schema, compression="zstd"), schema
        self._waiting: list[pa.Table] = []
        self._count = self.written = 0

    def __enter__(self) -> "_Rows":
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()
        self._writer.close()

    def add(self, table: pa.Table) -> None:
        self._waiting.append(table)
        self._count += table.num_rows
        if self._count >= _ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._count:
            table = pa.concat_tables(self._waiting).cast(self._schema)
            self._writer.write_table(table, row_group_size=self._count)
        self.written += self._count
        self._waiting, self._count = [], 0


def _of_shard(
    storage: Storage, found: CurrentResults, parts: list[PartSummary], schema: pa.Schema, order: list[str]
) -> pa.Table:
    """Return the rows of the results that count, ordered."""
    read = _videos_of if schema is MERGED_VIDEOS else read_findings
    tables = [_chosen(read(storage, part), found.ids_in(part)).select(schema.names) for part in parts]
    return pa.concat_tables(tables).cast(schema).sort_by([(name, "ascending") for name in order])


def _videos_of(storage: Storage, part: PartSummary) -> pa.Table:
    return read_videos(storage, part, MERGED_VIDEOS.names)


def _chosen(table: pa.Table, ids: set[str]) -> pa.Table:
    return table.filter(pc.is_in(table["id"], pa.array(sorted(ids), pa.string())))
