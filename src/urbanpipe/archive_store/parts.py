"""Parts: the results of some videos of a shard, in up to four objects of which the last completes the part.

Part 3 of shard 12 is

- `results/.../00012/00003.videos.parquet`: one row per video, with the inspection; it completes the part,
- `00003-TOKEN.findings.parquet`: one row per class of each inspected video,
- `00003-TOKEN.timelines.arrow`: scores over time, where the networks give them,
- `00003-TOKEN.evidence.pack`: the pictures, one after the other.

The number is the first that the shard does not have yet, and the videos file is created only if it does not exist. So
of two workers that write the same number one fails, whatever their leases say, and no video gets two results. The
token is of the writer: it never touches files of another.
"""

import json
import re
import uuid
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from urbanpipe.archive_store.outcomes import VideoOutcome
from urbanpipe.archive_store.part_rows import Row, finding_rows, timeline_row, video_row
from urbanpipe.archive_store.part_schemas import PART_FINDINGS, PART_VIDEOS, TIMELINES
from urbanpipe.archive_store.storage import Storage, StoredObject
from urbanpipe.errors import ArchiveError, LeaseLostError

VIDEOS, FINDINGS, SCORES, PACK = "videos.parquet", "findings.parquet", "timelines.arrow", "evidence.pack"
_SUMMARY_KEY = b"urbanpipe.part"
_FOOTER = 1 << 16
_READERS = 16
_VIDEOS_NAME = re.compile(r"(?:.*/)?(\d{5,})/(\d{5,})\.videos\.parquet")
_OTHER_NAME = re.compile(
    r"(?:.*/)?(\d{5,})/(\d{5,})-([0-9a-f]+)\.(?:findings\.parquet|timelines\.arrow|evidence\.pack)"
)


class Result(NamedTuple):
    """A video in the summary of a part: its id, version, status, and kind of error."""

    id: str
    version: str
    status: str
    kind: str = ""


@dataclass(frozen=True)
class PartSummary:
    """What the metadata of the videos file of a part says.

    Attributes:
        folder: folder of the shard.
        shard: number of the shard.
        number: number of the part in the shard, from 1.
        token: random name of the writer, in the names of the other files.
        results: the videos.
        seconds: time that their inspection took.
        finished_at: end of the part by the clock of its worker, ISO 8601.
    """

    folder: str
    shard: int
    number: int
    token: str
    results: tuple[Result, ...]
    seconds: float
    finished_at: str

    @property
    def name(self) -> str:
        """Name of the part in tables."""
        return part_name(self.shard, self.number)

    @property
    def has_findings(self) -> bool:
        """Whether a video of it was inspected, so that it has a table of findings."""
        return any(result.status == "ok" for result in self.results)

    def file(self, kind: str) -> str:
        """Return the name of a file: `videos.parquet`, `findings.parquet`, `timelines.arrow` or `evidence.pack`."""
        return _file(self.folder, self.number, self.token, kind)


def part_name(shard: int, number: int) -> str:
    """Return the name of a part, ordered like its numbers."""
    return f"{shard:05d}/{number:05d}"


def is_videos_file(name: str) -> bool:
    """Return whether an object is the videos file of a part, which completes it."""
    return _VIDEOS_NAME.fullmatch(name) is not None


def shard_folder(results: str, shard: int) -> str:
    """Return the folder of the results of a shard."""
    return f"{results}/{shard:05d}"


def read_summaries(storage: Storage, folder: str) -> list[PartSummary]:
    """Return the parts in a folder and below, ordered by shard and number.

    Raises:
        ArchiveError: a part is damaged.
        StorageError: the folder cannot be read.
    """
    found = [item for item in storage.list(folder) if is_videos_file(item.name)]
    with ThreadPoolExecutor(_READERS) as readers:
        parts = list(readers.map(lambda item: _summary(storage, item), found))
    return sorted(parts, key=lambda part: (part.shard, part.number))


def write_part(
    storage: Storage,
    folder: str,
    number: int,
    outcomes: Sequence[VideoOutcome],
    *,
    host: str,
    check: Callable[[], None],
) -> None:
    """Write a part.

    Args:
        storage: the archive.
        folder: folder of the shard.
        number: number of the part.
        outcomes: its videos.
        host: name of this machine.
        check: called last before the part is completed; raises if the worker has lost its lease.

    Raises:
        LeaseLostError: another worker has written this part.
        StorageError: it cannot be written.
        OutputError: the folder cannot be written, or its disk is full.
    """
    token = uuid.uuid4().hex[:12]
    part = part_name(int(folder.rpartition("/")[2]), number)
    pack = b"".join(data for outcome in outcomes for data in outcome.pictures.values())
    findings = [row for outcome in outcomes for row in finding_rows(outcome, part)]
    timelines = _timeline_rows(outcomes)
    for kind, data in (
        (PACK, pack),
        (SCORES, _arrow(timelines) if timelines else b""),
        (FINDINGS, _parquet(pa.Table.from_pylist(findings, PART_FINDINGS)) if findings else b""),
    ):
        if data:
            storage.write(_file(folder, number, token, kind), data)
    table = pa.Table.from_pylist(_video_rows(outcomes, part, host), PART_VIDEOS)
    videos = _parquet(table.replace_schema_metadata({_SUMMARY_KEY: _encoded_summary(outcomes, token)}))
    check()
    if not storage.create(_file(folder, number, token, VIDEOS), videos):
        raise LeaseLostError("another worker has written its results meanwhile; those made here are dropped")


def read_videos(storage: Storage, part: PartSummary, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the videos of a part."""
    return _read_table(storage, part.file(VIDEOS), columns)


def read_findings(storage: Storage, part: PartSummary) -> pa.Table:
    """Return the findings of a part; no rows if no video of it was inspected."""
    if not part.has_findings:
        return PART_FINDINGS.empty_table()
    return _read_table(storage, part.file(FINDINGS), None)


def read_timeline_row(storage: Storage, part: PartSummary, identifier: str) -> Row | None:
    """Return the scores over time of a video as a row; None if it has none."""
    data, _ = storage.read(part.file(SCORES))
    table = pa.ipc.open_file(pa.BufferReader(data)).read_all()
    ids = table["id"].to_pylist()
    row: Row | None = table.slice(ids.index(identifier), 1).to_pylist()[0] if identifier in ids else None
    return row


def remove_incomplete(storage: Storage, folder: str, complete: Iterable[PartSummary]) -> int:
    """Delete files that writers without success have left for parts that others have completed; return how many.

    Files for a number that no part has yet are kept: their writer may be about to complete it.
    """
    tokens = {(part.shard, part.number): part.token for part in complete}
    found = [
        item.name
        for item in storage.list(folder)
        if (match := _OTHER_NAME.fullmatch(item.name)) and _is_left(match, tokens)
    ]
    for name in found:
        storage.delete(name)
    return len(found)


def _is_left(match: re.Match[str], tokens: dict[tuple[int, int], str]) -> bool:
    key = int(match[1]), int(match[2])
    return key in tokens and tokens[key] != match[3]


def _file(folder: str, number: int, token: str, kind: str) -> str:
    return f"{folder}/{number:05d}.{kind}" if kind == VIDEOS else f"{folder}/{number:05d}-{token}.{kind}"


def _video_rows(outcomes: Sequence[VideoOutcome], part: str, host: str) -> list[Row]:
    rows, offset = [], 0
    for outcome in outcomes:
        rows.append(video_row(outcome, part, host, offset))
        offset += sum(map(len, outcome.pictures.values()))
    return rows


def _timeline_rows(outcomes: Sequence[VideoOutcome]) -> list[Row]:
    inspected = [(outcome.video.id, outcome.inspection) for outcome in outcomes if outcome.inspection]
    return [timeline_row(key, inspection.timeline) for key, inspection in inspected if inspection.timeline]


def _encoded_summary(outcomes: Sequence[VideoOutcome], token: str) -> bytes:
    results = [(item.video.id, item.video.version, item.status, item.kind) for item in outcomes]
    seconds = round(sum(outcome.seconds for outcome in outcomes), 3)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    facts = {"token": token, "seconds": seconds, "finished_at": now, "results": results}
    return json.dumps(facts, separators=(",", ":")).encode()


def _summary(storage: Storage, found: StoredObject) -> PartSummary:
    """Read the end of a videos file, which holds its metadata; all of it if that is longer than usual."""
    match = _VIDEOS_NAME.fullmatch(found.name)
    assert match, "chosen by this pattern"
    start = max(0, found.size - _FOOTER)
    tail = storage.read_range(found.name, start, found.size - start)
    if start and int.from_bytes(tail[-8:-4], "little") + 8 > len(tail):
        tail, _ = storage.read(found.name)
    try:
        facts = json.loads((pq.read_metadata(pa.BufferReader(tail)).metadata or {})[_SUMMARY_KEY])
        results = tuple(Result(*row) for row in facts["results"])
        token, seconds, finished = facts["token"], float(facts["seconds"]), facts["finished_at"]
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
        raise ArchiveError(
            f"{storage.location}/{found.name} is damaged ({type(error).__name__}); delete it and run the archive again"
        ) from None
    folder = found.name.rpartition("/")[0]
    return PartSummary(folder, int(match[1]), int(match[2]), token, results, seconds, finished)


def _read_table(storage: Storage, name: str, columns: Sequence[str] | None) -> pa.Table:
    data, _ = storage.read(name)
    try:
        return pq.read_table(pa.BufferReader(data), columns=None if columns is None else [*columns])
    except (pa.ArrowException, OSError) as error:
        raise ArchiveError(
            f"{storage.location}/{name} is damaged ({type(error).__name__}); delete its part and run the archive again"
        ) from None


def _parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _arrow(rows: Sequence[Row]) -> bytes:
    table = pa.Table.from_pylist([*rows], TIMELINES)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, TIMELINES, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data
