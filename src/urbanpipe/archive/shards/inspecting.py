"""One video of an archive: it is fetched, inspected, tried again where that may help, and always ends in an outcome."""

import logging
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Protocol

from urbanpipe.archive.shards.sources import file_etag
from urbanpipe.archive_store.archive_settings import ArchiveSettings
from urbanpipe.archive_store.manifest import PlannedVideo
from urbanpipe.archive_store.object_storage import open_storage
from urbanpipe.archive_store.outcomes import Status, VideoOutcome
from urbanpipe.archive_store.storage import Storage, is_bucket
from urbanpipe.catalog.catalog_file import printable
from urbanpipe.contracts.file_names import file_name
from urbanpipe.contracts.findings import Inspection
from urbanpipe.errors import MissingObjectError, OutOfMemoryError, OutputError, StorageError, VideoError

log = logging.getLogger(__name__)

RETRY_SECONDS = 2.0
_FREE_BYTES = 256 << 20
CHANGED = "it has changed since the plan; run `urbanpipe archive plan` again"


class InspectedVideo(Protocol):
    """What an inspector returns."""

    @property
    def inspection(self) -> Inspection:
        """The inspection, with its timeline."""
        ...

    @property
    def pictures(self) -> dict[str, bytes]:
        """Files of the evidence by name."""
        ...


class VideoInspector(Protocol):
    """Inspects videos; `urbanpipe.inspection.inspector.Inspector` does."""

    def inspect(self, video: Path) -> InspectedVideo:
        """Inspect a video.

        Raises:
            VideoError: it cannot be decoded.
        """
        ...


class InspectorSource(Protocol):
    """Where workers get their inspector from; it is sent to their processes."""

    def settings(self) -> ArchiveSettings:
        """Return what results depend on, without loading a network."""
        ...

    def load(self) -> VideoInspector:
        """Load the networks."""
        ...


class _Ended(NamedTuple):
    """Why an attempt gave no inspection."""

    status: Status
    stage: str
    kind: str
    message: str


class _RefusedError(Exception):
    """The video is not the one that was planned, or cannot be stored here."""


@dataclass(frozen=True)
class VideoWork:
    """How videos are inspected.

    Attributes:
        inspector: the inspector.
        retries: how often an error that may pass is tried again.
        retry_seconds: pause before the second attempt; it doubles with each.
    """

    inspector: VideoInspector
    retries: int = 2
    retry_seconds: float = RETRY_SECONDS

    def outcome(self, video: PlannedVideo) -> VideoOutcome:
        """Inspect a video; whatever goes wrong with it alone becomes its outcome.

        Raises:
            OutputError: the disk for temporary files is full.
        """
        started, attempt = time.monotonic(), 1
        while True:
            ended = self._attempt(video)
            if isinstance(ended, VideoOutcome):
                return replace(ended, attempts=attempt, seconds=time.monotonic() - started)
            if ended.status != "failed" or attempt > self.retries:
                return VideoOutcome(video, *ended, attempts=attempt, seconds=time.monotonic() - started)
            log.info("%s: %s; trying again", video.uri, ended.message)
            time.sleep(self.retry_seconds * 2 ** (attempt - 1))
            attempt += 1

    def _attempt(self, video: PlannedVideo) -> VideoOutcome | _Ended:
        stage = "read"
        try:
            with _local_file(video) as path:
                stage = "inspect"
                inspected = self.inspector.inspect(path)
                _check_unchanged(video, path)
        except MissingObjectError as error:
            return _Ended("missing", "read", "MissingObjectError", str(error))
        except _RefusedError as error:
            return _Ended("refused", "read", "refused", str(error))
        except VideoError as error:
            return _of_video_error(video, stage, error)
        except OutputError:
            raise
        except (StorageError, OutOfMemoryError, MemoryError) as error:
            return _Ended("failed", stage, type(error).__name__, _line(error))
        except Exception as error:  # a bug, or an error of the system: the other videos are inspected
            log.exception("%s: inspecting it failed", video.uri)
            return _Ended("failed", stage, type(error).__name__, _line(error))
        inspection = _placed(video, inspected.inspection)
        return VideoOutcome(video, "ok", inspection=inspection, pictures=inspected.pictures)


@contextmanager
def _local_file(video: PlannedVideo) -> Iterator[Path]:
    """Yield a local file with the content of a video: its own, or a copy that is removed afterwards."""
    if not is_bucket(video.uri):
        path = Path(video.uri)
        _check_unchanged(video, path)
        yield path
        return
    bucket, key = _bucket_and_key(video.uri)
    with tempfile.TemporaryDirectory(prefix="urbanpipe-", ignore_cleanup_errors=True) as folder:
        free = shutil.disk_usage(folder).free
        if video.size + _FREE_BYTES > free:
            raise _RefusedError(f"its {video.size:,} bytes do not fit into {folder} ({free:,} bytes free); set TMPDIR")
        path = Path(folder, file_name(PurePosixPath(key).name))
        if _opened(bucket).download(key, path) != video.etag:
            raise _RefusedError(CHANGED)
        yield path


def _check_unchanged(video: PlannedVideo, path: Path) -> None:
    if is_bucket(video.uri):
        return
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise MissingObjectError("no such file") from None
    except OSError as error:
        raise StorageError(f"cannot be read: {error.strerror}") from error
    if (status.st_size, file_etag(status)) != (video.size, video.etag):
        raise _RefusedError(CHANGED)


def _of_video_error(video: PlannedVideo, stage: str, error: VideoError) -> _Ended:
    if not is_bucket(video.uri) and not Path(video.uri).exists():
        return _Ended("missing", "read", "MissingObjectError", "no such file")
    return _Ended("damaged", stage, "VideoError", _line(error.reason))


def _placed(video: PlannedVideo, inspection: Inspection) -> Inspection:
    """Return the inspection with name and address of a video in a bucket instead of those of its temporary copy."""
    if not is_bucket(video.uri):
        return inspection
    there = {"name": printable(PurePosixPath(video.uri).name), "path": printable(video.uri), "relative": ""}
    return inspection.model_copy(update={"video": inspection.video.model_copy(update=there)})


def _bucket_and_key(uri: str) -> tuple[str, str]:
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    return f"{scheme}://{bucket}", key


@cache
def _opened(location: str) -> Storage:
    return open_storage(location)


def _line(error: object) -> str:
    return " ".join(str(error).split())[:500] or type(error).__name__
