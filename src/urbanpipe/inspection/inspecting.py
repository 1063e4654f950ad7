"""`inspect`: videos to a folder of inspections, one by one, each kept as soon as it is done."""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from urbanpipe.errors import CatalogError, InspectionError, VideoError
from urbanpipe.inspection.findings import FINDINGS, Finding, Inspection, inspection_folders, read_inspection
from urbanpipe.inspection.inspector import Inspector, placed
from urbanpipe.inspection.predict import named_videos
from urbanpipe.inspection.watching import Region
from urbanpipe.outputs import output_folder, write_csv
from urbanpipe.report.html import write_index, write_report
from urbanpipe.report.wording import wording
from urbanpipe.video.probe import digest

FAILURES = "failures.csv"


@dataclass(frozen=True)
class InspectedVideo:
    """A video that `inspect` is done with.

    Attributes:
        name: of the video among those given.
        folder: of its inspection.
        inspection: what was found; None where the video could not be read.
        failure: why not.
        reused: it had been inspected before, by the same bundle.
    """

    name: str
    folder: Path
    inspection: Inspection | None
    failure: str = ""
    reused: bool = False

    def lines(self) -> Iterator[str]:
        """What to print: the video, its remarks, and its defects."""
        if self.inspection is None:
            yield f"{self.name}: cannot be inspected: {self.failure}"
            return
        before = " (inspected before)" if self.reused else ""
        yield f"{self.name}{before}: {_summary(self.inspection)}"
        yield from (f"  ! {remark.text}" for remark in self.inspection.remarks)
        yield from (f"  {_line(finding)}" for finding in self.inspection.defects)


@dataclass
class Inspections:
    """What `inspect` made.

    Attributes:
        out: the folder.
        videos: in the order in which they were given.
        index: the page that links to all reports.
        demonstration: the bundle is not to be relied on.
    """

    out: Path
    videos: list[InspectedVideo] = field(default_factory=list)
    index: Path = Path()
    demonstration: bool = False

    @property
    def failures(self) -> dict[str, str]:
        """Reasons, by name, of the videos that could not be read."""
        return {video.name: video.failure for video in self.videos if video.inspection is None}


def inspect(
    videos: Sequence[Path],
    out: Path,
    bundle: Path | None = None,
    language: str = "en",
    distance_region: Region | None = None,
    device: str = "auto",
    batch_size: int = 8,
    say: Callable[[InspectedVideo], None] = lambda _: None,
) -> Inspections:
    """Inspect videos and write a folder with findings, pictures and a report for each, and an index of all.

    Interrupted, the same call goes on: what the same bundle has inspected is not done again. A bad video is named and
    skipped.

    Args:
        videos: files and folders.
        out: gets a folder a video, `index.html`, and `failures.csv` where videos were bad. It may lie in a folder of
            `videos`.
        bundle: folder of a bundle; None takes the demonstration that comes with the package.
        language: of the reports: `en` or `zh`.
        distance_region: left, top, width and height, in shares of the picture, of where it shows the distance.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        batch_size: pieces (super-images, frames, clips) at once.
        say: called with each video as soon as it is done.

    Raises:
        CatalogError: there is no video.
        BundleError: the bundle is missing, foreign or damaged.
        InspectionError: `out` holds inspections of another bundle, or a language that there is not.
        OutputError: a result cannot be written, which is tried before the work.
        OutOfMemoryError: of the device.
    """
    wording(language)  # a language that there is not is said before the work
    out = Path(out)
    found = {name: path for name, path in named_videos(videos).items() if not _is_inside(path, out)}
    if not found:
        raise CatalogError(f"all videos lie in {out}, which is for results; give another --out")
    inspector = Inspector.load(bundle, device, batch_size, distance_region)
    output_folder(out)
    _refuse_others(out, inspector)
    made = Inspections(out, demonstration=inspector.bundle.manifest.demonstration)
    for (name, path), folder in zip(found.items(), folder_names(list(found)), strict=True):
        video = _one(inspector, name, path, out / folder)
        if video.inspection:
            write_report(video.inspection, video.folder, language)
        made.videos.append(video)
        say(video)
    _write_failures(out, made.failures)
    made.index = write_index(inspection_folders_of(out), out, language, made.failures)
    return made


def _one(inspector: Inspector, name: str, path: Path, folder: Path) -> InspectedVideo:
    try:
        if before := _done(inspector, path, folder):
            return InspectedVideo(name, folder, placed(before, path, folder), reused=True)
        return InspectedVideo(name, folder, inspector.inspect(path).write(folder))
    except VideoError as error:
        return InspectedVideo(name, folder, None, error.reason)


def _done(inspector: Inspector, path: Path, folder: Path) -> Inspection | None:
    """The inspection of the same file by the same bundle, if it is there and whole."""
    if not (folder / FINDINGS).is_file():
        return None
    try:
        before = read_inspection(folder)
    except InspectionError:
        return None
    same_judge = before.bundle.digest == inspector.bundle.digest and before.distance_region == inspector.distance_region
    return before if same_judge and before.video.digest == digest(path) else None


def _refuse_others(out: Path, inspector: Inspector) -> None:
    """Refuse a folder with inspections of another bundle: one folder, one judge."""
    for folder in inspection_folders_of(out):
        try:
            other = read_inspection(folder).bundle
        except InspectionError:
            continue
        if other.digest != inspector.bundle.digest:
            mine = inspector.bundle.manifest.name
            raise InspectionError(
                f"{out} holds inspections by another bundle ({other.name}, {other.taxonomy}), not by {mine}; "
                "give another --out"
            )


def inspection_folders_of(out: Path) -> list[Path]:
    """The folders of all inspections in an output folder, also if there are none yet."""
    try:
        return inspection_folders(out)
    except InspectionError:
        return []


def _is_inside(path: Path, out: Path) -> bool:
    return path.resolve().is_relative_to(out.resolve())


def folder_names(names: Sequence[str]) -> list[str]:
    """A folder's name for each video, in any file system: letters and digits of any language, `.`, `-` and `_`.

    Where that changes a name, or two become alike in a file system that does not tell capitals, a short hash of the
    name is added.
    """
    plain = [re.sub(r"[^\w.-]+", "_", name).strip("._")[:80] for name in names]
    alike = [one.casefold() for one in plain]
    return [
        short if short == name and alike.count(short.casefold()) == 1 else f"{short}-{_short_hash(name)}"
        for short, name in zip(plain, names, strict=True)
    ]


def _short_hash(name: str) -> str:
    return hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=4).hexdigest()


def _write_failures(out: Path, failures: dict[str, str]) -> None:
    if failures:
        write_csv(out / FAILURES, ["video", "reason"], failures.items())
    else:
        (out / FAILURES).unlink(missing_ok=True)


def _summary(inspection: Inspection) -> str:
    accepted = sum(one.gate == "accept" for one in inspection.defects)
    look = len(inspection.defects) - accepted
    if not inspection.defects:
        return "no defect found"
    return f"{accepted} found, {look} to look at"


def _line(finding: Finding) -> str:
    times = ", ".join(f"{one.seconds:.1f}" for one in finding.sightings)
    gate = "found" if finding.gate == "accept" else "look "
    return f"{gate} {finding.code} {finding.en}: {finding.probability:.0%}" + (f" at {times} s" if times else "")
