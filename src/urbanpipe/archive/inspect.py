"""`inspect`: many videos to one folder of inspections; each video is stored as soon as it is done."""

import csv
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from urbanpipe.catalog.catalog_file import printable
from urbanpipe.contracts.findings import FINDINGS, TIMELINE, Finding, Inspection, inspection_folders, read_inspection
from urbanpipe.errors import CatalogError, InspectionError, PredictionError, RunError, VideoError
from urbanpipe.inference.options import InferenceOptions
from urbanpipe.inputs.new_videos import named_videos
from urbanpipe.inspection.inspector import Inspector, digest_of, placed
from urbanpipe.inspection.video_pass import Region
from urbanpipe.locks import file_lock
from urbanpipe.outputs import explained, output_folder, write_csv
from urbanpipe.report.html import write_index, write_report
from urbanpipe.report.wording import wording

FAILURES = "failures.csv"
LOCKS = ".locks"  # a lock per video, so that several processes can share a folder


@dataclass(frozen=True)
class InspectedVideo:
    """The outcome of `inspect` for one video.

    Attributes:
        name: name of the video among the given ones.
        folder: folder of its inspection.
        failure: why it could not be inspected; empty on success.
        reused: whether an earlier inspection by the same bundle was reused.
    """

    name: str
    folder: Path
    failure: str = ""
    reused: bool = False

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
        inspection, before = self.inspection, " (inspected before)" if self.reused else ""
        yield f"{self.name}{before}: {_summary(inspection)}"
        yield from (f"  ! {remark.text}" for remark in inspection.remarks)
        yield from (f"  {_line(finding)}" for finding in inspection.defects if not finding.unlikely)


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
    say: Callable[[InspectedVideo], None] = lambda _: None,
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
        say: called with each video as soon as it is done.

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
    shelf = _Shelf(out, inspector)
    try:
        for video in _inspected_videos(inspector, paths, shelf, language):
            made.videos.append(video)
            say(video)
    finally:  # an interrupted call leaves an index of the finished videos
        with file_lock(out / ".lock", busy=out, wait=True):
            failures = _kept_failures(out, made) | made.failures
            _write_failures(out, failures)
            write_index(inspection_folders_of(out), out, language, failures, read=shelf.read)
    return made


def _inspected_videos(
    inspector: Inspector, paths: dict[str, Path], shelf: "_Shelf", language: str
) -> Iterator[InspectedVideo]:
    """Yield each video once it is inspected; videos that another process is inspecting come last."""
    busy: dict[str, Path] = {}
    for name, path in paths.items():
        try:
            yield _one(inspector, name, path, shelf=shelf, language=language)
        except RunError:
            busy[name] = path
    for name, path in busy.items():
        yield _one(inspector, name, path, shelf=shelf, language=language, wait=True)


class _Shelf:
    """The inspections in an output folder.

    Args:
        out: the output folder.
        inspector: inspector whose bundle made all inspections of the folder.

    Raises:
        InspectionError: another bundle made an inspection; a folder holds inspections of one bundle only.
    """

    def __init__(self, out: Path, inspector: Inspector) -> None:
        self.out = out
        self._by_path: dict[str, Path] = {}
        self._by_digest: dict[str, list[tuple[Path, str]]] = {}
        self._taken: set[Path] = set()
        self._inspections: dict[Path, Inspection] = {}
        for folder in inspection_folders_of(out):
            try:
                inspection = read_inspection(folder)
            except InspectionError:
                continue
            _refuse_another(inspection, inspector, out)
            self.add(folder, inspection)

    def add(self, folder: Path, inspection: Inspection) -> None:
        """Register a new inspection."""
        video = inspection.video
        self._inspections[folder] = inspection.model_copy(update={"timeline": None})
        self._by_path[video.path] = folder
        self._by_digest.setdefault(video.digest, []).append((folder, video.path))
        self._taken.add(folder)

    def forget(self, folder: Path) -> None:
        """Unregister a removed inspection."""
        self._inspections.pop(folder, None)

    def read(self, folder: Path) -> Inspection:
        """Return the inspection in a folder, which is read only once.

        Raises:
            InspectionError: the inspection is missing or damaged.
        """
        if folder not in self._inspections:
            self.add(folder, read_inspection(folder))
        return self._inspections[folder]

    def folder(self, name: str, path: Path, content: str) -> Path:
        """Return the folder of a video's existing or future inspection.

        A file keeps its folder, even if other files have the same name by now; so does a file that was moved. A folder
        with the inspection of another file is left alone, whether that file still exists or not.

        Args:
            name: name of the video among the given ones.
            path: the video file.
            content: digest of the file.
        """
        here = printable(str(path.resolve()))
        if own := self._by_path.get(here):
            return own
        if moved := [folder for folder, old in self._by_digest.get(content, []) if not _is_file(Path(old))]:
            return moved[0]
        plain = self.out / folder_name(name)
        return self.out / f"{folder_name(name)}-{_short_hash(here)}" if plain in self._taken else plain


def _one(
    inspector: Inspector, name: str, path: Path, *, shelf: _Shelf, language: str, wait: bool = False
) -> InspectedVideo:
    """Inspect a video, or reuse an earlier inspection.

    If the video cannot be read now, an earlier inspection is kept unless the content of the file has changed.

    Raises:
        RunError: another process is inspecting the video, and `wait` is false.
    """
    try:
        content = digest_of(path)
    except VideoError as error:
        return InspectedVideo(name, shelf.out / folder_name(name), error.reason)
    folder = shelf.folder(name, path, content)
    with explained(locks := shelf.out / LOCKS):
        locks.mkdir(exist_ok=True)
    with file_lock(locks / f"{folder.name}.lock", busy=folder, wait=wait):
        before = _before(folder, shelf)
        reused = before is not None and _is_done(inspector, before, content)
        try:
            if before and reused:
                inspection = placed(before, path, folder)
            else:
                inspection = _inspected(inspector, path, content, folder)
        except (VideoError, PredictionError) as error:  # a PredictionError if scores are NaN
            if before is None or before.video.digest != content:
                _clear(folder)
                shelf.forget(folder)
            return InspectedVideo(name, folder, error.reason if isinstance(error, VideoError) else str(error))
        shelf.add(folder, inspection)
        write_report(inspection, folder, language)
    return InspectedVideo(name, folder, reused=reused)


def _inspected(inspector: Inspector, path: Path, content: str, folder: Path) -> Inspection:
    """Inspect a video into its folder."""
    inspected = inspector.inspect(path, digest=content)
    _clear(folder)
    return inspected.write(folder)


def _before(folder: Path, shelf: _Shelf) -> Inspection | None:
    """Return the inspection that a folder holds, if it is complete."""
    try:
        inspection = shelf.read(folder)
    except InspectionError:
        return None
    occurrences = [occurrence for finding in inspection.findings for occurrence in finding.occurrences]
    shown = [evidence for occurrence in occurrences for evidence in occurrence.evidence]
    names = {name for evidence in shown for name in (evidence.picture, evidence.heat) if name}
    names |= {TIMELINE} if inspection.timed else set()
    return inspection if all((folder / name).is_file() for name in names) else None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # for example an unavailable network share: the file may exist
        return True


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


def _refuse_another(inspection: Inspection, inspector: Inspector, out: Path) -> None:
    other = inspection.bundle
    if other.digest != inspector.bundle.digest:
        raise InspectionError(
            f"{out} holds inspections by another bundle ({other.name}, {other.taxonomy}), not by "
            f"{inspector.bundle.manifest.name}; give another --out"
        )


def inspection_folders_of(out: Path) -> list[Path]:
    """Return the folders of all inspections in an output folder; empty if there are none."""
    try:
        return inspection_folders(out)
    except InspectionError:
        return []


def _is_inside(path: Path, out: Path) -> bool:
    return path.resolve().is_relative_to(out.resolve())


def folder_name(name: str) -> str:
    """Return the folder name for a video: letters and digits of any language, `.`, `-` and `_`.

    If this changes the name, or the name has capitals, which some file systems do not distinguish, a short hash of the
    name is appended.
    """
    plain = re.sub(r"[^\w.-]+", "_", name).strip("._")[:80]
    return plain if plain == name == name.casefold() else f"{plain}-{_short_hash(name)}"


def _short_hash(name: str) -> str:
    return hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=4).hexdigest()


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


def _summary(inspection: Inspection) -> str:
    accepted = sum(finding.triage == "accept" for finding in inspection.defects)
    unlikely = sum(finding.unlikely for finding in inspection.defects)
    if not inspection.defects:
        return "no defects found"
    return f"{accepted} accepted, {len(inspection.defects) - accepted - unlikely} to review, {unlikely} unlikely"


def _line(finding: Finding) -> str:
    times = ", ".join(f"{occurrence.seconds:.1f}" for occurrence in finding.occurrences)
    triage = "accept" if finding.triage == "accept" else "review"
    return f"{triage} {finding.code} {finding.en}: {finding.probability:.0%}" + (f" at {times} s" if times else "")
