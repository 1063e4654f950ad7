"""Which videos of an archive have an inspection, which have none, and why."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from urbanpipe.archive_store.merged import is_merged
from urbanpipe.archive_store.part_reading import rows_of
from urbanpipe.archive_store.parts import PartSummary
from urbanpipe.archive_store.results import CurrentResults, current_results
from urbanpipe.archive_store.storage import Storage
from urbanpipe.contracts.distinct_names import distinct_file_names
from urbanpipe.contracts.file_names import without_device
from urbanpipe.contracts.names import shortened

ID_DIGITS = 16
_NAME_CHARACTERS = 40


@dataclass(frozen=True)
class FailedResult:
    """A video whose result is no inspection: its name, the status, and a line that says why."""

    name: str
    status: str
    message: str


@dataclass(frozen=True, eq=False)
class InspectedVideos:
    """The videos of an archive at one time.

    Attributes:
        found: the results.
        parts: all parts by name.
        uris: uris of all videos by id, in order of the uris.
        versions: part and version of each inspected video by its key, in order of the uris.
        failed: the videos whose result is no inspection, in order of the uris.
    """

    found: CurrentResults
    parts: Mapping[str, PartSummary]
    uris: Mapping[str, str]
    versions: Mapping[str, str]
    failed: Sequence[FailedResult]

    def part_of(self, key: str) -> PartSummary | None:
        """Return the part with the result of a video; None if it has none."""
        return self.found.part_of.get(key[-ID_DIGITS:])

    def notes(self, storage: Storage) -> Iterator[str]:
        """Yield a line per status other than `ok`, and for what is unfinished."""
        place = storage.location
        for status in sorted({item.status for item in self.failed}):
            yield f"left out, {status}: {shortened([item.name for item in self.failed if item.status == status])}"
        if left := [uri for identifier, uri in self.uris.items() if identifier not in self.found.part_of]:
            yield f"left out, no result yet: {shortened(_named(left))}; run `urbanpipe archive run {place}`"
        elif not is_merged(storage):
            yield f"not merged: `urbanpipe archive merge {place}` checks that every video has one result"
        if self.found.doubled:
            doubled = _named([self.uris[identifier] for identifier in sorted(set(self.found.doubled))])
            yield f"two results in the same version, of which the later counts: {shortened(doubled)}"


def inspected_videos(storage: Storage) -> InspectedVideos:
    """Look which videos of an archive were inspected.

    Raises:
        ArchiveError: the archive was never run, or a part is damaged.
        StorageError: the archive cannot be read.
    """
    found = current_results(storage)
    table = found.manifest.table
    rows = zip(table["id"].to_pylist(), table["uri"].to_pylist(), strict=True)
    uris: dict[str, str] = dict(sorted(rows, key=lambda row: str(row[1])))
    versions = {
        key_of(uri, identifier): f"{found.part_of[identifier].name} {result.version}"
        for identifier, uri in uris.items()
        if (result := found.result_of.get(identifier)) and result.status == "ok"
    }
    return InspectedVideos(found, {part.name: part for part in found.parts}, uris, versions, _failed(storage, found))


def key_of(uri: str, identifier: str) -> str:
    """Return the key of a video: readable, safe as the name of a folder, and distinct.

    >>> key_of("s3://videos/contract 7/pipe:12.mp4", "00c0ffee00c0ffee")
    'pipe_12-00c0ffee00c0ffee'
    """
    stem = uri.rpartition("/")[2].rpartition(".")[0]
    readable = re.sub(r"^\.|[^\w.-]", "_", stem)[:_NAME_CHARACTERS]
    return without_device(f"{readable}-{identifier}")


def _failed(storage: Storage, found: CurrentResults) -> list[FailedResult]:
    ids: defaultdict[str, set[str]] = defaultdict(set)
    for identifier, result in found.result_of.items():
        if result.status != "ok":
            ids[found.part_of[identifier].name].add(identifier)
    rows = [row for part in found.parts if part.name in ids for row in rows_of(storage, part, ids[part.name])]
    rows.sort(key=lambda row: str(row["uri"]))
    names = _named([row["uri"] for row in rows])
    return [FailedResult(name, row["status"], row["message"]) for name, row in zip(names, rows, strict=True)]


def _named(uris: Sequence[str]) -> list[str]:
    return distinct_file_names([(uri.rpartition("/")[2], uri) for uri in uris], uris)
