"""Workers of `archive run`: each takes one shard after the other, in this process or in several."""

import logging
import multiprocessing
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Generator
from contextlib import closing, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, TypeAlias, cast

from urbanpipe.archive.shards.inspecting import RETRY_SECONDS, InspectorSource, VideoWork
from urbanpipe.archive.shards.leases import LEASE_SECONDS, Lease, Leases, new_worker
from urbanpipe.archive.shards.shard_run import ShardPlan, open_videos, run_shard
from urbanpipe.archive_store.manifest import Manifest, read_manifest
from urbanpipe.archive_store.object_storage import open_storage
from urbanpipe.archive_store.outcomes import VideoOutcome
from urbanpipe.archive_store.parts import read_summaries, shard_folder
from urbanpipe.archive_store.storage import Storage
from urbanpipe.errors import ArchiveError, LeaseLostError, UrbanpipeError
from urbanpipe.exit_signals import end_by_signal

log = logging.getLogger(__name__)

_POLL_SECONDS = 1.0
_MAX_DEATHS = 20


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How an archive is run.

    Attributes:
        shard: share `(i, n)` of this machine: the shards k with k % n == i.
        retries: how often an error that may pass is tried again.
        workers: processes of this machine.
        again: whether videos that are `missing`, `refused` or `failed` are tried again.
        lease_seconds: time after which the shard of a worker that shows no life is taken over.
        retry_seconds: pause before the second attempt at a video.
        ray: address of a Ray cluster on which the workers run, `auto` or `local`; None runs them on this machine.
    """

    shard: tuple[int, int] = (0, 1)
    retries: int = 2
    workers: int = 1
    again: bool = False
    lease_seconds: float = LEASE_SECONDS
    retry_seconds: float = RETRY_SECONDS
    ray: str | None = None

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ArchiveError: one is out of range.
        """
        index, count = self.shard
        if not 0 <= index < count:
            raise ArchiveError(f"--shard {index}/{count}: give i/n with i from 0 to n - 1, such as 0/4")
        if self.workers < 1 or self.retries < 0 or self.lease_seconds <= 0:
            raise ArchiveError("give 1 worker or more, 0 retries or more, and a lease of more than 0 seconds")


def share_of(text: str) -> tuple[int, int]:
    """Return the share of a machine from text such as `0/4`.

    Raises:
        ArchiveError: it is not of this form.
    """
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal()):
        raise ArchiveError(f"--shard {text}: give i/n with i from 0 to n - 1, such as 0/4")
    return int(index), int(count)


@dataclass(frozen=True)
class LostShard:
    """A shard that another worker has taken over from this one.

    Attributes:
        shard: its number.
        reason: why, in one line.
    """

    shard: int
    reason: str


Found: TypeAlias = Generator[VideoOutcome | LostShard, None, None]


@dataclass(frozen=True)
class Workplace:
    """All that a worker needs to know; it is sent to processes.

    Attributes:
        archive: path or address.
        source: where inspectors come from.
        plan: what is done with each shard.
        shards: shards with open videos.
        options: retries, and time of the leases.
    """

    archive: str
    source: InspectorSource
    plan: ShardPlan
    shards: tuple[int, ...]
    options: RunOptions

    def outcomes(self, manifest: Manifest | None = None, work: "LoadedWork | None" = None) -> Found:
        """Take the shards one after the other, and yield the outcomes of their videos.

        Args:
            manifest: the manifest, if it has been read.
            work: how videos are inspected, if another call has loaded the networks.

        Shards of other workers are looked at again until they are finished: if the other has died, they are taken over.

        Raises:
            ArchiveError: many videos in a row have failed alike.
            StorageError: the archive cannot be read or written.
        """
        storage = open_storage(self.archive)
        worker = new_worker()
        leases = Leases(storage, worker, self.options.lease_seconds)
        work = work or LoadedWork(self)
        manifest = manifest or read_manifest(storage)
        waiting = deque(self.shards)
        waiting.rotate(int(worker.owner, 16))  # workers that start together begin with different shards
        while waiting:
            busy = deque[int]()
            for shard in waiting:
                with leases.taken(shard) as lease:
                    if lease is not None:
                        yield from self._of_shard(storage, manifest, shard, lease, work)
                    elif self._is_open(storage, manifest, shard):
                        busy.append(shard)
            waiting = busy
            if waiting:
                log.info("waiting for other workers with %d shards", len(waiting))
                time.sleep(min(_POLL_SECONDS, self.options.lease_seconds / 4))

    def _of_shard(self, storage: Storage, manifest: Manifest, shard: int, lease: Lease, work: "LoadedWork") -> Found:
        videos = manifest.of_shard(shard)
        try:
            with closing(run_shard(storage, self.plan, shard=shard, videos=videos, lease=lease, work=work)) as found:
                yield from found
        except LeaseLostError as error:
            log.warning("shard %d: %s", shard, error)
            yield LostShard(shard, str(error))

    def _is_open(self, storage: Storage, manifest: Manifest, shard: int) -> bool:
        parts = read_summaries(storage, shard_folder(self.plan.results, shard))
        return bool(open_videos(manifest.of_shard(shard), parts, again=self.plan.again))


class LoadedWork:
    """Loads the networks for the first video that needs them."""

    def __init__(self, workplace: Workplace) -> None:
        self._workplace = workplace
        self._work: VideoWork | None = None

    def __call__(self) -> VideoWork:
        """Return how videos are inspected.

        Raises:
            ArchiveError: the bundle of this worker is not that of the archive.
        """
        if self._work is None:
            self._check_bundle()
            options = self._workplace.options
            self._work = VideoWork(self._workplace.source.load(), options.retries, options.retry_seconds)
        return self._work

    def _check_bundle(self) -> None:
        """Check the bundle again: on another machine the same path may hold another one."""
        settings = self._workplace.source.settings()
        if settings.results != self._workplace.plan.results:
            raise ArchiveError(
                f"the bundle of a worker on {socket.gethostname()}, {settings.bundle} ({settings.digest[:8]}), is not "
                f"that of {self._workplace.archive}; give all machines the same bundle"
            )


def outcomes_of_processes(workplace: Workplace) -> Found:
    """Yield the outcomes of several processes. One that dies is started again; its shard is taken over.

    Raises:
        UrbanpipeError: the first error of a worker; the others stop.
        ArchiveError: workers die again and again.
    """
    workers = dict(_started(workplace) for _ in range(workplace.options.workers))
    deaths = 0
    try:
        while workers:
            for connection in wait([*workers]):
                connection = cast("Connection", connection)  # all that was passed
                try:
                    message = connection.recv()
                except (EOFError, OSError):  # the process has ended
                    process = workers.pop(connection)
                    process.join()
                    if process.exitcode != 0:
                        deaths += 1
                        refuse_deaths(deaths)
                        workers |= [_started(workplace)]
                    continue
                if isinstance(message, UrbanpipeError):
                    raise message
                yield message
    finally:
        for process in workers.values():
            process.terminate()
        for process in workers.values():
            process.join()


def refuse_deaths(deaths: int) -> None:
    """Check that not too many workers have died.

    Raises:
        ArchiveError: too many have.
    """
    if deaths > _MAX_DEATHS:
        advice = "give fewer --workers, or look for lack of memory"
        raise ArchiveError(f"{deaths} workers have died; {advice}")


def _started(workplace: Workplace) -> tuple[Connection, SpawnProcess]:
    """Start a worker; return the end of a pipe that yields its messages, and its process."""
    context = multiprocessing.get_context("spawn")
    ours: Any  # of another class on Windows
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(workplace, theirs))
    process.start()
    theirs.close()  # so that ours ends with the process
    return ours, process


def _work(workplace: Workplace, messages: Connection) -> None:
    """Work in a process; SIGTERM ends it once what it has finished is written, and so does the end of its parent.

    On Windows, which has no such signal, its parent kills it, and the video that it was inspecting is done again.
    """
    threads = max(1, (os.cpu_count() or 1) // workplace.options.workers)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # before the networks are loaded: workers share the cores
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    signal.signal(signal.SIGTERM, lambda number, _: end_by_signal(number, 0))
    with suppress(BrokenPipeError):
        try:
            with closing(workplace.outcomes()) as found:
                for item in found:
                    messages.send(item)
        except UrbanpipeError as error:
            messages.send(error)
