"""Scan: build the catalog of a folder of videos in parallel; unchanged videos are not read again."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from urbanpipe.catalog.catalog_file import Catalog, Video, read_catalog, write_catalog
from urbanpipe.catalog.catalog_taxonomy import catalog_taxonomy
from urbanpipe.catalog.files import LabelMatches, find_videos, match_labels, video_groups, video_names
from urbanpipe.catalog.labels import LabelFile, read_label_file
from urbanpipe.catalog.moment_cells import late_moment
from urbanpipe.catalog.probe_cache import read_videos
from urbanpipe.errors import OutputError
from urbanpipe.outputs import output_folder, remove_quietly, write_csv
from urbanpipe.taxonomy import Taxonomy, default_taxonomy, given_taxonomy


@dataclass(frozen=True)
class ScanReport:
    """A catalog and what was found while creating it.

    Attributes:
        catalog: all videos.
        reused: number of videos from an earlier scan that have not changed since.
        left_out: number of files with each extension that is not a video extension.
        closed: folders that cannot be read.
        without_file: names in the label file without a file.
        near: for each of `without_file`, the videos that it may mean.
        differing: path of the video by name in the label file, where the two match only after folding.
        without_labels: videos that are missing from the label file; empty if no label file was given.
        late: videos with a moment after their end, each as one line; none of their moments is kept.
        lost: earlier rows with labels or user columns whose videos no longer exist.
        label_notes: what of the label file was not used, one line each.
        unmatched: the CSV that lists `without_file` and `without_labels`, or None if no label file was given.
    """

    catalog: Catalog
    reused: int
    left_out: Counter[str]
    closed: list[str]
    without_file: list[str]
    near: dict[str, tuple[str, ...]]
    differing: dict[str, str]
    without_labels: list[str]
    late: list[str]
    lost: list[str]
    label_notes: tuple[str, ...]
    unmatched: Path | None


def scan(
    videos: Path, *, out: Path, labels: Path | None = None, taxonomy: Path | None = None, workers: int | None = None
) -> Catalog:
    """Read every video below a folder and write the catalog: one row per video, with the reason if unusable.

    Videos that `out` lists already, with the same size and modification time, are not read again; an interrupted scan
    resumes. Labels, moments and columns of `out` that this call does not provide are kept, also for moved videos. Moved
    videos are identified by their content alone, as cameras reuse names. Moments of a video are dropped, and its labels
    kept, where one of them is after its end.

    Args:
        videos: the folder, searched recursively.
        out: the CSV to write.
        labels: a label file in any form, also coded inspections (ISYBAU XML, EN 13508-2 text); mismatches with the
            folder are listed in `<out>-unmatched.csv`.
        taxonomy: TOML file of the classes, which the catalog remembers; default: those that `out` remembers, or the
            QV-Pipe classes.
        workers: number of processes that read videos; default: one per CPU core.

    Raises:
        CatalogError: the folder is missing or has no videos, or `out` exists and is not a catalog.
        LabelError, TaxonomyError: an input cannot be read, or a label matches several files.
        OutputError: `out` cannot be written.
    """
    return scan_report(videos, out, labels, taxonomy, workers).catalog


def scan_report(
    videos: Path, out: Path, labels: Path | None = None, taxonomy: Path | None = None, workers: int | None = None
) -> ScanReport:
    """Scan as `scan` does, but return all details."""
    out, given = Path(out), given_taxonomy(taxonomy)
    classes = catalog_taxonomy(out, given) if out.exists() else given or default_taxonomy()
    before = _earlier(out, classes)
    named = None if labels is None else read_label_file(labels, classes)
    found = find_videos(Path(videos))
    names = video_names(list(found.paths))
    matched = LabelMatches({}, {}, {}) if named is None else match_labels(named.labels, names, f"{labels} for {videos}")
    progress = out.with_name(f".{out.name}.progress")
    read, reused = read_videos(found.paths, before, progress, workers or os.cpu_count() or 1)
    old = _earlier_rows(read, names, before)
    rows = _rows(read, names, old, named, matched.names)
    late = [_late_line(video, classes) for video in rows if late_moment(video.moments, video.duration_seconds)]
    rows = [replace(v, moments=()) if late_moment(v.moments, v.duration_seconds) else v for v in rows]
    catalog = Catalog(tuple(rows), classes)
    unlabelled = [] if named is None else [video.name for video in rows if video.labels is None]
    unmatched = None if named is None else _write_unmatched(out, matched.near, unlabelled)
    write_catalog(catalog, out)
    remove_quietly(progress)
    taken = {id(video) for video in old.values()}
    lost = [video.name for video in before if id(video) not in taken and (video.labels is not None or video.extra)]
    return ScanReport(
        catalog,
        reused,
        left_out=found.left_out,
        closed=found.closed,
        without_file=list(matched.near),
        near=matched.near,
        differing=matched.differing,
        without_labels=unlabelled,
        late=late,
        lost=lost,
        label_notes=() if named is None else named.notes,
        unmatched=unmatched,
    )


def _earlier(out: Path, taxonomy: Taxonomy) -> tuple[Video, ...]:
    """Return the existing rows of `out`, after checking that it can be written."""
    output_folder(out.parent)
    if out.is_dir():
        raise OutputError(f"cannot write {out}: it is a folder; give the name of a CSV file")
    return read_catalog(out, taxonomy).videos if out.exists() else ()


def _earlier_rows(read: dict[str, Video], names: dict[str, str], before: tuple[Video, ...]) -> dict[str, Video]:
    """Return the earlier row of each video, by relative path: of the same file, or else of a moved one.

    A name alone does not identify a file in another place, unless the earlier row has no digest.
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


def _rows(
    read: dict[str, Video],
    names: dict[str, str],
    before: dict[str, Video],
    given: LabelFile | None,
    labelled: Mapping[str, str],
) -> list[Video]:
    """Complete the rows with name, group, labels and moments (those given, otherwise earlier ones) and user columns.

    Args:
        read: video without these by relative path.
        names: video name by relative path.
        before: earlier row by relative path.
        given: the label file, if any.
        labelled: name in the label file by relative path.
    """
    groups = video_groups(names, {relative: video.digest for relative, video in read.items() if video.digest})
    rows = []
    for relative, video in read.items():
        old, name = before.get(relative, Video("", video.path)), labelled.get(relative, "")
        labels = old.labels if given is None else given.labels.get(name)
        moments = old.moments if given is None else given.moments.get(name, ())
        row = replace(video, name=names[relative], group=groups[relative], extra=old.extra)
        rows.append(replace(row, labels=labels, moments=moments))
    return rows


def _late_line(video: Video, taxonomy: Taxonomy) -> str:
    label, seconds = video.moments[-1]
    return f"{video.name}: {taxonomy.codes[label]} at {seconds:g} s, but it ends after {video.duration_seconds:g} s"


def _write_unmatched(out: Path, without_file: Mapping[str, Sequence[str]], without_labels: Sequence[str]) -> Path:
    path = out.with_name(f"{out.stem}-unmatched.csv")
    rows = [(name, "label without a file", " ".join(near)) for name, near in without_file.items()]
    rows += [(name, "file without a label", "") for name in without_labels]
    write_csv(path, ("video", "problem", "near"), rows)
    return path
