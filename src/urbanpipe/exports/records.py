"""What exports are made of: inspections with names that tell videos apart, and one row a occurrence."""

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
    """An inspection and where it lies.

    Attributes:
        name: of the video; with so much of its path before it as tells it from others of its name.
        folder: of the inspection.
        inspection: without its timeline, which no export needs.
    """

    name: str
    folder: Path
    inspection: Inspection

    @property
    def shown(self) -> tuple[Finding, ...]:
        """Findings to accept or to look at, also that of "nothing wrong" where it is accepted."""
        exclusive = self.inspection.exclusive
        normal = [one for one in self.inspection.findings if one.code == exclusive and one.triage == "accept"]
        return (*normal, *self.inspection.defects)


@dataclass(frozen=True)
class RecordRow:
    """A occurrence of a finding, or a finding without any.

    Attributes:
        inspected: where.
        finding: what.
        occurrence: when; None where the networks see a video as one piece.
    """

    inspected: InspectionRecord
    finding: Finding
    occurrence: Occurrence | None

    @property
    def evidence(self) -> Evidence | None:
        """The frame that shows it best."""
        return self.occurrence.evidence[0] if self.occurrence and self.occurrence.evidence else None

    @property
    def distance(self) -> Evidence | None:
        """The best of its frames whose on-screen distance was read as a number, if any."""
        frames = self.occurrence.evidence if self.occurrence else ()
        return next((frame for frame in frames if frame.distance_metres is not None), None)


def read_inspected(inspections: Path) -> list[InspectionRecord]:
    """Read all inspections of an output folder of `inspect`, or one video's folder in it, in order of their folders.

    Raises:
        InspectionError: there are none, or one is damaged.
    """
    folders = inspection_folders(Path(inspections))
    read = [read_inspection(folder) for folder in track(folders, len(folders), "reading inspections")]
    names = _names(read, folders)
    return [InspectionRecord(*parts) for parts in zip(names, folders, read, strict=True)]


def rows_of(inspected: Iterable[InspectionRecord], unlikely: bool) -> Iterator[RecordRow]:
    """One row a occurrence of what is to be accepted or looked at, by time; one of a finding without occurrences.

    Args:
        inspected: the videos.
        unlikely: also what is to be looked at only because the bound on what may be missed asks for it.
    """
    for one in inspected:
        shown = [finding for finding in one.shown if unlikely or not finding.unlikely]
        rows = [
            RecordRow(one, finding, occurrence) for finding in shown for occurrence in finding.occurrences or (None,)
        ]
        yield from sorted(rows, key=lambda row: row.occurrence.seconds if row.occurrence else -1)


def _names(inspections: Sequence[Inspection], folders: Sequence[Path]) -> list[str]:
    """Each video's file name; of several with the same name the shortest ends of their paths that differ."""
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
    """Ends of paths that differ, as short as can be; None of the same path twice."""
    for depth in range(2, max(map(len, paths)) + 1):
        tails = ["/".join(path[-depth:]) for path in paths]
        if len(set(tails)) == len(tails):
            return tails
    return None
