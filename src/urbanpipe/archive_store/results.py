"""The results that count: of each video of the manifest, the last one in its present version."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from urbanpipe.archive_store.archive_settings import ArchiveSettings, read_settings
from urbanpipe.archive_store.manifest import Manifest, read_manifest
from urbanpipe.archive_store.outcomes import FINAL
from urbanpipe.archive_store.parts import PartSummary, Result, is_videos_file, read_summaries
from urbanpipe.archive_store.storage import Storage
from urbanpipe.errors import ArchiveError


@dataclass(frozen=True, eq=False)
class CurrentResults:
    """The results of an archive.

    Attributes:
        manifest: the videos.
        settings: bundle of the archive.
        parts: all parts, ordered by shard and number.
        part_of: part of the result of each video that has one, by its id.
        result_of: this result.
        doubled: ids of videos with several results of which the earlier was final already.
    """

    manifest: Manifest
    settings: ArchiveSettings
    parts: Sequence[PartSummary]
    part_of: dict[str, PartSummary]
    result_of: dict[str, Result]
    doubled: Sequence[str]

    @property
    def statuses(self) -> Counter[str]:
        """Number of videos by status."""
        return Counter(result.status for result in self.result_of.values())

    def ids_in(self, part: PartSummary) -> set[str]:
        """Return the ids of the videos whose result is in a part."""
        return {result.id for result in part.results if self.part_of.get(result.id) is part}


def state_of(storage: Storage) -> str:
    """Return a hash that changes with every plan and every part, from names of objects."""
    manifest, settings = read_manifest(storage), read_settings(storage)
    found = storage.list(settings.results) if settings else []
    names = sorted(item.name for item in found if is_videos_file(item.name))
    return hashlib.blake2b("\n".join([manifest.etag, *names]).encode(), digest_size=16).hexdigest()


def current_results(storage: Storage) -> CurrentResults:
    """Read which results an archive has.

    Raises:
        ArchiveError: the archive has no manifest or was never run, or a part is damaged.
        StorageError: it cannot be read.
    """
    manifest = read_manifest(storage)
    settings = read_settings(storage)
    if settings is None:
        raise ArchiveError(f"{storage.location} has no results yet; run `urbanpipe archive run {storage.location}`")
    parts = read_summaries(storage, settings.results)
    versions = manifest.versions()
    part_of: dict[str, PartSummary] = {}
    result_of: dict[str, Result] = {}
    doubled = []
    for part in parts:
        for result in part.results:
            if versions.get(result.id) != result.version:
                continue
            if result.id in result_of and result_of[result.id].status in FINAL:
                doubled.append(result.id)
            part_of[result.id], result_of[result.id] = part, result
    return CurrentResults(manifest, settings, parts, part_of, result_of, doubled)
