"""The inspections of an archive, read from its parts."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from urbanpipe.archive_store.inspected_videos import ID_DIGITS, inspected_videos
from urbanpipe.archive_store.part_reading import Row, inspection_of, pictures_of, rows_of, timeline_of
from urbanpipe.archive_store.results import state_of
from urbanpipe.archive_store.storage import Storage, is_bucket
from urbanpipe.archive_store.text_spool import TextSpool
from urbanpipe.contracts.findings import Inspection, Timeline
from urbanpipe.contracts.inspections import FailedVideo, FoundInspection
from urbanpipe.errors import ArchiveError, InspectionError, StorageError
from urbanpipe.progress import track

_ROWS, _VIDEOS = 64, 4
"""How many rows, and pictures of how many videos, are kept in memory."""


class ArchiveInspections:
    """The inspected videos of an archive in the order of their addresses; see `InspectionSource`.

    Nothing is written but a temporary file, in which `in_order` keeps the compressed rows, as parts are in the order of
    ids. Methods other than `in_order` and `close` are safe to call from several threads.

    Args:
        storage: the archive.

    Raises:
        ArchiveError: the archive was never run, or a part is damaged.
        InspectionError: no video was inspected.
        StorageError: the archive cannot be read.
    """

    def __init__(self, storage: Storage) -> None:
        bucket = is_bucket(storage.location)
        self.location = storage.location if bucket else str(Path(storage.location).resolve())
        self._storage, self._state = storage, state_of(storage)
        self._videos = inspected_videos(storage)
        self._spool: TextSpool | None = None
        self._row_in = lru_cache(_ROWS)(self._read_row)
        self._pictures = lru_cache(_VIDEOS)(self._read_pictures)
        if not self._videos.versions:
            raise InspectionError(f"{storage.location} has no inspected video; {'; '.join(self.notes())}")

    def versions(self) -> Mapping[str, str]:
        """Look for results; see `InspectionSource`."""
        state = state_of(self._storage)
        if state != self._state:
            self.close()
            self._videos, self._state = inspected_videos(self._storage), state
        return self._videos.versions

    def __len__(self) -> int:
        """Return the number of inspections; see `InspectionSource`."""
        return len(self._videos.versions)

    def version(self, key: str) -> str:
        """Return part and version of a video; see `InspectionSource`."""
        return self._videos.versions.get(key, "")

    def read(self, keys: Iterable[str]) -> Iterator[FoundInspection]:
        """Yield inspections, part by part; see `InspectionSource`."""
        for key, row in self._rows(keys):
            yield key, _checked(row)

    def in_order(self) -> Iterator[FoundInspection]:
        """Yield all inspections; see `InspectionSource`."""
        keys = [*self._videos.versions]
        spool = self._spool = self._spool or self._spooled(keys)
        for key in keys:
            row = json.loads(spool.read(key))
            yield key, _checked(InspectionError(row["error"]) if "error" in row else row)

    def timeline(self, key: str) -> Timeline:
        """Return the scores over time; see `InspectionSource`."""
        row = self._row(key)
        try:
            return timeline_of(self._storage, self._videos.parts[row["part"]], row)
        except StorageError:
            raise
        except ArchiveError as error:
            raise InspectionError(str(error)) from None

    def picture(self, key: str, name: str) -> bytes:
        """Return a picture; see `InspectionSource`."""
        pictures = self._pictures(key, self.version(key))
        if name not in pictures:
            raise InspectionError(f"there is no picture {name} of {self._row(key)['uri']}")
        return pictures[name]

    def folder(self, key: str) -> Path | None:  # noqa: ARG002 - of the interface
        """Return None: there are no folders."""
        return None

    def failures(self) -> list[FailedVideo]:
        """Return the videos without an inspection, with status and message; see `InspectionSource`."""
        return [FailedVideo(item.name, f"{item.status}: {item.message}") for item in self._videos.failed]

    def notes(self) -> Iterator[str]:
        """Yield a line per status other than `ok`, and for what is unfinished; see `InspectionSource`."""
        return self._videos.notes(self._storage)

    def close(self) -> None:
        """Remove the temporary file."""
        if self._spool is not None:
            self._spool.close()
        self._spool = None

    def _spooled(self, keys: Collection[str]) -> TextSpool:
        """Return a temporary file with the rows of videos."""
        spool = TextSpool()
        try:
            for key, row in track(self._rows(keys), len(keys), "reading the archive"):
                spool.add(key, json.dumps({"error": str(row)} if isinstance(row, InspectionError) else row))
        except BaseException:
            spool.close()
            raise
        return spool

    def _rows(self, keys: Iterable[str]) -> Iterator[tuple[str, Row | InspectionError]]:
        """Yield rows of videos in the order of parts, or why they cannot be read."""
        videos = self._videos
        wanted: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for key in keys:
            part = videos.part_of(key) if key in videos.versions else None
            if part is None:
                yield key, self._absent(key)
            else:
                wanted[part.name][key[-ID_DIGITS:]] = key
        for name in sorted(wanted):
            keys_by_id = wanted[name]
            try:
                rows = rows_of(self._storage, videos.parts[name], keys_by_id)
            except StorageError:
                raise
            except ArchiveError as error:
                yield from ((key, InspectionError(str(error))) for key in keys_by_id.values())
            else:
                yield from ((keys_by_id[row["id"]], row) for row in rows)

    def _row(self, key: str) -> Row:
        """Return the row of a video.

        Raises:
            InspectionError: there is none, or it cannot be read.
        """
        if self._spool is not None and key in self._spool:
            row: Row = json.loads(self._spool.read(key))
            return row
        return self._row_in(key, self.version(key))

    def _read_row(self, key: str, _version: str) -> Row:
        row = next((row for _, row in self._rows([key])), self._absent(key))
        if isinstance(row, InspectionError):
            raise row
        return row

    def _read_pictures(self, key: str, _version: str) -> dict[str, bytes]:
        row = self._row(key)
        return pictures_of(self._storage, self._videos.parts[row["part"]], row)

    def _absent(self, key: str) -> InspectionError:
        return InspectionError(f"{self.location} has no inspection {key}")


def _checked(row: Row | InspectionError) -> Inspection | InspectionError:
    """Return the inspection of a row, or why there is none."""
    try:
        return row if isinstance(row, InspectionError) else inspection_of(row)
    except ArchiveError as error:
        return InspectionError(str(error))
