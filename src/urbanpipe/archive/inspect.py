"""`inspect`: many videos to one folder of inspections; each video is stored as soon as it is done."""

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from urbanpipe.archive.examined import Examined, ExaminedLater, examined, examined_ahead
from urbanpipe.archive.inspection_folders import InspectionFolders
from urbanpipe.archive.known_files import SOURCE, write_known
from urbanpipe.archive.lazy_inspector import LazyInspector
from urbanpipe.archive.pages import PageOptions, Pages
from urbanpipe.archive.results import InspectedVideo, Inspections, summary_lines
from urbanpipe.catalog.catalog_file import printable
from urbanpipe.contracts.distinct_names import distinct_file_names
from urbanpipe.contracts.file_names import folder_name
from urbanpipe.contracts.findings import FAILURES, FINDINGS, TIMELINE, Inspection
from urbanpipe.contracts.stored_inspection_data import STORED_DATA
from urbanpipe.csv_cells import read_rows
from urbanpipe.errors import (
    BundleError,
    BusyError,
    CatalogError,
    InspectionError,
    OutOfMemoryError,
    OutputError,
    PredictionError,
    VideoError,
)
from urbanpipe.inference.options import InferenceOptions
from urbanpipe.inputs.new_videos import named_videos
from urbanpipe.inspection.placing import is_placed, placed
from urbanpipe.inspection.region import DistanceRegion
from urbanpipe.locks import file_lock
from urbanpipe.outputs import is_out_of_space, output_folder, remove, write_csv
from urbanpipe.progress import track
from urbanpipe.report.html import write_index, write_report
from urbanpipe.report.index_rows import REPORT
from urbanpipe.report.wording import wording

log = logging.getLogger(__name__)

DIED = "skipped: the last run died while it inspected this video; run the same command once more to try it again"


def inspect(
    videos: Sequence[Path],
    *,
    out: Path,
    bundle: Path | None = None,
    distance_region: DistanceRegion | None = None,
    verify: bool = False,
    pages: PageOptions = PageOptions(),
    options: InferenceOptions = InferenceOptions(),
    on_video: Callable[[InspectedVideo], None] = lambda _: None,
) -> Inspections:
    """Inspect videos and write a folder with findings, pictures and a report for each, and an index of all.

    The same call resumes an interrupted one: videos that the same bundle has inspected are not inspected again, and not
    even read if their files are in the state in which they were (`urbanpipe.archive.known_files`). A video that cannot
    be read or inspected is reported and skipped; so is, once, the video at which the last call was killed.

    Args:
        videos: files and folders.
        out: output folder with a folder per video, `index.html`, and `failures.csv` if videos were unreadable. It may
            be inside a folder of `videos`.
        bundle: folder of a bundle; None takes the demonstration bundle of the package.
        distance_region: left, top, width and height, as shares of the picture, of the on-screen distance;
            `auto` looks for it in each video.
        verify: read and hash known videos too, in case that a file changed and kept its size, time and number.
        pages: language and inspection data of the reports and the index.
        options: device and batch size.
        on_video: called with each video as soon as it is done.

    Raises:
        CatalogError: there is no video.
        BundleError: the bundle is missing, damaged or of another kind.
        InspectionError: `out` holds inspections by another bundle, the language is unknown, or a source of inspection
            data cannot be read or fits no video.
        OutputError: results cannot be written, which is checked before the work starts.
        OutOfMemoryError: the device is out of memory.
    """
    wording(pages.language)  # fails for an unknown language before the work starts
    out = Path(out)
    paths = _shown_names({name: path for name, path in named_videos(videos).items() if not _is_inside(path, out)})
    if not paths:
        raise CatalogError(f"all videos are in {out}, which is for results; give another --out")
    shown = Pages.of(pages, paths)
    inspector = LazyInspector(bundle, options, distance_region)
    made = Inspections(out, demonstration=inspector.manifest.demonstration, unmatched=shown.unmatched)
    output_folder(out)
    folders = InspectionFolders(out, inspector.digest, inspector.manifest.name)
    try:
        for video in track(_inspected_videos(inspector, paths, folders, shown, verify), len(paths), "inspect"):
            made.videos.append(video)
            on_video(video)
    finally:  # an interrupted call leaves an index of the finished videos
        with file_lock(out / ".lock", busy=out, wait=True):
            failures = _kept_failures(out, made) | made.failures
            _write_failures(out, failures)
            write_index(folders.all(), out, pages.language, failures, read=folders.read)
            folders.name_reports()
    return made


def _shown_names(paths: dict[str, Path]) -> dict[str, Path]:
    """Return the videos by the names that the index gives them."""
    files = [(printable(path.name), printable(str(path.absolute()))) for path in paths.values()]
    return dict(zip(distinct_file_names(files, list(paths)), paths.values(), strict=True))


def _inspected_videos(
    inspector: LazyInspector, paths: dict[str, Path], folders: InspectionFolders, pages: Pages, verify: bool
) -> Iterator[InspectedVideo]:
    """Yield each video once it is inspected; videos that another process is inspecting come last."""
    busy: dict[str, ExaminedLater] = {}

    def examine(path: Path) -> Examined:
        return examined(path, folders.inspected(path), verify=verify)

    for name, video in examined_ahead(paths.items(), examine):
        try:
            yield _one_alone(inspector, name, video, folders=folders, pages=pages)
        except BusyError:
            busy[name] = video.without_index()
    for name, video in busy.items():
        yield _one_alone(inspector, name, video, folders=folders, pages=pages, wait=True)


def _one_alone(
    inspector: LazyInspector,
    name: str,
    video: ExaminedLater,
    *,
    folders: InspectionFolders,
    pages: Pages,
    wait: bool = False,
) -> InspectedVideo:
    """Inspect a video as `_one` does; what goes wrong with it alone becomes its failure.

    Raises:
        UrbanpipeError: the other videos could not be inspected either, or another process is inspecting this one.
    """
    try:
        return _one(inspector, name, video, folders=folders, pages=pages, wait=wait)
    except (BusyError, BundleError, InspectionError, OutOfMemoryError):
        raise
    except OutputError as error:
        output_folder(folders.out)  # fails if nothing can be written there
        if is_out_of_space(error):
            raise
        reason = str(error)
    except Exception as error:  # a bug: it is shown, and the other videos are inspected
        log.exception("%s: inspecting it failed", name)
        reason = " ".join(f"inspecting it failed: {type(error).__name__}: {error}".split())
    return InspectedVideo(name, folders.out / folder_name(name), reason)


def _one(
    inspector: LazyInspector,
    name: str,
    video: ExaminedLater,
    *,
    folders: InspectionFolders,
    pages: Pages,
    wait: bool = False,
) -> InspectedVideo:
    """Inspect a video, or reuse an earlier inspection.

    If the video cannot be read now, an earlier inspection is kept unless the content of the file has changed.

    Raises:
        BusyError: another process is inspecting the video, and `wait` is false.
    """
    try:
        source = video.result()
    except VideoError as error:
        return InspectedVideo(name, folders.out / folder_name(name), error.reason)
    content = source.known.digest
    with folders.locked(name, video.path, content, wait=wait) as folder:
        before = _complete_inspection(folder, folders)
        reused = before if before is not None and inspector.has_made(before, content) else None
        try:
            inspection = reused or _inspected(inspector, source, folder, folders)
        except (VideoError, PredictionError) as error:  # a PredictionError if scores are NaN
            if before is None or before.video.digest != content:
                _clear(folder)
                folders.forget(folder)
            return InspectedVideo(name, folder, error.reason if isinstance(error, VideoError) else str(error))
        is_current = reused is not None and is_placed(reused, video.path, folder)
        if reused and not is_current:
            inspection = placed(reused, video.path, folder)
        folders.add(folder, inspection)
        _complete(inspection, folder, source, pages, name, is_current=is_current)
    return InspectedVideo(name, folder, reused=reused is not None, summary=tuple(summary_lines(inspection)))


def _complete(
    inspection: Inspection, folder: Path, source: Examined, pages: Pages, name: str, *, is_current: bool
) -> None:
    """Write the report of an inspection, and what is known of its file, unless they are there already."""
    pages.store_data(folder, name)
    made_of = pages.made_of(folder, name)
    if not (is_current and source.known.report == made_of and (folder / REPORT).is_file()):
        write_report(inspection, folder, pages.language, name)
    elif not source.is_new:
        return
    write_known(folder, source.known.model_copy(update={"report": made_of}))


def _inspected(inspector: LazyInspector, source: Examined, folder: Path, folders: InspectionFolders) -> Inspection:
    """Inspect a video into its folder.

    Raises:
        VideoError: it cannot be read, it changed meanwhile, or the last process that inspected it died.
    """
    path = source.reading.path
    with folders.started(folder) as has_died_before:
        if has_died_before:
            raise VideoError(path, DIED)
        if source.failure:
            raise source.failure
        inspected = inspector.loaded.inspect(path, digest=source.known.digest, index=source.index)
        source.reading.check()
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
    try:
        return inspection if all((folder / name).is_file() for name in names) else None
    except OSError:  # a name in edited findings that no file can have
        return None


def _clear(folder: Path) -> None:
    """Remove an inspection, the findings first: pictures of one video must not mix with findings of another.

    Files with other names are kept.

    Raises:
        OutputError: a file cannot be removed.
    """
    for pattern in (FINDINGS, SOURCE, STORED_DATA, TIMELINE, "report.html", "frame-[0-9]*.jpg", "class[0-9]*.heat.png"):
        for path in folder.glob(pattern):
            remove(path)


def _is_inside(path: Path, out: Path) -> bool:
    return path.resolve().is_relative_to(out.resolve())


def _kept_failures(out: Path, made: Inspections) -> dict[str, str]:
    """Return the failures of earlier calls for videos that are not part of this call."""
    done = {video.name for video in made.videos}
    try:
        rows = read_rows(out / FAILURES, ["video", "reason"])
    except (OSError, ValueError):
        return {}
    return {video: reason for video, reason in rows if video not in done}


def _write_failures(out: Path, failures: dict[str, str]) -> None:
    if failures:
        write_csv(out / FAILURES, ["video", "reason"], failures.items())
    else:
        remove(out / FAILURES)
