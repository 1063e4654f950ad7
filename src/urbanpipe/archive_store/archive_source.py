"""The inspections of an archive, read from its parts."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from urbanpipe.archive_store.merged import is_merged
from urbanpipe.archive_store.part_reading import Row, inspection_of, pictures_of, rows_of, timeline_of
from urbanpipe.archive_store.parts import PartSummary
from urbanpipe.archive_store.results import current_results, state_of
from urbanpipe.archive_store.storage import Storage, is_bucket
from urbanpipe.archive_store.text_spool import TextSpool
from urbanpipe.contracts.distinct_names import distinct_file_names
from urbanpipe.contracts.findings import Timeline
from urbanpipe.contracts.inspection_source import FailedVideo, FoundInspection
from urbanpipe.contracts.names import shortened
from urbanpipe.errors import ArchiveError, InspectionError, StorageError
from urbanpipe.progress import track

_ID_DIGITS = 16
_NAME_CHARACTERS = 40
_ROWS, _PACKED = 64, 4
"""How many rows, and pictures of how many videos, are kept in memory."""


class ArchiveInspections:
    """The inspected videos of an archive in the order of their addresses; see `InspectionSource`.

    Nothing is written but a temporary file, in which `in_order` keeps the compressed rows: parts are read in the order
    of ids. Methods but `in_order` are safe to call from several threads.

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
        self._storage, self._state = storage, ""
        self._spool: TextSpool | None = None
        self._row_in = lru_cache(_ROWS)(self._read_row)
        self._pictures = lru_cache(_PACKED)(self._read_pictures)
        if not self.versions():
            raise InspectionError(f"{storage.location} has no inspected video; {'; '.join(self.notes())}")

    def versions(self) -> Mapping[str, str]:
        """Look for results; see `InspectionSource`."""
        state = state_of(self._storage)
        if state != self._state:
            self.close()
            self._found = current_results(self._storage)
            self._part_named = {part.name: part for part in self._found.parts}
            table = self._found.manifest.table
            uris = dict(zip(table["id"].to_pylist(), table["uri"].to_pylist(), strict=True))
            self._uris = dict(sorted(uris.items(), key=lambda item: item[1]))
            self._versions = {
                key_of(uri, identifier): f"{self._found.part_of[identifier].name} {result.version}"
                for identifier, uri in self._uris.items()
                if (result := self._found.result_of.get(identifier)) and result.status == "ok"
            }
            self._failed = self._read_failures()
            self._state = state
        return self._versions

    def __len__(self) -> int:
        """Return the number of inspections; see `InspectionSource`."""
        return len(self._versions)

    def version(self, key: str) -> str:
        """Return part and version of a video; see `InspectionSource`."""
        return self._versions.get(key, "")

    def read(self, keys: Iterable[str]) -> Iterator[FoundInspection]:
        """Yield inspections, part by part; see `InspectionSource`."""
        for key, row in self._rows(keys):
            yield self._checked(key, row)

    def in_order(self) -> Iterator[FoundInspection]:
        """Yield all inspections; see `InspectionSource`."""
        if self._spool is None:
            self._spool = TextSpool()
            for key, row in track(self._rows(self._versions), len(self._versions), "reading the archive"):
                self._spool.add(key, json.dumps(row if isinstance(row, Mapping) else {"error": str(row)}))
        for key in self._versions:
            row = json.loads(self._spool.read(key))
            yield self._checked(key, InspectionError(row["error"]) if "error" in row else row)

    def timeline(self, key: str) -> Timeline:
        """Return the scores over time; see `InspectionSource`."""
        try:
            return timeline_of(self._storage, self._part(key), self._row(key))
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
        return [FailedVideo(name, f"{status}: {message}") for name, status, message in self._failed]

    def notes(self) -> Iterator[str]:
        """Yield a line per status other than `ok`, and for what is unfinished; see `InspectionSource`."""
        found, place = self._found, self._storage.location
        for kind in sorted({status for _, status, _ in self._failed}):
            yield f"left out, {kind}: {shortened([name for name, status, _ in self._failed if status == kind])}"
        if left := [uri for identifier, uri in self._uris.items() if identifier not in found.part_of]:
            yield f"left out, no result yet: {shortened(self._named(left))}; run `urbanpipe archive run {place}`"
        elif not is_merged(self._storage):
            yield f"not merged: `urbanpipe archive merge {place}` checks that every video has one result"
        if found.doubled:
            doubled = self._named([self._uris[identifier] for identifier in sorted(set(found.doubled))])
            yield f"two results in the same version, of which the later counts: {shortened(doubled)}"

    def close(self) -> None:
        """Remove the temporary file."""
        if self._spool is not None:
            self._spool.close()
        self._spool = None

    def _rows(self, keys: Iterable[str]) -> Iterator[tuple[str, Row | InspectionError]]:
        """Yield rows of videos in the order of parts, or why they cannot be read."""
        wanted: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for key in keys:
            if key in self._versions:
                wanted[self._part(key).name][_id_of(key)] = key
            else:
                yield key, InspectionError(f"{self.location} has no inspection {key}")
        for name in sorted(wanted):
            keys_by_id = wanted[name]
            try:
                rows = rows_of(self._storage, self._part_named[name], keys_by_id)
            except StorageError:
                raise
            except ArchiveError as error:
                yield from ((key, InspectionError(str(error))) for key in keys_by_id.values())
                continue
            yield from ((keys_by_id[row["id"]], row) for row in rows)

    def _checked(self, key: str, row: Row | InspectionError) -> FoundInspection:
        try:
            return key, row if isinstance(row, InspectionError) else inspection_of(row)
        except ArchiveError as error:
            return key, InspectionError(str(error))

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
        row = next((row for _, row in self._rows([key])), InspectionError(f"{self.location} has no inspection {key}"))
        if isinstance(row, InspectionError):
            raise row
        return row

    def _read_pictures(self, key: str, _version: str) -> dict[str, bytes]:
        row = self._row(key)
        return pictures_of(self._storage, self._part(key), row)

    def _part(self, key: str) -> PartSummary:
        part = self._found.part_of.get(_id_of(key))
        if part is None:
            raise InspectionError(f"{self.location} has no inspection {key}")
        return part

    def _read_failures(self) -> list[tuple[str, str, str]]:
        """Return name, status and message of the videos whose result is not `ok`."""
        failed = defaultdict(set)
        for identifier, result in self._found.result_of.items():
            if result.status != "ok":
                failed[self._found.part_of[identifier].name].add(identifier)
        rows = [
            row for name, ids in sorted(failed.items()) for row in rows_of(self._storage, self._part_named[name], ids)
        ]
        rows.sort(key=lambda row: str(row["uri"]))
        names = self._named([row["uri"] for row in rows])
        return [(name, row["status"], row["message"]) for name, row in zip(names, rows, strict=True)]

    def _named(self, uris: list[str]) -> list[str]:
        return distinct_file_names([(uri.rpartition("/")[2], uri) for uri in uris], uris)


def key_of(uri: str, identifier: str) -> str:
    """Return the key of a video: readable, safe as the name of a folder, and distinct.

    >>> key_of("s3://videos/contract 7/pipe:12.mp4", "00c0ffee00c0ffee")
    'pipe_12-00c0ffee00c0ffee'
    """
    stem = uri.rpartition("/")[2].rpartition(".")[0]
    readable = re.sub(r"[^\w.-]", "_", stem)[:_NAME_CHARACTERS]
    return f"{readable}-{identifier}"


def _id_of(key: str) -> str:
    return key[-_ID_DIGITS:]
