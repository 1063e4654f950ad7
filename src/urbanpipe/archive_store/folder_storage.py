"""A folder as the storage of an archive."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from urbanpipe.archive_store.storage import StoredObject
from urbanpipe.errors import MissingObjectError, StorageError
from urbanpipe.locks import file_lock
from urbanpipe.outputs import explained, remove_quietly, whole_path
from urbanpipe.platform_support import retried

_LOCK = ".lock"
_NO_HARD_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EINVAL}  # Windows


class FolderStorage:
    """Files of a folder; see `Storage`. Hidden files, such as those that a killed writer has left, are no objects.

    Args:
        folder: the folder; it is created with its first file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.location = Path(folder), str(folder)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield the objects below a folder; see `Storage`."""
        for here, folders, names in os.walk(self.folder / prefix, onerror=_refuse_closed):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in names:
                path = Path(here, name)
                if not name.startswith(".") and (found := _stored(path, path.relative_to(self.folder).as_posix())):
                    yield found

    def read(self, name: str) -> tuple[bytes, str]:
        """Return content and etag; see `Storage`."""
        with _readable(self.folder / name) as path, path.open("rb") as file:
            return file.read(), etag_of(os.fstat(file.fileno()))

    def read_range(self, name: str, start: int, length: int) -> bytes:
        """Return some bytes; see `Storage`."""
        with _readable(self.folder / name) as path, path.open("rb") as file:
            file.seek(start)
            return file.read(length)

    def download(self, name: str, path: Path) -> str:
        """Copy an object to a file; see `Storage`."""
        with _readable(self.folder / name) as source, source.open("rb") as file:
            with explained(path), path.open("wb") as copy:
                shutil.copyfileobj(file, copy, 1 << 20)
            return etag_of(os.fstat(file.fileno()))

    def write(self, name: str, data: bytes | Path) -> None:
        """Write an object; see `Storage`."""
        with whole_path(self.folder / name) as temporary:
            if isinstance(data, Path):
                shutil.copyfile(data, temporary)
            else:
                temporary.write_bytes(data)

    def create(self, name: str, data: bytes) -> bool:
        """Write an object unless it exists; see `Storage`."""
        path = self.folder / name
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                Path(temporary).chmod(0o644)
                os.link(temporary, path)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in _NO_HARD_LINKS:
                    raise
                return self._create_locked(name, data)
            finally:
                remove_quietly(Path(temporary))
        return True

    def _create_locked(self, name: str, data: bytes) -> bool:
        with file_lock(self.folder / _LOCK, busy=self.folder, wait=True):
            if (self.folder / name).exists():
                return False
            self.write(name, data)
        return True

    def replace(self, name: str, data: bytes, etag: str) -> bool:
        """Write an object in place of a known one; see `Storage`."""
        path = self.folder / name
        if not path.exists():
            return False
        with file_lock(self.folder / _LOCK, busy=self.folder, wait=True):
            found = _stored(path, name)
            if found is None or found.etag != etag:
                return False
            self.write(name, data)
        return True

    def delete(self, name: str) -> None:
        """Delete an object; see `Storage`."""
        with explained(self.folder / name):
            retried(lambda: (self.folder / name).unlink(missing_ok=True))


def etag_of(status: os.stat_result) -> str:
    """Return an etag of a file that is only ever replaced as a whole."""
    return f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"


def _stored(path: Path, name: str) -> StoredObject | None:
    """Return a file as an object; None if it has been deleted."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return StoredObject(name, status.st_size, etag_of(status), datetime.fromtimestamp(status.st_mtime, UTC))


def _refuse_closed(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise StorageError(f"cannot read {error.filename}: {error.strerror}") from error


@contextmanager
def _readable(path: Path) -> Iterator[Path]:
    """Yield a path, and turn errors of reading it into a StorageError."""
    try:
        yield path
    except FileNotFoundError:
        raise MissingObjectError(f"{path} is missing") from None
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from error
