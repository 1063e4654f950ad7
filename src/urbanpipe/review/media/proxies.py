"""Proxies: copies of videos that browsers play, made on demand and kept within a limit of size.

Frame i of a proxy is frame i of the video, shown at the same time on the player's clock (`player_times.py`).
"""

import os
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from urbanpipe.errors import OutputError, UrbanpipeError, VideoError
from urbanpipe.outputs import whole_path
from urbanpipe.review.media.encoding import ProxyFormat, proxy_format, proxy_ticks, write_proxy
from urbanpipe.review.media.indices import IndexCache
from urbanpipe.review.media.jobs import Job, Report
from urbanpipe.video.index import Times
from urbanpipe.video.isolated import check_regular, index_frames

VERSION = 1  # increase it when the content of a proxy changes
MAX_FAILURES = 1000
ABANDONED_SECONDS = 600.0  # a temporary file that nobody wrote to for so long was left by a kill
TOLERANCE_SECONDS = 1e-3
DIGEST = re.compile(r"[0-9a-zA-Z]+")
ProxyStatus = Literal["absent", "making", "ready", "failed"]


@dataclass(frozen=True)
class ProxyState:
    """How far the proxy of a video is.

    Attributes:
        status: "absent", "making", "ready" or "failed".
        share: how much of it is made, from 0 to 1.
        reason: why it failed, on one line; otherwise "".
    """

    status: ProxyStatus
    share: float = 0.0
    reason: str = ""


class ProxyCache:
    """Proxies in a folder, by the content of their videos; safe to call from several threads.

    A proxy is complete or absent. All together take at most `max_bytes`, apart from the one that was asked for last;
    the least recently used are removed first.

    Args:
        folder: created with the first proxy.
        max_bytes: maximum total size of the proxies, > 0.
        indices: frame indices, which may be shared with others; None: its own.
        form: how proxies are stored; None: as this installation of PyAV can.
    """

    def __init__(
        self,
        folder: Path,
        max_bytes: int,
        *,
        indices: IndexCache | None = None,
        form: ProxyFormat | None = None,
    ) -> None:
        if max_bytes < 1:
            raise ValueError(f"max_bytes is {max_bytes}; it must be at least 1")
        self.folder, self.max_bytes = Path(folder), max_bytes
        self.form = form or proxy_format()
        self._indices = indices or IndexCache()
        self._lock = threading.Lock()
        self._jobs: OrderedDict[str, Job[Path]] = OrderedDict()
        _remove_abandoned(self.folder)

    def proxy(self, path: Path, digest: str) -> Path:
        """Return the proxy of a video; if there is none, make it, which takes a fraction of the video's length.

        Args:
            path: the video.
            digest: content address of the video (`VideoInfo.digest`).

        Raises:
            VideoError: the video cannot be read; a second call says so at once.
            OutputError: the proxy cannot be written.
        """
        try:
            made = self._job(path, digest).result()
        except CancelledError:
            raise OutputError(f"{path}: its proxy was not finished, because the program ends; open it again") from None
        with suppress(OSError):
            os.utime(made)  # used just now: removed last
        return made

    def start(self, path: Path, digest: str) -> ProxyState:
        """Start to make the proxy of a video if there is none and nobody does; return how far it is.

        Raises:
            VideoError: the file is missing, or not a regular file.
        """
        self._job(path, digest)
        return self.state(digest)

    def state(self, digest: str) -> ProxyState:
        """Return how far the proxy of a video is."""
        ready = self._place(digest).is_file()
        with self._lock:
            job = self._jobs.get(digest)
        if job is not None and not job.is_done:
            return ProxyState("making", job.share)
        if ready:
            return ProxyState("ready", 1.0)
        if job is None or job.error is None:
            return ProxyState("absent")
        return ProxyState("failed", job.share, _reason(job.error))

    def close(self) -> None:
        """Cancel the proxies that are being made, and wait for their ends."""
        with self._lock:
            running = [job for job in self._jobs.values() if not job.is_done]
        for job in running:
            job.cancel()
        for job in running:
            job.join(60.0)

    def _place(self, digest: str) -> Path:
        if not DIGEST.fullmatch(digest):
            raise ValueError(f"digest is {digest!r}; it must consist of letters and digits")
        return self.folder / f"{digest}-{VERSION}{self.form.suffix}"

    def _job(self, path: Path, digest: str) -> Job[Path]:
        path, place = Path(path), self._place(digest)
        with self._lock:
            job = self._jobs.get(digest)
            if job is None or _is_over(job, place):
                if not place.is_file():
                    check_regular(path)  # a missing file may come back, so that is not remembered
                job = Job(lambda report: self._made(path, place, report), name=f"proxy of {path.name}")
                self._jobs[digest] = job
            self._jobs.move_to_end(digest)
            for old in [key for key, other in self._jobs.items() if other.is_done][:-MAX_FAILURES]:
                del self._jobs[old]
            return job

    def _made(self, path: Path, place: Path, report: Report) -> Path:
        if place.is_file():
            return place
        index = self._indices.index(path)
        with whole_path(place) as temporary:
            written = write_proxy(index, temporary, form=self.form, report=report)
            shown = proxy_ticks(index, self.form.ticks_per_second)[written] / self.form.ticks_per_second
            _check(temporary, path, shown)
        with self._lock:
            self._make_room(place)
        return place

    def _make_room(self, keep: Path) -> None:
        """Remove proxies, least recently used first, until all fit; `keep` stays."""
        found = sorted((facts.st_mtime_ns, facts.st_size, one) for one, facts in _proxies(self.folder))
        total = sum(size for _, size, _ in found)
        for _, size, one in found:
            if total <= self.max_bytes:
                return
            if one != keep:
                with suppress(OSError):  # Windows does not remove open files
                    one.unlink()
                    total -= size


def _is_over(job: Job[Path], place: Path) -> bool:
    """Return whether a job must be done again: its proxy was removed, or why it failed may have passed."""
    if not job.is_done or isinstance(job.error, VideoError):
        return False
    return job.error is not None or not place.is_file()


def _reason(error: BaseException) -> str:
    if isinstance(error, CancelledError):
        return "it was not finished, because the program ends"
    return str(error) if isinstance(error, UrbanpipeError) else f"{type(error).__name__}: {error}"


def _check(proxy: Path, path: Path, shown_seconds: Times) -> None:
    """Check that a proxy has the frames that were written, each at its time.

    Raises:
        VideoError: it has not.
    """
    try:
        clock = index_frames(proxy).clock_seconds
    except VideoError as error:
        raise VideoError(path, f"its proxy {error.reason}") from error
    if clock.shape != shown_seconds.shape or np.abs(clock - shown_seconds).max() > TOLERANCE_SECONDS:
        raise VideoError(path, "its proxy would not show every frame at its time")


def _proxies(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for one in folder.glob("[!.]*-*.*"):
        with suppress(OSError):  # another process removed it
            yield one, one.stat()


def _remove_abandoned(folder: Path) -> None:
    """Remove the temporary files that a killed process left."""
    latest = time.time() - ABANDONED_SECONDS
    for one in folder.glob(".*-*.*"):
        with suppress(OSError):
            if one.stat().st_mtime < latest:
                one.unlink()
