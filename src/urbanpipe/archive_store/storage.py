"""Where an archive lies: a folder or a prefix of a bucket, behind one interface."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

MANIFEST = "manifest.parquet"
"""The file that makes a folder or a prefix an archive."""
BUCKET_SCHEMES = ("s3://", "gs://", "az://")


@dataclass(frozen=True)
class StoredObject:
    """A file of a folder, or an object of a bucket.

    Attributes:
        name: path relative to the storage, with forward slashes.
        size: in bytes.
        etag: changes whenever the content is written anew.
        modified: time of the last change.
    """

    name: str
    size: int
    etag: str
    modified: datetime


class Storage(Protocol):
    """Objects by name. Each is written whole or not at all.

    Every method raises a `StorageError`, whose message never holds a credential, if the storage cannot be reached or
    refuses the request, and a `MissingObjectError` if the object to read does not exist.
    """

    location: str

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield the objects in the folder `prefix` and below, in no particular order; none if it does not exist."""
        ...

    def read(self, name: str) -> tuple[bytes, str]:
        """Return the content of an object and its etag."""
        ...

    def read_range(self, name: str, start: int, length: int) -> bytes:
        """Return `length` bytes from `start` on, fewer at the end of the object."""
        ...

    def download(self, name: str, path: Path) -> str:
        """Write the content of an object to a file, and return its etag."""
        ...

    def write(self, name: str, data: bytes | Path) -> None:
        """Write an object from bytes or from a file, in place of an earlier one."""
        ...

    def create(self, name: str, data: bytes) -> bool:
        """Write an object unless it exists; return whether it was written. Of several writers one succeeds."""
        ...

    def replace(self, name: str, data: bytes, etag: str) -> bool:
        """Write an object in place of the one with this etag; return whether it was there and was replaced."""
        ...

    def delete(self, name: str) -> None:
        """Delete an object if it exists."""
        ...


def is_bucket(location: str) -> bool:
    """Return whether a location is a bucket or a prefix of one, rather than a path."""
    return location.startswith(BUCKET_SCHEMES)
