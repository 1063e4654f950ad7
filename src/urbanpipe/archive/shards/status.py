"""`archive status`: how far an archive is."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from urbanpipe.archive_store.archive_settings import read_settings
from urbanpipe.archive_store.manifest import read_manifest
from urbanpipe.archive_store.object_storage import open_storage
from urbanpipe.archive_store.results import current_results
from urbanpipe.progress import duration_text


@dataclass(frozen=True)
class ArchiveStatus:
    """How far an archive is.

    Attributes:
        archive: path or address.
        bundle: name of its bundle; empty before the first run.
        videos: number of videos in the manifest.
        statuses: number of videos with a result, by status.
        failures: number of videos by kind of error.
        shards_done: shards of which every video has a result.
        shards_running: shards with open videos that a worker has now.
        shards_open: the other shards with open videos.
        seconds_per_video: mean time of a video in a worker; None before the first.
    """

    archive: str
    bundle: str
    videos: int
    statuses: Mapping[str, int]
    failures: Mapping[str, int]
    shards_done: int
    shards_running: int
    shards_open: int
    seconds_per_video: float | None

    @property
    def open(self) -> int:
        """Number of videos without a result."""
        return self.videos - sum(self.statuses.values())

    @property
    def seconds_left(self) -> float | None:
        """Time left with the workers of now; None without workers or experience."""
        if not self.shards_running or self.seconds_per_video is None:
            return None
        return self.open * self.seconds_per_video / self.shards_running

    def lines(self) -> Iterator[str]:
        """Yield the lines to print."""
        counts = ", ".join(f"{count} {status}" for status, count in sorted(self.statuses.items()))
        yield f"{self.videos} videos: {counts + ', ' if counts else ''}{self.open} open"
        yield f"shards: {self.shards_done} done, {self.shards_running} running, {self.shards_open} open"
        if self.bundle:
            yield f"bundle: {self.bundle}"
        if self.seconds_per_video and self.shards_running:
            hourly = 3600 / self.seconds_per_video * self.shards_running
            workers = f"{self.shards_running} workers, {self.seconds_per_video:.1f} s each"
            yield f"speed: {hourly:.0f} videos per hour by {workers}"
        if self.open and self.seconds_left is not None:
            yield f"time left: {duration_text(self.seconds_left)}"
        yield from (f"  {count} x {kind}" for kind, count in sorted(self.failures.items(), key=lambda item: -item[1]))

    def as_json(self) -> dict[str, object]:
        """Return the same for machines."""
        return {
            **{name: value for name, value in vars(self).items() if not isinstance(value, Mapping)},
            "statuses": dict(self.statuses),
            "failures": dict(self.failures),
            "open": self.open,
            "seconds_left": self.seconds_left,
        }


def archive_status(archive: str | Path) -> ArchiveStatus:
    """Return how far an archive is, from names of objects and the metadata of parts.

    Raises:
        ArchiveError: there is no manifest, or a part is damaged.
        StorageError: the archive cannot be read.
    """
    storage = open_storage(str(archive))
    if read_settings(storage) is None:
        manifest = read_manifest(storage)
        return ArchiveStatus(str(archive), "", len(manifest), {}, {}, 0, 0, len(manifest.sizes()), None)
    found = current_results(storage)
    sizes = found.manifest.sizes()
    done_videos = Counter(part.shard for part in found.part_of.values())
    done = {shard for shard, size in sizes.items() if done_videos[shard] == size}
    matches = (re.fullmatch(r"leases/(\d+)\.json", item.name) for item in storage.list("leases"))
    running = {int(match[1]) for match in matches if match} & (sizes.keys() - done)
    inspected = sum(len(part.results) for part in found.parts)
    return ArchiveStatus(
        archive=str(archive),
        bundle=found.settings.bundle,
        videos=len(found.manifest),
        statuses=found.statuses,
        failures=Counter(item.kind for item in found.result_of.values() if item.kind),
        shards_done=len(done),
        shards_running=len(running),
        shards_open=len(sizes) - len(done) - len(running),
        seconds_per_video=sum(part.seconds for part in found.parts) / inspected if inspected else None,
    )
