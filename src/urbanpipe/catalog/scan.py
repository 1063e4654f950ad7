"""Scan: a folder of videos becomes a catalog, in parallel, and again without reading what has not changed."""

import os
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from urbanpipe.catalog.catalog_file import Catalog, Video, read_catalog, write_catalog
from urbanpipe.catalog.files import find_videos, match_labels, video_groups, video_names
from urbanpipe.catalog.labels import Labels, read_labels
from urbanpipe.catalog.probe_cache import read_videos
from urbanpipe.errors import OutputError
from urbanpipe.outputs import output_folder, write_csv
from urbanpipe.taxonomy import Taxonomy, load_taxonomy


@dataclass(frozen=True)
class ScanReport:
    """A catalog and what came up while it was made.

    Attributes:
        catalog: all videos.
        reused: videos that an earlier scan had read and that have not changed since.
        left_out: number of files of each extension that is not a video's.
        closed: folders that cannot be read.
        without_file: names in the label file that no file has.
        without_labels: videos that the label file does not name; empty where no label file was given.
        lost: rows of the catalog from before, with labels or a user's columns, whose videos are no longer there.
        unmatched: the CSV that lists both, or None where no label file was given.
    """

    catalog: Catalog
    reused: int
    left_out: Counter[str]
    closed: list[str]
    without_file: list[str]
    without_labels: list[str]
    lost: list[str]
    unmatched: Path | None


def scan(
    videos: Path, out: Path, labels: Path | None = None, taxonomy: Path | None = None, workers: int | None = None
) -> Catalog:
    """Read every video below a folder and write the catalog: one row a video, with its reason where it cannot be used.

    Videos that `out` has already, with the same size and time of modification, are not read again; a scan that was
    interrupted goes on where it was. Labels and columns that `out` has and this call does not give are kept, also of
    videos that were moved: those are known by their content alone, as cameras give the same names again.

    Args:
        videos: the folder, searched with all folders below it.
        out: the CSV to write.
        labels: a label file in any form; what it and the folder do not share is listed in `<out>-unmatched.csv`.
        taxonomy: a TOML file of classes; by default those of QV-Pipe.
        workers: processes that read videos; by default one a processor.

    Raises:
        CatalogError: the folder is missing or has no videos, or `out` is there and is not a catalog.
        LabelError, TaxonomyError: an input that cannot be read, or a label that may mean several files.
        OutputError: `out` cannot be written.
    """
    return scan_report(videos, out, labels, taxonomy, workers).catalog


def scan_report(
    videos: Path, out: Path, labels: Path | None = None, taxonomy: Path | None = None, workers: int | None = None
) -> ScanReport:
    """Like `scan`, but returns all that came up as well."""
    out, classes = Path(out), load_taxonomy(taxonomy)
    before = _earlier(out, classes)
    given = None if labels is None else read_labels(labels, classes)
    found = find_videos(Path(videos))
    names = video_names(list(found.paths))
    matched, without_file = ({}, []) if given is None else match_labels(given, names, f"{labels} for {videos}")
    progress = out.with_name(f".{out.name}.progress")
    read, reused = read_videos(found.paths, before, progress, workers or os.cpu_count() or 1)
    old = _earlier_rows(read, names, before)
    rows = _rows(read, names, old, None if given is None else matched)
    catalog = Catalog(tuple(rows), classes)
    unlabelled = [] if given is None else [video.name for video in rows if video.labels is None]
    unmatched = None if given is None else _write_unmatched(out, without_file, unlabelled)
    write_catalog(catalog, out)
    progress.unlink(missing_ok=True)
    taken = {id(video) for video in old.values()}
    lost = [video.name for video in before if id(video) not in taken and (video.labels is not None or video.extra)]
    return ScanReport(catalog, reused, found.left_out, found.closed, without_file, unlabelled, lost, unmatched)


def _earlier(out: Path, taxonomy: Taxonomy) -> tuple[Video, ...]:
    """The rows that `out` has already, once it is sure that it can be written."""
    output_folder(out.parent)
    if out.is_dir():
        raise OutputError(f"cannot write {out}: it is a folder; give the name of a CSV file")
    return read_catalog(out, taxonomy).videos if out.exists() else ()


def _earlier_rows(read: dict[str, Video], names: dict[str, str], before: tuple[Video, ...]) -> dict[str, Video]:
    """The row from before of each video, by relative path: of the same file, else of one that was moved.

    A name tells nothing of a file in another place, unless the row is one that knows no content.
    """
    by_path = {video.path: video for video in before}
    here = {video.path for video in read.values()}
    gone = [video for video in before if video.path not in here]
    by_digest = {video.digest: video for video in gone if video.digest}
    by_name = {video.name: video for video in gone if not video.digest}
    found = {}
    for relative, video in read.items():
        moved = by_digest.get(video.digest) or by_name.get(names[relative])
        if old := by_path.get(video.path) or moved:
            found[relative] = old
    return found


def _rows(read: dict[str, Video], names: dict[str, str], before: dict[str, Video], given: Labels | None) -> list[Video]:
    """Complete the rows: name, group, labels (those given, else those from before) and the user's columns."""
    groups = video_groups(names, {relative: video.digest for relative, video in read.items() if video.digest})
    rows = []
    for relative, video in read.items():
        old = before.get(relative)
        labels = given.get(relative) if given is not None else old.labels if old else None
        extra = old.extra if old else {}
        rows.append(replace(video, name=names[relative], group=groups[relative], labels=labels, extra=extra))
    return rows


def _write_unmatched(out: Path, without_file: list[str], without_labels: list[str]) -> Path:
    path = out.with_name(f"{out.stem}-unmatched.csv")
    rows = [(name, "label without a file") for name in without_file]
    write_csv(path, ("video", "problem"), rows + [(name, "file without a label") for name in without_labels])
    return path
