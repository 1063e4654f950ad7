"""The videos of folders, files and buckets that an archive is planned from."""

import logging
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from urbanpipe.archive_store.object_storage import open_storage
from urbanpipe.archive_store.storage import is_bucket
from urbanpipe.catalog.catalog_file import printable
from urbanpipe.catalog.files import EXTENSIONS
from urbanpipe.errors import ArchiveError
from urbanpipe.locations import local_path

log = logging.getLogger(__name__)


class ListedVideo(NamedTuple):
    """A video as it was listed: uri, size in bytes, etag and time of the last change."""

    uri: str
    size: int
    etag: str
    modified: datetime


def listed_videos(source: str) -> Iterator[ListedVideo]:
    """Yield the videos of a folder and those below, of one file, or of a prefix of a bucket.

    Files without the extension of a video and hidden ones are skipped, except for a file that is given itself.

    Raises:
        ArchiveError: the source is missing, or is no folder, file or bucket.
        StorageError: a bucket cannot be listed.
    """
    if is_bucket(source):
        yield from _of_bucket(source)
        return
    path = Path(os.path.abspath(local_path(source)))  # noqa: PTH100 - a link keeps its path
    if path.is_dir():
        yield from _of_folder(path)
    elif path.is_file():
        yield from _of_file(path)
    else:
        raise ArchiveError(f"{source} is missing; give folders, files or addresses such as s3://bucket/prefix")


def file_etag(status: os.stat_result) -> str:
    """Return the etag of a local file: the time of its last change, alike on all machines that share a drive."""
    return f"{status.st_mtime_ns:x}"


def _of_bucket(source: str) -> Iterator[ListedVideo]:
    storage = open_storage(source)
    for found in storage.list():
        if _is_video(found.name):
            yield ListedVideo(f"{storage.location}/{found.name}", found.size, found.etag, found.modified)


def _of_folder(folder: Path) -> Iterator[ListedVideo]:
    visited: set[tuple[int, int]] = set()

    def warn(error: OSError) -> None:
        log.warning("%s cannot be opened (%s); its videos are left out", error.filename, error.strerror)

    for here, folders, names in os.walk(folder, followlinks=True, onerror=warn):
        status = Path(here).stat()
        if (status.st_dev, status.st_ino) in visited:
            folders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            if _is_video(name):
                yield from _of_file(Path(here, name))


def _of_file(path: Path) -> Iterator[ListedVideo]:
    uri = path.as_posix()
    if uri != printable(uri):
        log.warning("%s is left out: its name is not valid text; rename it", printable(uri))
        return
    try:
        status = path.stat()
    except OSError as error:  # it has just vanished, or is a link to nothing
        log.warning("%s is left out: %s", uri, error.strerror)
        return
    yield ListedVideo(uri, status.st_size, file_etag(status), datetime.fromtimestamp(status.st_mtime, UTC))


def _is_video(name: str) -> bool:
    base = name.rpartition("/")[2]
    return not base.startswith(".") and os.path.splitext(base)[1].lower() in EXTENSIONS  # noqa: PTH122 - of many names
