"""The input of exports: inspections with unique video names, and one row per occurrence."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from urbanpipe.contracts.findings import (
    Evidence,
    Finding,
    Inspection,
    Occurrence,
    inspection_folders,
    read_inspection,
)
from urbanpipe.contracts.names import canonical_name
from urbanpipe.progress import track


@dataclass(frozen=True)
class InspectionRecord:
    """An inspection and its folder.

    Attributes:
        name: name of the video; preceded by as much of its path as makes it unique among the inspections.
        folder: folder of the inspection.
        inspection: the inspection without its timeline, which no export needs.
    """

    name: str
    folder: Path
    inspection: Inspection

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
    """

    inspected: InspectionRecord
    finding: Finding
    occurrence: Occurrence | None

    @property
    def evidence(self) -> Evidence | None:
        """The frame that shows the occurrence best."""
        return self.occurrence.evidence[0] if self.occurrence and self.occurrence.evidence else None

    @property
    def distance(self) -> Evidence | None:
        """The best of the frames whose on-screen distance was read as a number; None if there is none."""
        frames = self.occurrence.evidence if self.occurrence else ()
        return next((frame for frame in frames if frame.distance_metres is not None), None)


def read_inspected(inspections: Path) -> list[InspectionRecord]:
    """Read all inspections of an output folder of `inspect`, or of one video's folder in it, in order of the folders.

    Raises:
        InspectionError: there are no inspections, or one is damaged.
    """
    folders = inspection_folders(Path(inspections))
    read = [read_inspection(folder) for folder in track(folders, len(folders), "reading inspections")]
    names = _names(read, folders)
    return [InspectionRecord(*parts) for parts in zip(names, folders, read, strict=True)]


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


def _names(inspections: Sequence[Inspection], folders: Sequence[Path]) -> list[str]:
    """Return the file name of each video; for equal names, the shortest ends of their paths that differ."""
    names = [canonical_name(one.video.name) for one in inspections]
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(names):
        groups[name].append(index)
    for name, members in groups.items():
        if len(members) > 1:
            parts = [re.split(r"[\\/]+", canonical_name(inspections[index].video.path)) for index in members]
            labels = _tails(parts) or [f"{name} [{folders[index].name}]" for index in members]
            for index, label in zip(members, labels, strict=True):
                names[index] = label
    return names


def _tails(paths: Sequence[Sequence[str]]) -> list[str] | None:
    """Return the shortest ends of paths that differ; None if a path occurs twice."""
    for depth in range(2, max(map(len, paths)) + 1):
        tails = ["/".join(path[-depth:]) for path in paths]
        if len(set(tails)) == len(tails):
            return tails
    return None
