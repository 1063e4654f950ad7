"""The input of exports: inspections with unique video names, and one row per occurrence."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from urbanpipe.contracts.distinct_names import distinct_names
from urbanpipe.contracts.findings import (
    Evidence,
    Finding,
    Inspection,
    Occurrence,
    inspection_folders,
    read_inspection,
)
from urbanpipe.errors import InspectionError
from urbanpipe.progress import track
from urbanpipe.review_store.reviewed import Review, VideoDecisions


@dataclass(frozen=True)
class InspectionRecord:
    """An inspection and its folder.

    Attributes:
        name: name of the video; preceded by as much of its path as makes it unique among the inspections.
        folder: folder of the inspection.
        inspection: the inspection without its timeline, which no export needs.
        decisions: what people decided about it; None where no store was given.
    """

    name: str
    folder: Path
    inspection: Inspection
    decisions: VideoDecisions | None = None

    @property
    def shown(self) -> tuple[Finding, ...]:
        """Accepted findings and findings to review, including the exclusive class if it is accepted."""
        exclusive = self.inspection.exclusive
        normal = [one for one in self.inspection.findings if one.code == exclusive and one.triage == "accept"]
        return (*normal, *self.inspection.defects)


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
    def distance(self) -> Evidence | None:
        """The best of the frames whose on-screen distance was read as a number; None if there is none."""
        frames = self.occurrence.evidence if self.occurrence else ()
        return next((frame for frame in frames if frame.distance_metres is not None), None)

    @property
    def metres(self) -> float | None:
        """Distance from the start of the pipe: as a person gave it, else as it was read; None if there is none."""
        if self.review:
            return self.review.decision.distance_m
        metres = self.distance.distance_metres if self.distance else None
        return metres if metres is not None and metres >= 0 else None


def read_inspected(inspections: Path, failures: dict[str, str] | None = None) -> list[InspectionRecord]:
    """Read all inspections of an output folder of `inspect`, or of one video's folder in it, in order of the folders.

    Args:
        inspections: the folder.
        failures: takes the reasons of damaged inspections, by the name of their folder, unless all are damaged.

    Raises:
        InspectionError: there are no inspections, or one is damaged and there is no `failures`.
    """
    folders = inspection_folders(Path(inspections))
    read: dict[Path, Inspection] = {}
    for folder in track(folders, len(folders), "reading inspections"):
        try:
            read[folder] = read_inspection(folder)
        except InspectionError as error:
            if failures is None or (folder == folders[-1] and not read):
                raise
            failures[folder.name] = str(error)
    names = distinct_names([one.video for one in read.values()], list(read))
    return [InspectionRecord(*parts) for parts in zip(names, read, read.values(), strict=True)]


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
