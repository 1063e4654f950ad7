"""Which content a video file has, known without reading it: its digest, stored with the state of the file.

Each inspection's folder holds `source.json` about the file that was inspected. A file in the same state has the same
content. Its state is its size, its modification time and its number in the file system. A file that was modified less
than `UNSURE_NS` before it was read may have been modified again at what its file system calls the same moment; it is
read again. A record that is missing or damaged costs one reading.
"""

import time
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from urbanpipe.errors import VideoError
from urbanpipe.outputs import write_text

SOURCE = "source.json"
UNSURE_NS = 2_000_000_000  # the coarsest modification times in use, those of FAT, have steps of two seconds
CHANGED = "it changed while it was read; run the same command again when it is complete"


class FileState(BaseModel):
    """What tells two versions of a file apart.

    Attributes:
        size_bytes: its size.
        modified_ns: its modification time, in nanoseconds.
        number: its inode or file index; 0 where the system has none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size_bytes: int
    modified_ns: int
    number: int

    @classmethod
    def of(cls, path: Path) -> Self:
        """Return the state of a file now.

        Raises:
            VideoError: the file cannot be found.
        """
        try:
            facts = path.stat()
        except (OSError, ValueError) as error:
            missing = isinstance(error, FileNotFoundError)
            reason = "no such file" if missing else f"cannot be read ({getattr(error, 'strerror', None) or error})"
            raise VideoError(path, reason) from None
        return cls(size_bytes=facts.st_size, modified_ns=facts.st_mtime_ns, number=facts.st_ino)


class KnownFile(BaseModel):
    """The digest of a file in a state.

    Attributes:
        state: state of the file before and after it was read.
        digest: content address of the file.
        read_ns: time at which reading it began, in nanoseconds since 1970.
        report: what determined the report beside this record, apart from the findings; empty if unknown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: FileState
    digest: str
    read_ns: int
    report: str = ""

    @property
    def is_sure(self) -> bool:
        """Whether every later modification changes the state."""
        return self.state.modified_ns < self.read_ns - UNSURE_NS


class Reading:
    """One reading of a file, from its start.

    Args:
        path: the file.

    Attributes:
        state: state of the file at the start.

    Raises:
        VideoError: the file cannot be found.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.read_ns = path, time.time_ns()
        self.state = FileState.of(path)

    def check(self) -> None:
        """Check that the file is as it was at the start.

        Raises:
            VideoError: it has changed, or is gone.
        """
        if FileState.of(self.path) != self.state:
            raise VideoError(self.path, CHANGED)

    def known(self, digest: str) -> KnownFile:
        """Return the record of the file that was read."""
        return KnownFile(state=self.state, digest=digest, read_ns=self.read_ns)


def read_known(folder: Path) -> KnownFile | None:
    """Return the record in the folder of an inspection; None if there is none, or it is damaged."""
    try:
        return KnownFile.model_validate_json((folder / SOURCE).read_bytes())
    except (OSError, ValidationError):
        return None


def write_known(folder: Path, known: KnownFile) -> None:
    """Write the record into the folder of an inspection.

    Raises:
        OutputError: it cannot be written.
    """
    write_text(folder / SOURCE, known.model_dump_json() + "\n")
