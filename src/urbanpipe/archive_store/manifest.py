"""The manifest of an archive: which videos it has, and the shard of each."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from urbanpipe.archive_store.storage import MANIFEST, Storage
from urbanpipe.errors import ArchiveError, MissingObjectError

FORMAT = "urbanpipe archive manifest 1"
_FORMAT_KEY, _SHARDS_KEY = b"urbanpipe.format", b"urbanpipe.shards"
_ID_BITS = 64

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("uri", pa.string()),
        ("size", pa.int64()),
        ("etag", pa.string()),
        ("version", pa.string()),
        ("modified", pa.timestamp("us", "UTC")),
        ("shard", pa.int32()),
    ]
)


@dataclass(frozen=True)
class PlannedVideo:
    """A row of the manifest.

    Attributes:
        id: 16 hexadecimal digits, the hash of the uri.
        uri: absolute path, or address such as `s3://bucket/key`.
        size: in bytes, when it was planned.
        etag: of the object, or of the file's last change; differs once the content is written anew.
        version: hash of size and etag; results are of a version.
        shard: number of the shard, from 0.
    """

    id: str
    uri: str
    size: int
    etag: str
    version: str
    shard: int


@dataclass(frozen=True, eq=False)
class Manifest:
    """The videos of an archive.

    Attributes:
        table: columns as in `SCHEMA`, ordered by id and thereby by shard.
        shards: number of shards.
        etag: etag of the file.
    """

    table: pa.Table
    shards: int
    etag: str = ""

    def __len__(self) -> int:
        """Number of videos."""
        return int(self.table.num_rows)

    def of_shard(self, shard: int) -> list[PlannedVideo]:
        """Return the videos of a shard, ordered by id."""
        rows = self.table.filter(pc.equal(self.table["shard"], shard)).drop_columns(["modified"]).to_pylist()
        return [PlannedVideo(**row) for row in rows]

    def versions(self) -> dict[str, str]:
        """Return the version of each video by its id."""
        ids, versions = self.table["id"].to_pylist(), self.table["version"].to_pylist()
        return dict(zip(ids, versions, strict=True))

    def sizes(self) -> dict[int, int]:
        """Return the number of videos of each shard that has any."""
        return {item["values"]: item["counts"] for item in pc.value_counts(self.table["shard"]).to_pylist()}


def video_id(uri: str) -> str:
    """Return the id of a video: equal names in different folders have different ids."""
    return hashlib.blake2b(uri.encode(), digest_size=_ID_BITS // 8).hexdigest()


def version_of(size: int, etag: str) -> str:
    """Return the version of a video with this size and etag."""
    return hashlib.blake2b(json.dumps([size, etag]).encode(), digest_size=6).hexdigest()


def shard_of(identifier: str, shards: int) -> int:
    """Return the shard of a video. Each shard is a range of ids, so shards in order are ids in order.

    Example:
        >>> shard_of("0" * 16, 10), shard_of("8" + "0" * 15, 10), shard_of("f" * 16, 10)
        (0, 5, 9)
    """
    return int(identifier, 16) * shards >> _ID_BITS


def read_manifest(storage: Storage) -> Manifest:
    """Read the manifest of an archive.

    Raises:
        ArchiveError: there is none, or it is damaged or of another version.
    """
    place = f"{storage.location.rstrip('/')}/{MANIFEST}"
    try:
        data, etag = storage.read(MANIFEST)
    except MissingObjectError:
        raise ArchiveError(f"{place} is missing; make it with `urbanpipe archive plan`") from None
    try:
        table = pq.read_table(pa.BufferReader(data))
    except (pa.ArrowException, OSError) as error:
        raise ArchiveError(f"{place} is damaged ({_first_line(error)}); plan again into another archive") from None
    facts: dict[bytes, bytes] = table.schema.metadata or {}
    found = facts.get(_FORMAT_KEY, b"").decode(errors="replace")
    if found != FORMAT or not table.schema.remove_metadata().equals(SCHEMA):
        raise ArchiveError(
            f"{place} has the format {found[:80]!r} and this version reads {FORMAT!r}; plan again into another archive"
        )
    return Manifest(table, int(facts[_SHARDS_KEY]), etag)


def write_manifest(storage: Storage, manifest: Manifest) -> None:
    """Write a manifest in place of the one that it was made from.

    Raises:
        ArchiveError: another `plan` has written one meanwhile.
    """
    facts: dict[bytes, Any] = {_FORMAT_KEY: FORMAT.encode(), _SHARDS_KEY: str(manifest.shards).encode()}
    sink = pa.BufferOutputStream()
    pq.write_table(manifest.table.replace_schema_metadata(facts), sink, compression="zstd", row_group_size=50_000)
    data = sink.getvalue().to_pybytes()
    done = storage.replace(MANIFEST, data, manifest.etag) if manifest.etag else storage.create(MANIFEST, data)
    if not done:
        raise ArchiveError(f"another process has planned {storage.location} meanwhile; run the same command again")


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0][:120]
