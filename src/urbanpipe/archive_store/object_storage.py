"""A prefix of a bucket as the storage of an archive, through obstore."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import from_url

from urbanpipe.archive_store.folder_storage import FolderStorage
from urbanpipe.archive_store.storage import Storage, StoredObject, is_bucket
from urbanpipe.errors import MissingObjectError, StorageError
from urbanpipe.locations import is_address, local_path
from urbanpipe.outputs import explained, plain_text

RETRIES = 6
RETRY_SECONDS = 90
_CHUNK = 8 << 20
_CREDENTIALS = "set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION, and AWS_ENDPOINT_URL unless it is Amazon's"
_NO_CREDENTIALS = ("/latest/api/token", "/latest/meta-data", "Missing SecretAccessKey", "Missing AccessKeyId")
_THROTTLED = ("SlowDown", "TooManyRequests", "503 Service Unavailable", "429 Too Many")


def open_storage(location: str) -> Storage:
    """Return the storage at a path or at an `s3://`, `gs://` or `az://` address.

    Credentials and the endpoint of a bucket come from the environment, as for every tool of its provider.

    Raises:
        StorageError: the address is malformed, or credentials are.
    """
    if not is_bucket(location):
        if is_address(location):
            raise StorageError(f"{location} is neither a folder nor an address that begins with s3://, gs:// or az://")
        return FolderStorage(local_path(location))
    return ObjectStorage(location)


class ObjectStorage:
    """Objects below a prefix of a bucket; see `Storage`. Throttled and interrupted requests are repeated.

    Args:
        location: address such as `s3://bucket/prefix`.
    """

    def __init__(self, location: str) -> None:
        self.location = location.rstrip("/")
        with self._explained(""):
            try:
                self._store = from_url(
                    self.location,
                    client_options={"allow_http": True, "timeout": timedelta(minutes=10)},
                    retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(seconds=RETRY_SECONDS)},
                )
            except ValueError as error:
                raise StorageError(f"{self.location} is no address of a bucket: {_first_line(error)}") from None

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield the objects below a folder; see `Storage`."""
        with self._explained(prefix):
            for chunk in obstore.list(self._store, prefix or None, chunk_size=1000):
                for found in chunk:
                    yield StoredObject(found["path"], found["size"], _bare(found["e_tag"]), found["last_modified"])

    def read(self, name: str) -> tuple[bytes, str]:
        """Return content and etag; see `Storage`."""
        with self._explained(name):
            found = obstore.get(self._store, name)
            return bytes(found.bytes()), _bare(found.meta["e_tag"])

    def read_range(self, name: str, start: int, length: int) -> bytes:
        """Return some bytes; see `Storage`."""
        if length <= 0:
            return b""
        with self._explained(name):
            return bytes(obstore.get_range(self._store, name, start=start, length=length))

    def download(self, name: str, path: Path) -> str:
        """Copy an object to a file; see `Storage`."""
        with self._explained(name):
            found = obstore.get(self._store, name)
            with explained(path), path.open("wb") as file:
                for chunk in found.stream(min_chunk_size=_CHUNK):
                    file.write(chunk)
            return _bare(found.meta["e_tag"])

    def write(self, name: str, data: bytes | Path) -> None:
        """Write an object; see `Storage`."""
        with self._explained(name):
            obstore.put(self._store, name, data)

    def create(self, name: str, data: bytes) -> bool:
        """Write an object unless it exists; see `Storage`."""
        with self._explained(name):
            try:
                obstore.put(self._store, name, data, mode="create")
            except AlreadyExistsError:  # perhaps by this very request, if its first answer was lost
                return self.read(name)[0] == data
        return True

    def replace(self, name: str, data: bytes, etag: str) -> bool:
        """Write an object in place of a known one; see `Storage`."""
        with self._explained(name):
            try:
                obstore.put(self._store, name, data, mode={"e_tag": f'"{etag}"'})
            except (PreconditionError, FileNotFoundError):
                try:
                    return self.read(name)[0] == data
                except MissingObjectError:
                    return False
        return True

    def delete(self, name: str) -> None:
        """Delete an object; see `Storage`."""
        with self._explained(name):
            try:
                obstore.delete(self._store, name)
            except FileNotFoundError:
                return

    @contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        """Turn errors of the library into one line without addresses of requests and without credentials."""
        place = f"{self.location}/{name}".rstrip("/")
        started = time.monotonic()
        try:
            yield
        except BaseError as error:
            raise StorageError(f"cannot use {place}: {_reason(error, time.monotonic() - started)}") from None
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise StorageError(f"cannot use {place}: there is no such bucket") from None
            raise MissingObjectError(f"{place} is missing") from None
        except (OSError, TimeoutError) as error:
            raise StorageError(f"cannot use {place}: {_first_line(error)}") from None


def _reason(error: BaseError, seconds: float) -> str:
    text = str(error)
    if isinstance(error, PermissionDeniedError | UnauthenticatedError) or "InvalidAccessKey" in text:
        return f"the credentials are refused, or do not allow this; {_CREDENTIALS}"
    if "NoSuchBucket" in text:
        return "there is no such bucket"
    if "credential" in text.lower() or any(mark in text for mark in _NO_CREDENTIALS):
        return f"there are no credentials; {_CREDENTIALS}"
    if any(mark in text for mark in _THROTTLED):
        return f"the service is still throttling after {seconds:.0f} s; run fewer workers, or try again later"
    if "error sending request" in text or "onnection" in text or "dns" in text.lower():
        return "the service cannot be reached; check the network and AWS_ENDPOINT_URL"
    return _first_line(error)


def _first_line(error: Exception) -> str:
    """Return what an error says, without the address of the request, which may be signed, and without its details."""
    text = re.split(r"\n|Debug source|<\?xml", str(error))[0]
    return plain_text(re.sub(r"https?://\S+", "the service", text)).strip()[:200]


def _bare(etag: str | None) -> str:
    return (etag or "").strip('"')
