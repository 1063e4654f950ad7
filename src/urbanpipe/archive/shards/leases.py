"""Leases of shards: which worker has which shard, so that several do not inspect the same videos.

A lease only saves work. That no video has two results is due to the numbers of the parts, of which each is created
once (`parts.py`).
"""

import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import psutil

from urbanpipe.archive_store.storage import Storage
from urbanpipe.errors import LeaseLostError, MissingObjectError, StorageError

log = logging.getLogger(__name__)

LEASE_SECONDS = 60.0


@dataclass(frozen=True)
class LeaseState:
    """Content of a lease.

    Attributes:
        owner: random name of the worker.
        host: name of its machine, for people.
        machine: identifies the machine, or the container, until it is started again.
        pid: process of the worker.
        started: when that process was started, by the clock of its machine; numbers of processes are used again.
        beat: rises with every renewal.
        careful: whether a worker of the shard has died, so that each video is noted before it begins.
        video: id of the video that is being inspected, if the worker is careful; empty between videos.
        deaths: for each video, how many careful workers have died while they inspected it.
    """

    owner: str
    host: str
    machine: str
    pid: int
    started: float
    beat: int = 0
    careful: bool = False
    video: str = ""
    deaths: dict[str, int] = field(default_factory=dict)

    def encoded(self) -> bytes:
        """Return the lease as JSON."""
        return json.dumps(asdict(self)).encode()

    def is_dead(self) -> bool:
        """Return whether the worker was on this machine and has ended."""
        if self.machine != machine_name():
            return False
        try:
            process = psutil.Process(self.pid)
            return process.status() == psutil.STATUS_ZOMBIE or abs(process.create_time() - self.started) > 1
        except psutil.NoSuchProcess:
            return True
        except psutil.Error:
            return False


def new_worker() -> LeaseState:
    """Return the state of a worker in this process."""
    started = psutil.Process().create_time()
    return LeaseState(uuid.uuid4().hex[:12], socket.gethostname(), machine_name(), os.getpid(), started)


def machine_name() -> str:
    """Return a name of this machine in which no other, and no other container, shares process numbers."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return f"{socket.gethostname()} {uuid.getnode():x}"
    return f"{boot} {space}"


def lease_name(shard: int) -> str:
    """Return the name of the lease of a shard."""
    return f"leases/{shard:05d}.json"


class Leases:
    """The leases of an archive, as one worker sees them.

    Args:
        storage: the archive.
        worker: state of this worker.
        seconds: time after which a lease that was not renewed is taken over. It is measured by the clock of this
            process from the first sight of the lease: clocks of machines are not compared.
    """

    def __init__(self, storage: Storage, worker: LeaseState, seconds: float = LEASE_SECONDS) -> None:
        self._storage, self._worker, self.seconds = storage, worker, seconds
        self._sights: dict[int, tuple[str, float]] = {}

    @contextmanager
    def taken(self, shard: int) -> Iterator["Lease | None"]:
        """Hold the lease of a shard while the block runs; yield None if another worker has it."""
        lease = self._take(shard)
        if lease is None:
            yield None
            return
        try:
            with lease.renewed():
                yield lease
        finally:
            lease.release()

    def _take(self, shard: int) -> "Lease | None":
        name = lease_name(shard)
        state = self._worker
        if self._storage.create(name, state.encoded()):
            return Lease(self._storage, name, state, self.seconds)
        try:
            data, etag = self._storage.read(name)
        except MissingObjectError:  # released meanwhile
            return None
        other = _decoded(data)
        if not self._is_stale(shard, other, etag):
            return None
        state = replace(state, careful=True, deaths=_deaths(other))
        if not self._storage.replace(name, state.encoded(), etag):
            return None
        log.warning("shard %d: its worker on %s has ended; taken over", shard, other.host if other else "another host")
        return Lease(self._storage, name, state, self.seconds)

    def _is_stale(self, shard: int, other: LeaseState | None, etag: str) -> bool:
        if other is not None and other.is_dead():
            return True
        known, since = self._sights.get(shard, ("", 0.0))
        if known != etag:
            self._sights[shard] = etag, time.monotonic()
            return False
        return time.monotonic() - since >= self.seconds


class Lease:
    """The lease of a shard that this worker holds; a thread renews it.

    Args:
        storage: the archive.
        name: name of the lease.
        state: its content.
        seconds: time after which others may take it over.
    """

    def __init__(self, storage: Storage, name: str, state: LeaseState, seconds: float) -> None:
        self._storage, self._name, self._state, self._seconds = storage, name, state, seconds
        self._written, self._written_at = state, time.monotonic()
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._lost = False

    @property
    def deaths(self) -> dict[str, int]:
        """For each video, how many careful workers have died while they inspected it."""
        return self._state.deaths

    def note(self, video: str) -> None:
        """Note the video that begins, or "" when it has ended, if a worker of the shard has died.

        So the worker that takes over from a dead one knows for certain which video it was. Before the first death of a
        shard the note would cost every video two writes for nothing.

        Raises:
            LeaseLostError: another worker has taken the shard over, as far as is known.
        """
        self._refuse_lost()
        if self._state.careful:
            self._state = replace(self._state, video=video)
            self.check()

    def check(self) -> None:
        """Check that no other worker has taken the shard over.

        Raises:
            LeaseLostError: one has.
        """
        with self._lock:
            self._renew()
        self._refuse_lost()

    def _refuse_lost(self) -> None:
        if self._lost:
            raise LeaseLostError("another worker has taken it over; what is unfinished here is dropped")

    @contextmanager
    def renewed(self) -> Iterator[None]:
        """Renew the lease from a thread while the block runs."""
        thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def release(self) -> None:
        """Delete the lease if it is still that of this worker."""
        try:
            data, _ = self._storage.read(self._name)
            state = _decoded(data)
            if state is not None and state.owner == self._state.owner:
                self._storage.delete(self._name)
        except StorageError as error:  # it ends by itself
            log.debug("%s: %s", self._name, error)

    def _keep(self) -> None:
        while not self._ended.wait(self._seconds / 8):
            if time.monotonic() - self._written_at >= self._seconds / 4:
                with self._lock:
                    self._renew()

    def _renew(self) -> None:
        """Write the lease with a higher beat; note it if another worker has it."""
        state = replace(self._state, beat=self._written.beat + 1)
        try:
            data, etag = self._storage.read(self._name)
            found = _decoded(data)
            mine = found is not None and found.owner == state.owner
            if not mine or not self._storage.replace(self._name, state.encoded(), etag):
                self._lost = True
                return
        except MissingObjectError:
            self._lost = True
            return
        except StorageError as error:
            log.warning("cannot renew a lease, trying again: %s", error)
            return
        self._written, self._written_at = state, time.monotonic()


def _decoded(data: bytes) -> LeaseState | None:
    try:
        return LeaseState(**json.loads(data))
    except (ValueError, TypeError):
        return None


def _deaths(other: LeaseState | None) -> dict[str, int]:
    """Return the deaths of the workers of a shard, including that of the last one."""
    if other is None:
        return {}
    more = {other.video: other.deaths.get(other.video, 0) + 1} if other.video else {}
    return other.deaths | more
