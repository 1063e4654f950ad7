"""The result of `inspect`: outcomes of the videos, and what is printed of them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from urbanpipe.contracts.findings import FAILURES, Finding, Inspection, read_inspection
from urbanpipe.report.verdict import proposed, verdict
from urbanpipe.report.wording import sureness, wording


@dataclass(frozen=True)
class InspectedVideo:
    """The outcome of `inspect` for one video.

    Attributes:
        name: name of the video among the given ones.
        folder: folder of its inspection.
        failure: why it could not be inspected; empty on success.
        reused: whether an earlier inspection by the same bundle was reused.
        summary: lines about its defects and remarks; empty on failure.
    """

    name: str
    folder: Path
    failure: str = ""
    reused: bool = False
    summary: tuple[str, ...] = ()

    @property
    def inspection(self) -> Inspection:
        """The inspection, read from the folder on every access to save memory.

        Raises:
            InspectionError: the video could not be inspected.
        """
        return read_inspection(self.folder)

    def lines(self) -> Iterator[str]:
        """Yield the lines to print: the video, its remarks, and its defects."""
        if self.failure:
            yield f"{self.name}: cannot be inspected: {self.failure}"
            return
        first, *others = self.summary
        yield f"{self.name}{' (inspected before)' if self.reused else ''}: {first}"
        yield from others


@dataclass
class Inspections:
    """The result of `inspect`.

    Attributes:
        out: the output folder.
        videos: outcomes, in the order in which the videos were processed.
        demonstration: whether the bundle is for demonstration only and must not be relied on.
        unmatched: names in the inspection data without a video.
    """

    out: Path
    videos: list[InspectedVideo] = field(default_factory=list)
    demonstration: bool = False
    unmatched: tuple[str, ...] = ()

    @property
    def index(self) -> Path:
        """The page that links to all reports."""
        return self.out / "index.html"

    @property
    def failures(self) -> dict[str, str]:
        """Errors, by name, of the videos that could not be inspected."""
        return {video.name: video.failure for video in self.videos if video.failure}

    @property
    def summary(self) -> str:
        """One line with the numbers of videos, such as `11 of 14 inspected, 3 could not be read: failures.csv`."""
        failed = len(self.failures)
        line = f"{len(self.videos) - failed} of {len(self.videos)} inspected"
        if before := sum(video.reused for video in self.videos):
            line += f" ({before} before)"
        return f"{line}, {failed} could not be read: {self.out / FAILURES}" if failed else line


def summary_lines(inspection: Inspection) -> Iterator[str]:
    """Yield the verdict, the region of the distance if it was found, the remarks, and the defects that are likely."""
    yield verdict(inspection, wording("en")).text
    if inspection.distance_region_search and inspection.distance_region:
        yield f"  distance read in {','.join(f'{share:g}' for share in inspection.distance_region)}"
    yield from (f"  ! {remark.text}" for remark in inspection.remarks)
    yield from (f"  {_line(finding, inspection.bundle.calibrated)}" for finding in proposed(inspection))


def _line(finding: Finding, calibrated: bool) -> str:
    times = ", ".join(f"{occurrence.seconds:.1f}" for occurrence in finding.occurrences)
    probability = sureness(finding.probability, calibrated)
    return f"{finding.triage} {finding.code} {finding.en}: {probability}" + (f" at {times} s" if times else "")
