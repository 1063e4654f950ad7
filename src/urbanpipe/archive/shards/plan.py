"""`archive plan`: lists videos into the manifest of an archive."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from urbanpipe.archive.shards.sources import ListedVideo, listed_videos
from urbanpipe.archive_store.manifest import (
    SCHEMA,
    Manifest,
    read_manifest,
    shard_of,
    version_of,
    video_id,
    write_manifest,
)
from urbanpipe.archive_store.object_storage import open_storage
from urbanpipe.archive_store.storage import MANIFEST, Storage
from urbanpipe.errors import ArchiveError, MissingObjectError

VIDEOS_PER_SHARD = 50
MIN_SHARDS, MAX_SHARDS = 16, 100_000
_BATCH = 10_000


@dataclass(frozen=True)
class Plan:
    """The outcome of `archive plan`.

    Attributes:
        archive: path or address of the archive.
        videos: number of videos in the manifest.
        shards: number of shards.
        added: videos that are new.
        changed: videos whose size or etag differs from the last plan.
        kept: videos of earlier plans that this one has not listed; they stay in the manifest.
    """

    archive: str
    videos: int
    shards: int
    added: int
    changed: int
    kept: int


def archive_plan(sources: Sequence[str | Path], archive: str | Path, *, shards: int | None = None) -> Plan:
    """List videos into the manifest of an archive.

    A later call adds new videos and notes which have changed. Videos that it does not list keep their rows and their
    results, whether they have vanished or were not asked for: a video without results that is gone ends as `missing`.

    Args:
        sources: folders, files, and prefixes such as `s3://bucket/prefix`.
        archive: folder or prefix of the archive.
        shards: number of shards, which is fixed by the first call; default: one per 50 videos, at least 16.

    Raises:
        ArchiveError: a source is missing or there are no videos, the manifest is of another version, or the archive has
            another number of shards.
        StorageError: a bucket or the archive cannot be read or written.
    """
    storage = open_storage(str(archive))
    before = _earlier(storage)
    if shards is not None and not 1 <= shards <= MAX_SHARDS:
        raise ArchiveError(f"{shards} shards: give 1 to {MAX_SHARDS}")
    if before and shards not in {None, before.shards}:
        raise ArchiveError(f"{archive} has {before.shards} shards, not {shards}; leave --shards out to add videos")
    listed = _listed(chain.from_iterable(listed_videos(str(source)) for source in sources))
    if not listed.num_rows:
        raise ArchiveError(f"there are no videos in {', '.join(map(str, sources))}")
    count = before.shards if before else shards or max(MIN_SHARDS, -(-listed.num_rows // VIDEOS_PER_SHARD))
    old = before.table if before else SCHEMA.empty_table()
    kept = old.filter(pc.invert(pc.is_in(old["id"], listed["id"])))
    known, same = _known(listed, old)
    table = pa.concat_tables([kept, _with_shards(listed, count)]).sort_by("id")
    write_manifest(storage, Manifest(table, count, before.etag if before else ""))
    return Plan(
        archive=str(archive),
        videos=table.num_rows,
        shards=count,
        added=listed.num_rows - known,
        changed=known - same,
        kept=kept.num_rows,
    )


def _earlier(storage: Storage) -> Manifest | None:
    try:
        storage.read_range(MANIFEST, 0, 4)
    except MissingObjectError:
        return None
    return read_manifest(storage)


def _listed(videos: Iterator[ListedVideo]) -> pa.Table:
    """Return the rows of videos without their shards; one listed twice counts once."""
    seen: set[str] = set()
    batches = []
    while batch := list(islice(videos, _BATCH)):
        rows = {video_id(video.uri): video for video in batch}
        rows = {key: video for key, video in rows.items() if key not in seen}
        seen |= rows.keys()
        found = rows.values()
        versions = [version_of(video.size, video.etag) for video in found]
        uris, sizes = [video.uri for video in found], [video.size for video in found]
        etags, times = [video.etag for video in found], [video.modified for video in found]
        columns = [list(rows), uris, sizes, etags, versions, times, [0] * len(rows)]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
        batches.append(pa.Table.from_arrays(arrays, schema=SCHEMA))
    return pa.concat_tables(batches) if batches else SCHEMA.empty_table()


def _known(listed: pa.Table, old: pa.Table) -> tuple[int, int]:
    """Return how many listed videos the manifest had, and how many of these in the same version."""
    before = dict(zip(old["id"].to_pylist(), old["version"].to_pylist(), strict=True))
    pairs = zip(listed["id"].to_pylist(), listed["version"].to_pylist(), strict=True)
    found = [before[key] == version for key, version in pairs if key in before]
    return len(found), sum(found)


def _with_shards(listed: pa.Table, shards: int) -> pa.Table:
    numbers = [shard_of(key, shards) for key in listed["id"].to_pylist()]
    return listed.set_column(SCHEMA.get_field_index("shard"), SCHEMA.field("shard"), pa.array(numbers, pa.int32()))
