"""`inspect`: videos to a folder of inspections, one by one, each kept as soon as it is done."""

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
    *,
    out: Path,
    bundle: Path | None = None,
    language: str = "en",
    distance_region: Region | None = None,
    options: InferenceOptions = InferenceOptions(),
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
        options: device, and segments (super-images, frames, clips) at once.
        say: called with each video as soon as it is done.

    Raises:
        CatalogError: there is no video.
        PredictionError: two different files are given under one name.
        BundleError: the bundle is missing, damaged or of another kind.
        InspectionError: `out` holds inspections of another bundle, or a language that there is not.
        OutputError: a result cannot be written, which is tried before the work.
        OutOfMemoryError: of the device.
    """
    wording(language)  # a language that there is not is said before the work
    out = Path(out)
    found = {printable(name): path for name, path in named_videos(videos).items() if not _is_inside(path, out)}
    if not found:
        raise CatalogError(f"all videos lie in {out}, which is for results; give another --out")
    inspector = Inspector.load(bundle, options.device, options.batch_size, distance_region)
    made = Inspections(out, demonstration=inspector.bundle.manifest.demonstration)
    output_folder(out)
    shelf = _Shelf(out, inspector)
    try:
        for video in _inspected_videos(inspector, found, shelf, language):
            made.videos.append(video)
            say(video)
    finally:  # an interrupted call leaves an index of what is done
        with file_lock(out / ".lock", busy=out, wait=True):
            failures = _kept_failures(out, made) | made.failures
            _write_failures(out, failures)
            write_index(inspection_folders_of(out), out, language, failures, read=shelf.read)
    return made


def _inspected_videos(
    inspector: Inspector, found: dict[str, Path], shelf: "_Shelf", language: str
) -> Iterator[InspectedVideo]:
    """Yield each video once it is inspected; those that another process inspects now come last."""
    busy: dict[str, Path] = {}
    for name, path in found.items():
        try:
            yield _one(inspector, name, path, shelf=shelf, language=language)
        except RunError:
            busy[name] = path
    for name, path in busy.items():
        yield _one(inspector, name, path, shelf=shelf, language=language, wait=True)


class _Shelf:
    """Which videos have an inspection in an output folder, and where.

    Args:
        out: the folder.
        inspector: whose bundle made all of them.

    Raises:
        InspectionError: another bundle made one: one folder, one judge.
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
        """Note an inspection that is there now."""
        video = inspection.video
        self._inspections[folder] = inspection.model_copy(update={"timeline": None})
        self._by_path[video.path] = folder
        self._by_digest.setdefault(video.digest, []).append((folder, video.path))
        self._taken.add(folder)

    def forget(self, folder: Path) -> None:
        """Note that an inspection is gone."""
        self._inspections.pop(folder, None)

    def read(self, folder: Path) -> Inspection:
        """Return the inspection in a folder, which is read once.

        Raises:
            InspectionError: there is none, or it is damaged.
        """
        if folder not in self._inspections:
            self.add(folder, read_inspection(folder))
        return self._inspections[folder]

    def folder(self, name: str, path: Path, content: str) -> Path:
        """Where a video's inspection is, or will be.

        A file keeps its folder, also where its name has since become one of several; so does a file that was moved. A
        folder with the inspection of another file is left alone, whether that file is still there or archived.

        Args:
            name: of the video among those given.
            path: its file.
            content: its digest.
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
    """Inspect a video, or take what was found before.

    Of one that cannot be read now, what was found before stays, unless it is known to be of other content.

    Raises:
        RunError: another process inspects it, and `wait` is false.
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
        except (VideoError, PredictionError) as error:  # the latter of networks whose scores are NaN
            if before is None or before.video.digest != content:
                _clear(folder)
                shelf.forget(folder)
            return InspectedVideo(name, folder, error.reason if isinstance(error, VideoError) else str(error))
        shelf.add(folder, inspection)
        write_report(inspection, folder, language)
    return InspectedVideo(name, folder, reused=reused)


def _inspected(inspector: Inspector, path: Path, content: str, folder: Path) -> Inspection:
    """Inspect a video into its folder."""
    found = inspector.inspect(path, digest=content)
    _clear(folder)
    return found.write(folder)


def _before(folder: Path, shelf: _Shelf) -> Inspection | None:
    """Return the inspection that a folder holds, if it is whole."""
    try:
        found = shelf.read(folder)
    except InspectionError:
        return None
    shown = [one for finding in found.findings for occurrence in finding.occurrences for one in occurrence.evidence]
    names = {name for one in shown for name in (one.picture, one.heat) if name} | ({TIMELINE} if found.timed else set())
    return found if all((folder / name).is_file() for name in names) else None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # of a share that is away, say: it may be there
        return True


def _is_done(inspector: Inspector, before: Inspection, content: str) -> bool:
    """Whether the inspection is of this very content by this very bundle."""
    same = before.bundle.digest == inspector.bundle.digest and before.distance_region == inspector.distance_region
    return same and before.video.digest == content


def _clear(folder: Path) -> None:
    """Remove an inspection, the findings first: pictures of one video must not stand beside findings of another.

    What is not an inspection's by its name stays, whoever put it there.
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
    accepted = sum(one.triage == "accept" for one in inspection.defects)
    unlikely = sum(one.unlikely for one in inspection.defects)
    if not inspection.defects:
        return "no defect found"
    return f"{accepted} found, {len(inspection.defects) - accepted - unlikely} to look at, {unlikely} unlikely"


def _line(finding: Finding) -> str:
    times = ", ".join(f"{one.seconds:.1f}" for one in finding.occurrences)
    triage = "found" if finding.triage == "accept" else "review"
    return f"{triage} {finding.code} {finding.en}: {finding.probability:.0%}" + (f" at {times} s" if times else "")
