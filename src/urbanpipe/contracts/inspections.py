"""Where inspections are read from: the output folder of `inspect`, or an archive, behind one interface."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Protocol

from urbanpipe.contracts.findings import (
    FAILURES,
    FINDINGS,
    Inspection,
    Timeline,
    inspection_folders,
    read_inspection,
    read_timeline,
)
from urbanpipe.contracts.names import shortened
from urbanpipe.csv_cells import read_rows
from urbanpipe.errors import InspectionError

FoundInspection = tuple[str, Inspection | InspectionError]
"""The key of an inspection, and the inspection without its timeline, or why it cannot be read."""


class FailedVideo(NamedTuple):
    """A video that could not be inspected: its name, and why."""

    name: str
    reason: str


class InspectionSource(Protocol):
    """Inspections by key: the name of the folder that holds the inspection, or would hold it."""

    location: str
    """Absolute path or address; the same source has the same one."""

    def versions(self) -> Mapping[str, str]:
        """Look for inspections; return what changes with the findings of each, by key, in order."""
        ...

    def __len__(self) -> int:
        """Return the number of inspections at the last look."""
        ...

    def version(self, key: str) -> str:
        """Return what changes with the findings of an inspection; empty where it is gone."""
        ...

    def read(self, keys: Iterable[str]) -> Iterator[FoundInspection]:
        """Yield inspections, in the order in which they are read fastest."""
        ...

    def in_order(self) -> Iterator[FoundInspection]:
        """Yield all inspections that were there at the last look, in order; can be called again."""
        ...

    def timeline(self, key: str) -> Timeline:
        """Return the scores over time of an inspection.

        Raises:
            InspectionError: there are none, or they are damaged.
        """
        ...

    def picture(self, key: str, name: str) -> bytes:
        """Return a picture of an inspection.

        Raises:
            InspectionError: there is none of this name.
        """
        ...

    def folder(self, key: str) -> Path | None:
        """Return the folder of an inspection; None if it lies in an archive."""
        ...

    def failures(self) -> list[FailedVideo]:
        """Return the videos that could not be inspected."""
        ...

    def notes(self) -> Iterator[str]:
        """Yield a line for each kind of videos that have no inspection, and for what is unfinished."""
        ...

    def close(self) -> None:
        """Remove temporary files."""
        ...


class FolderInspections:
    """The inspections in an output folder of `inspect`, or in one video's folder in it; see `InspectionSource`.

    Args:
        root: the folder.

    Raises:
        InspectionError: it holds no inspection.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.location = Path(root), str(Path(root).resolve())
        self._folders = _by_name(inspection_folders(self.root))

    def versions(self) -> Mapping[str, str]:
        """Look for inspections; see `InspectionSource`."""
        try:
            self._folders = _by_name(inspection_folders(self.root))
        except InspectionError:
            self._folders = {}
        return {key: self.version(key) for key in self._folders}

    def __len__(self) -> int:
        """Return the number of inspections; see `InspectionSource`."""
        return len(self._folders)

    def version(self, key: str) -> str:
        """Return the state of the findings; see `InspectionSource`."""
        try:
            stat = (self.folder(key) / FINDINGS).stat()
        except OSError:
            return ""
        return f"{stat.st_mtime_ns} {stat.st_ino} {stat.st_size}"

    def read(self, keys: Iterable[str]) -> Iterator[FoundInspection]:
        """Yield inspections; see `InspectionSource`."""
        for key in keys:
            try:
                yield key, read_inspection(self.folder(key))
            except InspectionError as error:
                yield key, error

    def in_order(self) -> Iterator[FoundInspection]:
        """Yield all inspections; see `InspectionSource`."""
        return self.read(self._folders)

    def timeline(self, key: str) -> Timeline:
        """Return the scores over time; see `InspectionSource`."""
        return read_timeline(self.folder(key))

    def picture(self, key: str, name: str) -> bytes:
        """Return a picture; one that lies elsewhere, behind a link, is none. See `InspectionSource`."""
        folder = self.folder(key)
        try:
            path = (folder / name).resolve()
            if path.is_relative_to(folder.resolve()):
                return path.read_bytes()
        except (OSError, ValueError):
            pass
        raise InspectionError(f"there is no picture {name} in {folder}")

    def folder(self, key: str) -> Path:
        """Return the folder of an inspection; see `InspectionSource`."""
        return self._folders.get(key) or self.root / key

    def failures(self) -> list[FailedVideo]:
        """Return the videos in `failures.csv`; see `InspectionSource`."""
        with suppress(OSError, ValueError):
            return [FailedVideo(*row) for row in read_rows(self.root / FAILURES, ["video", "reason"])]
        return []

    def notes(self) -> Iterator[str]:
        """Yield a line about the videos that could not be inspected; see `InspectionSource`."""
        if failed := [video.name for video in self.failures()]:
            yield f"left out, could not be read: {shortened(failed)}"

    def close(self) -> None:
        """Do nothing; there are no temporary files."""


def _by_name(folders: Iterable[Path]) -> dict[str, Path]:
    """Return folders by their names as text that can be stored: bytes that are no text are escaped."""
    return {folder.name.encode(errors="backslashreplace").decode(): folder for folder in folders}
