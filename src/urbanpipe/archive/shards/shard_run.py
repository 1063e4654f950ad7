"""A shard of an archive: the videos without a result are inspected, and written in parts."""

import socket
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace

from urbanpipe.archive.shards.inspecting import VideoWork
from urbanpipe.archive.shards.leases import Lease
from urbanpipe.archive_store.manifest import PlannedVideo
from urbanpipe.archive_store.outcomes import FINAL, VideoOutcome
from urbanpipe.archive_store.parts import PartSummary, read_summaries, remove_incomplete, shard_folder, write_part
from urbanpipe.archive_store.storage import Storage
from urbanpipe.errors import ArchiveError

PART_VIDEOS = 64
PART_SECONDS = 600.0
PART_BYTES = 256 << 20
MAX_ALIKE = 20
"""After this many videos in a row have failed alike, the cause is not the videos."""


@dataclass(frozen=True)
class ShardPlan:
    """What a run does with each shard.

    Attributes:
        results: folder of the results by the bundle of the archive.
        again: whether videos that are `missing`, `refused` or `failed` are tried again.
        max_deaths: a video during which more workers than this have died is `failed`.
    """

    results: str
    again: bool = False
    max_deaths: int = 2


class _PartWriter:
    """Collects outcomes of a shard, and writes them in parts."""

    def __init__(self, storage: Storage, folder: str, number: int, lease: Lease) -> None:
        self._storage, self._folder, self._number, self._lease = storage, folder, number, lease
        self._outcomes: list[VideoOutcome] = []
        self._started, self._size = time.monotonic(), 0

    def add(self, outcome: VideoOutcome) -> None:
        """Add an outcome, and write a part if it is full."""
        self._outcomes.append(outcome)
        self._size += sum(map(len, outcome.pictures.values()))
        late = time.monotonic() - self._started >= PART_SECONDS
        if late or len(self._outcomes) >= PART_VIDEOS or self._size >= PART_BYTES:
            self.finish()

    def finish(self) -> None:
        """Write what is not written yet."""
        outcomes, self._outcomes, self._size, self._started = self._outcomes, [], 0, time.monotonic()
        if not outcomes:
            return
        self._number += 1
        write_part(
            self._storage,
            self._folder,
            self._number,
            outcomes,
            host=socket.gethostname(),
            check=self._lease.check,
        )


def open_videos(
    videos: Sequence[PlannedVideo], parts: Sequence[PartSummary], *, again: bool = False
) -> list[PlannedVideo]:
    """Return the videos of a shard that have no result in their present version.

    Args:
        videos: the videos of the shard.
        parts: its parts.
        again: whether results that another run may change do not count.
    """
    results = [result for part in parts for result in part.results]
    done = {(result.id, result.version) for result in results if not again or result.status in FINAL}
    return [video for video in videos if (video.id, video.version) not in done]


def run_shard(
    storage: Storage,
    plan: ShardPlan,
    *,
    shard: int,
    videos: Sequence[PlannedVideo],
    lease: Lease,
    work: Callable[[], VideoWork],
) -> Generator[VideoOutcome, None, None]:
    """Inspect the videos of a shard that have no result yet, write their results, and yield each without its pictures.

    If the iterator is closed or interrupted, what is finished is written.

    Args:
        storage: the archive.
        plan: what to do.
        shard: number of the shard.
        videos: its videos.
        lease: the lease of the shard.
        work: returns how videos are inspected; called if there are any.

    Raises:
        LeaseLostError: another worker has taken the shard over.
        ArchiveError: many videos in a row have failed alike.
        StorageError: the archive cannot be read or written.
        OutputError: a folder cannot be written.
    """
    folder = shard_folder(plan.results, shard)
    before = read_summaries(storage, folder)
    todo = open_videos(videos, before, again=plan.again)
    if not todo:
        return
    writer = _PartWriter(storage, folder, before[-1].number if before else 0, lease)
    try:
        for outcome in _outcomes(todo, lease, plan, work):
            writer.add(outcome)
            yield replace(outcome, inspection=None, pictures={})
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        writer.finish()
        raise
    writer.finish()
    remove_incomplete(storage, folder, read_summaries(storage, folder))


def _outcomes(
    todo: Sequence[PlannedVideo],
    lease: Lease,
    plan: ShardPlan,
    work: Callable[[], VideoWork],
) -> Iterator[VideoOutcome]:
    alike = Counter[tuple[str, str]]()
    for video in todo:
        if lease.deaths.get(video.id, 0) > plan.max_deaths:
            yield _died(video, lease.deaths[video.id])
            continue
        current = work()
        lease.note(video.id)
        outcome = current.outcome(video)
        lease.note("")
        reason = (outcome.kind, outcome.message.replace(video.uri, "the video"))
        alike = Counter({reason: alike[reason] + 1 if outcome.status == "failed" else 0})
        if alike[reason] >= MAX_ALIKE:
            raise ArchiveError(f"the last {MAX_ALIKE} videos failed alike ({reason[1]}); put it right and run it again")
        yield outcome


def _died(video: PlannedVideo, deaths: int) -> VideoOutcome:
    message = f"{deaths} workers have died while they inspected it, perhaps for lack of memory"
    return VideoOutcome(video, "failed", "inspect", "died", message, attempts=deaths)
