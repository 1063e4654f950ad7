"""`inspect`: many videos to one folder of inspections; each video is stored as soon as it is done."""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from urbanpipe.archive.inspection_folders import InspectionFolders, folder_name
from urbanpipe.catalog.catalog_file import printable
from urbanpipe.contracts.findings import FINDINGS, TIMELINE, Finding, Inspection, read_inspection
from urbanpipe.errors import BusyError, CatalogError, InspectionError, PredictionError, VideoError
from urbanpipe.inference.options import InferenceOptions
from urbanpipe.inputs.new_videos import named_videos
from urbanpipe.inspection.inspector import Inspector, digest_of, placed
from urbanpipe.inspection.video_pass import Region
from urbanpipe.locks import file_lock
from urbanpipe.outputs import output_folder, write_csv
from urbanpipe.report.html import write_index, write_report
from urbanpipe.report.verdict import proposed, verdict
from urbanpipe.report.wording import sureness, wording

FAILURES = "failures.csv"


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
        """Errors, by name, of the videos that could not be inspected."""
        return {video.name: video.failure for video in self.videos if video.failure}


def inspect(
    videos: Sequence[Path],
    *,
    out: Path,
    bundle: Path | None = None,
    language: str = "en",
    distance_region: Region | None = None,
    options: InferenceOptions = InferenceOptions(),
    on_video: Callable[[InspectedVideo], None] = lambda _: None,
) -> Inspections:
    """Inspect videos and write a folder with findings, pictures and a report for each, and an index of all.

    The same call resumes an interrupted one: videos that the same bundle has inspected are not inspected again. An
    unreadable video is reported and skipped.

    Args:
        videos: files and folders.
        out: output folder with a folder per video, `index.html`, and `failures.csv` if videos were unreadable. It may
            be inside a folder of `videos`.
        bundle: folder of a bundle; None takes the demonstration bundle of the package.
        language: language of the reports: `en` or `zh`.
        distance_region: left, top, width and height, as shares of the picture, of the on-screen distance.
        options: device and batch size.
        on_video: called with each video as soon as it is done.

    Raises:
        CatalogError: there is no video.
        PredictionError: two different files have the same name.
        BundleError: the bundle is missing, damaged or of another kind.
        InspectionError: `out` holds inspections by another bundle, or the language is unknown.
        OutputError: a result cannot be written, which is checked before the work starts.
        OutOfMemoryError: the device is out of memory.
    """
    wording(language)  # fails for an unknown language before the work starts
    out = Path(out)
    paths = {printable(name): path for name, path in named_videos(videos).items() if not _is_inside(path, out)}
    if not paths:
        raise CatalogError(f"all videos are in {out}, which is for results; give another --out")
    inspector = Inspector.load(bundle, options.device, options.batch_size, distance_region)
    made = Inspections(out, demonstration=inspector.bundle.manifest.demonstration)
    output_folder(out)
    folders = InspectionFolders(out, inspector.bundle.digest, inspector.bundle.manifest.name)
    try:
        for video in _inspected_videos(inspector, paths, folders, language):
            made.videos.append(video)
            on_video(video)
    finally:  # an interrupted call leaves an index of the finished videos
        with file_lock(out / ".lock", busy=out, wait=True):
            failures = _kept_failures(out, made) | made.failures
            _write_failures(out, failures)
            write_index(folders.all(), out, language, failures, read=folders.read)
    return made


def _inspected_videos(
    inspector: Inspector, paths: dict[str, Path], folders: InspectionFolders, language: str
) -> Iterator[InspectedVideo]:
    """Yield each video once it is inspected; videos that another process is inspecting come last."""
    busy: dict[str, Path] = {}
    for name, path in paths.items():
        try:
            yield _one(inspector, name, path, folders=folders, language=language)
        except BusyError:
            busy[name] = path
    for name, path in busy.items():
        yield _one(inspector, name, path, folders=folders, language=language, wait=True)


def _one(
    inspector: Inspector,
    name: str,
    path: Path,
    *,
    folders: InspectionFolders,
    language: str,
    wait: bool = False,
) -> InspectedVideo:
    """Inspect a video, or reuse an earlier inspection.

    If the video cannot be read now, an earlier inspection is kept unless the content of the file has changed.

    Raises:
        BusyError: another process is inspecting the video, and `wait` is false.
    """
    try:
        content = digest_of(path)
    except VideoError as error:
        return InspectedVideo(name, folders.out / folder_name(name), error.reason)
    with folders.locked(name, path, content, wait=wait) as folder:
        before = _complete_inspection(folder, folders)
        reused = before is not None and _is_done(inspector, before, content)
        try:
            if before and reused:
                inspection = placed(before, path, folder)
            else:
                inspection = _inspected(inspector, path, content, folder, folders)
        except (VideoError, PredictionError) as error:  # a PredictionError if scores are NaN
            if before is None or before.video.digest != content:
                _clear(folder)
                folders.forget(folder)
            return InspectedVideo(name, folder, error.reason if isinstance(error, VideoError) else str(error))
        folders.add(folder, inspection)
        write_report(inspection, folder, language)
    return InspectedVideo(name, folder, reused=reused, summary=tuple(_summary(inspection)))


def _inspected(inspector: Inspector, path: Path, content: str, folder: Path, folders: InspectionFolders) -> Inspection:
    """Inspect a video into its folder."""
    inspected = inspector.inspect(path, digest=content)
    with folders.writing():
        _clear(folder)
        return inspected.write(folder)


def _complete_inspection(folder: Path, folders: InspectionFolders) -> Inspection | None:
    """Return the inspection that a folder holds, if all its files are there."""
    try:
        inspection = folders.read(folder)
    except InspectionError:
        return None
    occurrences = [occurrence for finding in inspection.findings for occurrence in finding.occurrences]
    shown = [evidence for occurrence in occurrences for evidence in occurrence.evidence]
    names = {name for evidence in shown for name in (evidence.picture, evidence.heat) if name}
    names |= {TIMELINE} if inspection.timed else set()
    return inspection if all((folder / name).is_file() for name in names) else None


def _is_done(inspector: Inspector, before: Inspection, content: str) -> bool:
    """Return whether the inspection is of the same content, by the same bundle and with the same region."""
    same = before.bundle.digest == inspector.bundle.digest and before.distance_region == inspector.distance_region
    return same and before.video.digest == content


def _clear(folder: Path) -> None:
    """Remove an inspection, the findings first: pictures of one video must not mix with findings of another.

    Files with other names are kept.
    """
    for pattern in (FINDINGS, TIMELINE, "report.html", "frame-[0-9]*.jpg", "class[0-9]*.heat.png"):
        for path in folder.glob(pattern):
            path.unlink()


def _is_inside(path: Path, out: Path) -> bool:
    return path.resolve().is_relative_to(out.resolve())


def _kept_failures(out: Path, made: Inspections) -> dict[str, str]:
    """Return the failures of earlier calls for videos that are not part of this call."""
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


def _summary(inspection: Inspection) -> Iterator[str]:
    """Yield the verdict, the remarks, and the defects without the unlikely ones."""
    yield verdict(inspection, wording("en")).text
    yield from (f"  ! {remark.text}" for remark in inspection.remarks)
    yield from (f"  {_line(finding, inspection.bundle.calibrated)}" for finding in proposed(inspection))


def _line(finding: Finding, calibrated: bool) -> str:
    times = ", ".join(f"{occurrence.seconds:.1f}" for occurrence in finding.occurrences)
    probability = sureness(finding.probability, calibrated)
    return f"{finding.triage} {finding.code} {finding.en}: {probability}" + (f" at {times} s" if times else "")
