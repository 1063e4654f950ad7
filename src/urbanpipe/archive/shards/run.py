"""`archive run`: inspects the videos of an archive, on one machine or several."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from urbanpipe.archive.shards.inspecting import InspectorSource
from urbanpipe.archive.shards.shard_run import ShardPlan, open_videos
from urbanpipe.archive.shards.workers import Found, LostShard, RunOptions, Workplace, outcomes_of_processes
from urbanpipe.archive_store.archive_settings import settle
from urbanpipe.archive_store.manifest import Manifest, read_manifest
from urbanpipe.archive_store.object_storage import open_storage
from urbanpipe.archive_store.outcomes import VideoOutcome
from urbanpipe.archive_store.parts import PartSummary, read_summaries
from urbanpipe.archive_store.storage import Storage
from urbanpipe.errors import ArchiveError
from urbanpipe.inference.options import InferenceOptions
from urbanpipe.inspection.region import DistanceRegion
from urbanpipe.progress import track

OnOutcome = Callable[[VideoOutcome], None]


@dataclass
class ArchiveRun:
    """The outcome of `archive run`.

    Attributes:
        archive: path or address.
        demonstration: whether the bundle must not be relied on.
        videos: number of videos in the shards of this run.
        before: how many of them had a result already.
        statuses: number of videos that this run has inspected, by status; one that was inspected again because its
            worker died or lost the shard counts each time.
        lost: shards that another worker has taken over.
    """

    archive: str
    demonstration: bool
    videos: int = 0
    before: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    lost: list[LostShard] = field(default_factory=list)


def archive_run(
    archive: str | Path,
    *,
    bundle: Path | None = None,
    distance_region: DistanceRegion | None = None,
    inference: InferenceOptions = InferenceOptions(),
    options: RunOptions = RunOptions(),
    on_outcome: OnOutcome = lambda _: None,
) -> ArchiveRun:
    """Inspect the videos of an archive that have no result yet.

    Several calls, on several machines, share the shards; the shard of one that has died is taken over by another. An
    interrupted call keeps what it has finished, and the same call resumes it.

    Args:
        archive: folder or prefix of the archive.
        bundle: folder of a bundle; None takes the demonstration bundle of the package.
        distance_region: left, top, width and height, as shares of the picture, of the on-screen distance;
            `auto` looks for it in each video.
        inference: device, batch size and runtime.
        options: share of the shards, retries, processes.
        on_outcome: called with each video.

    Raises:
        ArchiveError: there is no manifest, it is of another version, or the archive was begun with another bundle.
        BundleError: the bundle is missing or damaged.
        StorageError: the archive cannot be read or written.
        OutputError: a folder cannot be written, or its disk is full.
    """
    from urbanpipe.archive.shards.bundle_source import BundleSource  # imports the packages of inference

    source = BundleSource(bundle, inference, distance_region)
    return run_archive(archive, source, options=options, on_outcome=on_outcome)


def run_archive(
    archive: str | Path,
    source: InspectorSource,
    *,
    options: RunOptions = RunOptions(),
    on_outcome: OnOutcome = lambda _: None,
) -> ArchiveRun:
    """Inspect the videos of an archive, as `archive_run` does, with inspectors from any source."""
    storage = open_storage(str(archive))
    manifest = read_manifest(storage)
    settings = settle(storage, source.settings())
    plan = ShardPlan(settings.results, options.again, max_deaths=options.retries)
    todo, videos = _todo(storage, manifest, plan, options.shard)
    total = sum(todo.values())
    made = ArchiveRun(str(archive), settings.demonstration, videos, videos - total)
    workplace = Workplace(str(archive), source, plan, tuple(todo), options)
    with closing(_found(workplace, manifest, total)) as found:
        for outcome in track(_counted(found, made), total, "archive run"):
            on_outcome(outcome)
    return made


def _found(workplace: Workplace, manifest: Manifest, total: int) -> Found:
    """Return the outcomes of the workers that the options ask for."""
    options = workplace.options
    if options.ray is not None and total:
        try:
            from urbanpipe.archive.shards.ray_workers import outcomes_of_actors
        except ModuleNotFoundError as error:
            raise ArchiveError(f"--ray needs the package {error.name}; run `pip install 'urbanpipe[ray]'`") from error
        return outcomes_of_actors(workplace, options.ray)
    if options.workers > 1 and total > 1:
        return outcomes_of_processes(workplace)
    return workplace.outcomes(manifest)


def _todo(storage: Storage, manifest: Manifest, plan: ShardPlan, share: tuple[int, int]) -> tuple[dict[int, int], int]:
    """Return the number of open videos of each unfinished shard of this machine, and the number of all its videos."""
    index, count = share
    parts = defaultdict[int, list[PartSummary]](list)
    for part in read_summaries(storage, plan.results):
        parts[part.shard].append(part)
    sizes = {shard: size for shard, size in sorted(manifest.sizes().items()) if shard % count == index}
    left = {
        shard: len(open_videos(manifest.of_shard(shard), parts[shard], again=plan.again)) if parts[shard] else size
        for shard, size in sizes.items()
    }
    return {shard: size for shard, size in left.items() if size}, sum(sizes.values())


def _counted(found: Iterable[VideoOutcome | LostShard], made: ArchiveRun) -> Iterator[VideoOutcome]:
    """Yield the outcomes of videos, and count them and the shards that were lost."""
    for item in found:
        if isinstance(item, LostShard):
            made.lost.append(item)
        else:
            made.statuses[item.status] += 1
            yield item
