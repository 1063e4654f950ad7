"""Files of an inspection that a browser may get: its pictures, and the video if it is still the inspected one."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from urbanpipe.contracts.findings import Inspection
from urbanpipe.errors import VideoError
from urbanpipe.inspection.video_file import video_file
from urbanpipe.review.media.jobs import Job
from urbanpipe.video.isolated import digest

FileStatus = Literal["checking", "ok", "missing", "changed"]
MAX_CHECKS = 10_000


@dataclass(frozen=True)
class VideoFile:
    """The file of an inspected video.

    Attributes:
        status: `ok` if its contents are those that were inspected, `changed` if they are not, `missing` if there is no
            file, and `checking` while its contents are compared.
        path: the file; None if it is missing.
    """

    status: FileStatus
    path: Path | None = None


class VideoFiles:
    """Finds the files of inspected videos, and compares their contents with the inspected ones in the background."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._digests: dict[tuple[str, int, int], Job[str]] = {}

    def find(self, inspection: Inspection, folder: Path | None, *, wait: bool = False) -> VideoFile:
        """Return the file of a video: beside its inspection where it was then, or at its old path.

        Args:
            inspection: the inspection.
            folder: its folder; None if it lies in an archive.
            wait: whether to wait until the contents are compared.
        """
        path = video_file(inspection, folder)
        if path is None:
            return VideoFile("missing")
        job = self._job(path)
        if not (wait or job.is_done):
            return VideoFile("checking", path)
        try:
            same = job.result() == inspection.video.digest
        except VideoError:
            return VideoFile("missing")
        return VideoFile("ok" if same else "changed", path)

    def _job(self, path: Path) -> Job[str]:
        stat = path.stat()
        key = str(path), stat.st_size, stat.st_mtime_ns
        with self._lock:
            if len(self._digests) > MAX_CHECKS:
                self._digests.clear()
            if key not in self._digests:
                self._digests[key] = Job(lambda _: digest(path), name=f"digest of {path.name}")
            return self._digests[key]


def names_picture(inspection: Inspection, name: str) -> bool:
    """Return whether the findings of an inspection name a picture or a heat map; nothing else may be read."""
    evidence = (one for finding in inspection.findings for moment in finding.occurrences for one in moment.evidence)
    return any(name in (one.picture, one.heat) for one in evidence)
