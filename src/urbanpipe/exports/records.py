"""The input of exports: inspections with unique video names, and one row per occurrence."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from urbanpipe.archive_store.open_source import open_inspections
from urbanpipe.contracts.distinct_names import distinct_file_names, equal_contents
from urbanpipe.contracts.findings import Evidence, Finding, Inspection, Occurrence
from urbanpipe.contracts.inspections import InspectionSource
from urbanpipe.contracts.names import canonical_name, short_hash
from urbanpipe.errors import InspectionError
from urbanpipe.outputs import whole_file
from urbanpipe.progress import track
from urbanpipe.review_store.reviewed import Review, VideoDecisions, decisions_on
from urbanpipe.review_store.store import ReviewStore


@dataclass(frozen=True)
class InspectionRecord:
    """An inspection and its folder.

    Attributes:
        name: name of the video; preceded by as much of its path as makes it unique among the inspections.
        folder: folder of its pictures.
        inspection: the inspection without its timeline, which no export needs.
        decisions: what people decided about it; None where no store was given.
        read_picture: returns a picture that lies in an archive, by name; None where pictures lie in the folder.
        with_pictures: whether exports name pictures.
    """

    name: str
    folder: Path
    inspection: Inspection
    decisions: VideoDecisions | None = None
    read_picture: Callable[[str], bytes] | None = None
    with_pictures: bool = True

    @property
    def shown(self) -> tuple[Finding, ...]:
        """Accepted findings and findings to review, including the exclusive class if it is accepted."""
        exclusive = self.inspection.exclusive
        normal = [one for one in self.inspection.findings if one.code == exclusive and one.triage == "accept"]
        return (*normal, *self.inspection.defects)

    def picture(self, name: str | None) -> Path | None:
        """Return the file of a picture; one in an archive is copied to the folder. None without name or pictures.

        Raises:
            InspectionError: the archive has no such picture.
            ArchiveError: it cannot be read.
            OutputError: it cannot be written.
        """
        if not name or not self.with_pictures:
            return None
        path = self.folder / name
        if self.read_picture and not path.is_file():
            data = self.read_picture(name)
            with whole_file(path, "wb") as file:
                file.write(data)
        return path


@dataclass(frozen=True)
class RecordRow:
    """An occurrence of a finding, or a finding without occurrences.

    Attributes:
        inspected: the inspection.
        finding: the finding.
        occurrence: the occurrence; None if the networks process a video as one segment.
        review: what a person decided about it; None if nobody has.
    """

    inspected: InspectionRecord
    finding: Finding
    occurrence: Occurrence | None
    review: Review | None = None

    @property
    def evidence(self) -> Evidence | None:
        """The frame that shows the occurrence best."""
        return self.occurrence.evidence[0] if self.occurrence and self.occurrence.evidence else None

    @property
    def picture(self) -> Path | None:
        """File of this frame; see `InspectionRecord.picture`."""
        return self.inspected.picture(self.evidence.picture if self.evidence else None)

    @property
    def heat(self) -> Path | None:
        """File of its heat map; see `InspectionRecord.picture`."""
        return self.inspected.picture(self.evidence.heat if self.evidence else None)

    @property
    def distance(self) -> Evidence | None:
        """The best of the frames whose on-screen distance was read as a number; None if there is none."""
        frames = self.occurrence.evidence if self.occurrence else ()
        return next((frame for frame in frames if frame.distance_metres is not None), None)

    @property
    def metres(self) -> float | None:
        """Distance from the start of the inspection: as a person gave it, else as it was read, or None."""
        if self.review:
            return self.review.decision.distance_m
        metres = self.distance.distance_metres if self.distance else None
        return metres if metres is not None and metres >= 0 else None


@dataclass(frozen=True)
class _Video:
    """What is kept in memory of an inspection."""

    name: str
    path: str
    digest: str


class InspectionRecords:
    """The inspections of a source, in order, with distinct names.

    Each iteration reads them anew, so memory holds one at a time, and name, path and digest of each.

    Args:
        source: the inspections.
        store: decisions on them; None if there are none.
        pictures: where pictures of an archive are copied to, when they are asked for; None to name no pictures.
        failures: takes the reasons of damaged inspections, by key, unless all are damaged.

    Raises:
        InspectionError: an inspection is damaged and there is no `failures`, or all are damaged.
    """

    def __init__(
        self,
        source: InspectionSource,
        store: ReviewStore | None = None,
        *,
        pictures: Path | None = None,
        failures: dict[str, str] | None = None,
    ) -> None:
        self._source, self._store, self._pictures = source, store, pictures
        self.demonstration = False
        files: dict[str, tuple[str, str]] = {}
        digests = []
        reason = ""
        for key, found in track(source.in_order(), len(source), "reading inspections"):
            if isinstance(found, Inspection):
                files[key] = (found.video.name, found.video.path)
                digests.append(found.video.digest)
                self.demonstration |= found.bundle.demonstration
            elif failures is None:
                raise found
            else:
                failures[key] = reason = str(found)
        if not files:
            raise InspectionError(reason or f"{source.location} holds no inspection")
        again = [f"{canonical_name(name)} [{key}]" for key, (name, _) in files.items()]
        names = distinct_file_names([*files.values()], again)
        self._videos = {
            key: _Video(name, path, digest)
            for (key, (_, path)), name, digest in zip(files.items(), names, digests, strict=True)
        }

    def __len__(self) -> int:
        """Return the number of inspections."""
        return len(self._videos)

    def __iter__(self) -> Iterator[InspectionRecord]:
        """Yield the inspections."""
        for key, found in self._source.in_order():
            if key in self._videos and isinstance(found, Inspection):
                yield self._record(key, found)

    @property
    def names(self) -> list[str]:
        """Distinct names of the videos, in order."""
        return [video.name for video in self._videos.values()]

    @property
    def paths(self) -> dict[str, str]:
        """Paths of the videos by their names."""
        return {video.name: video.path for video in self._videos.values()}

    @property
    def with_decisions(self) -> bool:
        """Whether there is a store."""
        return self._store is not None

    def duplicates(self) -> tuple[tuple[str, ...], ...]:
        """Return the names of videos with equal contents, in groups."""
        names = self.names
        groups = equal_contents(video.digest for video in self._videos.values())
        return tuple(tuple(names[index] for index in indices) for indices in groups)

    def not_inspected(self) -> dict[str, str]:
        """Return the videos without an inspection, and why."""
        return {video.name: video.reason for video in self._source.failures()}

    def notes(self) -> Iterator[str]:
        """Yield a line for each kind of videos without an inspection, and one if the store is of other videos."""
        yield from self._source.notes()
        decided = self._store.statuses().keys() if self._store else ()
        if self._store and decided and not any(video.digest in decided for video in self._videos.values()):
            videos = f"{len(decided)} video{'' if len(decided) == 1 else 's'}"
            yield f"{self._store.path} has decisions on {videos} and on none of these; is it of other inspections?"

    def _record(self, key: str, inspection: Inspection) -> InspectionRecord:
        name, decisions = self._videos[key].name, None
        if self._store:
            decisions = decisions_on(self._store, inspection.video.digest)
        folder = self._source.folder(key)
        if folder is not None:
            return InspectionRecord(name, folder, inspection, decisions, with_pictures=self._pictures is not None)
        made = short_hash(f"{inspection.made_at} {inspection.bundle.digest} {inspection.video.digest}")
        return InspectionRecord(
            name,
            (self._pictures or Path()) / f"{key}-{made}",  # another inspection of the video may have other pictures
            inspection,
            decisions,
            read_picture=lambda picture: self._source.picture(key, picture),
            with_pictures=self._pictures is not None,
        )


@contextmanager
def opened_records(
    inspections: str | Path,
    *,
    store: Path | None = None,
    pictures: Path | None = None,
    failures: dict[str, str] | None = None,
) -> Iterator[InspectionRecords]:
    """Yield the inspections at a location while the block runs.

    Args:
        inspections: see `open_inspections`.
        store: decisions of `urbanpipe review`; those of this moment count, whatever people decide meanwhile.
        pictures: see `InspectionRecords`.
        failures: see `InspectionRecords`.

    Raises:
        InspectionError: there are no inspections, or one is damaged and there is no `failures`.
        ArchiveError: an archive cannot be read.
        ReviewError: the store cannot be read.
    """
    with ExitStack() as stack:
        decisions = None
        if store:
            decisions = ReviewStore(store, create=False)
            stack.callback(decisions.close)
            stack.enter_context(decisions.snapshot())
        source = open_inspections(inspections)
        stack.callback(source.close)
        yield InspectionRecords(source, decisions, pictures=pictures, failures=failures)


class RecordRows:
    """The rows of inspections in order, made anew on every iteration.

    Args:
        inspected: the inspections.
        of: makes the rows of one.

    Attributes:
        count: number of rows of the last iteration.
        reviewed: number of these that a person decided about.
        normal: number of these that say that a video is normal.
    """

    def __init__(
        self, inspected: Iterable[InspectionRecord], of: Callable[[InspectionRecord], Iterable[RecordRow]]
    ) -> None:
        self._inspected, self._of = inspected, of
        self.count = self.reviewed = self.normal = 0

    def by_video(self) -> Iterator[tuple[InspectionRecord, list[RecordRow]]]:
        """Yield each inspection and its rows."""
        self.count = self.reviewed = self.normal = 0
        for one in self._inspected:
            rows = list(self._of(one))
            self.count += len(rows)
            self.reviewed += sum(row.review is not None for row in rows)
            self.normal += sum(row.finding.code == one.inspection.exclusive for row in rows)
            yield one, rows

    def __iter__(self) -> Iterator[RecordRow]:
        """Yield the rows."""
        for _, rows in self.by_video():
            yield from rows


def rows_of(inspected: Iterable[InspectionRecord], unlikely: bool) -> Iterator[RecordRow]:
    """Yield one row per occurrence of accepted findings and findings to review, by time.

    A finding without occurrences has one row.

    Args:
        inspected: the inspections.
        unlikely: whether to include unlikely findings, which need review only because of the bound on missed defects.
    """
    for one in inspected:
        shown = [finding for finding in one.shown if unlikely or not finding.unlikely]
        rows = [
            RecordRow(one, finding, occurrence) for finding in shown for occurrence in finding.occurrences or (None,)
        ]
        yield from sorted(rows, key=lambda row: row.occurrence.seconds if row.occurrence else -1)
