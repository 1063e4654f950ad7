"""`inspect`: videos to a folder of inspections, one by one, each kept as soon as it is done."""

import csv
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from urbanpipe.catalog.table import printable
from urbanpipe.errors import CatalogError, InspectionError, PredictionError, VideoError
from urbanpipe.inspection.findings import FINDINGS, Finding, Inspection, inspection_folders, read_inspection
from urbanpipe.inspection.inspector import Inspector, digest_of, placed
from urbanpipe.inspection.predict import named_videos
from urbanpipe.inspection.watching import Region
from urbanpipe.outputs import write_csv
from urbanpipe.report.html import write_index, write_report
from urbanpipe.report.wording import wording
from urbanpipe.training.run import alone_in

FAILURES = "failures.csv"


@dataclass(frozen=True)
class InspectedVideo:
    """A video that `inspect` is done with.

    Attributes:
        name: of the video among those given.
        folder: of its inspection.
        failure: why it could not be inspected; empty where it was.
        reused: it had been inspected before, by the same bundle.
    """

    name: str
    folder: Path
    failure: str = ""
    reused: bool = False

    @property
    def inspection(self) -> Inspection:
        """What was found, read from the folder: of many videos nothing is held.

        Raises:
            InspectionError: it could not be inspected.
        """
        return read_inspection(self.folder)

    def lines(self) -> Iterator[str]:
        """What to print: the video, its remarks, and its defects."""
        if self.failure:
            yield f"{self.name}: cannot be inspected: {self.failure}"
            return
        inspection, before = self.inspection, " (inspected before)" if self.reused else ""
        yield f"{self.name}{before}: {_summary(inspection)}"
        yield from (f"  ! {remark.text}" for remark in inspection.remarks)
        yield from (f"  {_line(finding)}" for finding in inspection.defects if not finding.unlikely)


@dataclass
class Inspections:
    """What `inspect` made.

    Attributes:
        out: the folder.
        videos: in the order in which they were given.
        demonstration: the bundle is not to be relied on.
    """

    out: Path
    videos: list[InspectedVideo] = field(default_factory=list)
    demonstration: bool = False

    @property
    def index(self) -> Path:
        """The page that links to all reports."""
        return self.out / "index.html"

    @property
    def failures(self) -> dict[str, str]:
        """Reasons, by name, of the videos that could not be read."""
        return {video.name: video.failure for video in self.videos if video.failure}


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
        PredictionError: two different files are given under one name.
        BundleError: the bundle is missing, foreign or damaged.
        InspectionError: `out` holds inspections of another bundle, or a language that there is not.
        RunError: another process works in `out`.
        OutputError: a result cannot be written, which is tried before the work.
        OutOfMemoryError: of the device.
    """
    wording(language)  # a language that there is not is said before the work
    out = Path(out)
    found = {printable(name): path for name, path in named_videos(videos).items() if not _is_inside(path, out)}
    if not found:
        raise CatalogError(f"all videos lie in {out}, which is for results; give another --out")
    inspector = Inspector.load(bundle, device, batch_size, distance_region)
    made = Inspections(out, demonstration=inspector.bundle.manifest.demonstration)
    with alone_in(out):
        _refuse_others(out, inspector)
        try:
            for name, path in found.items():
                made.videos.append(_one(inspector, name, path, out, language))
                say(made.videos[-1])
        finally:  # an interrupted call leaves an index of what is done
            failures = _kept_failures(out, made) | made.failures
            _write_failures(out, failures)
            write_index(inspection_folders_of(out), out, language, failures)
    return made


def _one(inspector: Inspector, name: str, path: Path, out: Path, language: str) -> InspectedVideo:
    """Inspect a video, or take what was found before; a bad one leaves nothing but its reason."""
    folder = out / folder_name(name)
    try:
        if (before := _before(folder)) and _is_another(before, path):
            folder = out / f"{folder_name(name)}-{_short_hash(str(path.resolve()))}"
            before = _before(folder)
        if before and _is_done(inspector, before, path, folder):
            inspection, reused = placed(before, path, folder), True
        else:
            _clear(folder)
            inspection, reused = inspector.inspect(path).write(folder), False
    except VideoError as error:
        _clear(folder)
        return InspectedVideo(name, folder, error.reason)
    except PredictionError as error:  # networks that say nothing of it but NaN
        _clear(folder)
        return InspectedVideo(name, folder, str(error))
    write_report(inspection, folder, language)
    return InspectedVideo(name, folder, reused=reused)


def _before(folder: Path) -> Inspection | None:
    """The inspection that a folder holds, if it is whole."""
    try:
        found = read_inspection(folder)
    except InspectionError:
        return None
    shown = [one for finding in found.findings for sighting in finding.sightings for one in sighting.evidence]
    names = {name for one in shown for name in (one.picture, one.heat) if name}
    return found if all((folder / name).is_file() for name in names) else None


def _is_another(before: Inspection, path: Path) -> bool:
    """Whether the inspection is of another video of the same name, which is still there."""
    other = Path(before.video.path)
    return other.is_file() and other.resolve() != path.resolve() and digest_of(path) != before.video.digest


def _is_done(inspector: Inspector, before: Inspection, path: Path, folder: Path) -> bool:
    """Whether the inspection is of this very file by this very bundle."""
    same = before.bundle.digest == inspector.bundle.digest and before.distance_region == inspector.distance_region
    return same and folder.is_dir() and digest_of(path) == before.video.digest


def _clear(folder: Path) -> None:
    """Remove an inspection, the findings first: pictures of one video must not stand beside findings of another.

    What is not an inspection's by its name stays, whoever put it there.
    """
    for pattern in (FINDINGS, "report.html", "frame-[0-9]*.jpg", "class[0-9]*.heat.png"):
        for path in folder.glob(pattern):
            path.unlink()


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


def folder_name(name: str) -> str:
    """A folder's name for a video: letters and digits of any language, `.`, `-` and `_`.

    Where that changes the name, or it has capitals, which some file systems do not tell apart, a short hash of the name
    is added.
    """
    plain = re.sub(r"[^\w.-]+", "_", name).strip("._")[:80]
    return plain if plain == name == name.casefold() else f"{plain}-{_short_hash(name)}"


def _short_hash(name: str) -> str:
    return hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=4).hexdigest()


def _kept_failures(out: Path, made: Inspections) -> dict[str, str]:
    """Failures of earlier calls, of videos that this one had nothing to do with."""
    done = {video.name for video in made.videos}
    try:
        with (out / FAILURES).open(encoding="utf-8", newline="") as file:
            return {row["video"]: row["reason"] for row in csv.DictReader(file) if row["video"] not in done}
    except (OSError, UnicodeDecodeError, KeyError):
        return {}


def _write_failures(out: Path, failures: dict[str, str]) -> None:
    if failures:
        write_csv(out / FAILURES, ["video", "reason"], failures.items())
    else:
        (out / FAILURES).unlink(missing_ok=True)


def _summary(inspection: Inspection) -> str:
    accepted = sum(one.gate == "accept" for one in inspection.defects)
    unlikely = sum(one.unlikely for one in inspection.defects)
    if not inspection.defects:
        return "no defect found"
    return f"{accepted} found, {len(inspection.defects) - accepted - unlikely} to look at, {unlikely} unlikely"


def _line(finding: Finding) -> str:
    times = ", ".join(f"{one.seconds:.1f}" for one in finding.sightings)
    gate = "found" if finding.gate == "accept" else "look "
    return f"{gate} {finding.code} {finding.en}: {finding.probability:.0%}" + (f" at {times} s" if times else "")
