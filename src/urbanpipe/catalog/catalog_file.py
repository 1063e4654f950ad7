"""The catalog: a CSV with one row per video, and the source of audits and folds."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from urbanpipe.catalog.catalog_numbers import number_cell, parse_number
from urbanpipe.catalog.catalog_taxonomy import catalog_taxonomy, taxonomy_file, write_catalog_taxonomy
from urbanpipe.catalog.label_cells import labels_cell, parse_labels_cell
from urbanpipe.catalog.labels import Labels, read_label_file
from urbanpipe.catalog.moment_cells import LabelMoments, moments_cell, parse_moments_cell
from urbanpipe.contracts.coded.reading import coded_format
from urbanpipe.contracts.csv_reading import read_table
from urbanpipe.contracts.name_matching import folded_twins
from urbanpipe.contracts.names import canonical_name
from urbanpipe.contracts.workbooks import is_workbook
from urbanpipe.errors import CatalogError, LabelError
from urbanpipe.locations import local_path
from urbanpipe.outputs import write_csv
from urbanpipe.taxonomy import Taxonomy, default_taxonomy
from urbanpipe.text_files import read_text

OK = "ok"
_NUMBERS: dict[str, type[float] | type[int]] = {
    "duration_seconds": float,
    "frame_count": int,
    "frame_rate": float,
    "uneven_seconds": float,
    "width": int,
    "height": int,
    "bit_rate": float,
    "size_bytes": int,
    "modified_ns": int,
}
COLUMNS = ("name", "path", "status", "damage", "notes", *_NUMBERS, "codec", "digest", "group", "labels", "moments")
_REQUIRED = ("name", "path", "status", "group", "labels")


@dataclass(frozen=True)
class Video:
    """One row of the catalog.

    Attributes:
        name: the file name where it is unique in the folder tree, else the path relative to the tree's top.
        path: the file.
        status: `ok`, or why the video cannot be used.
        duration_seconds: duration; 0 if unknown, as is every number of an unusable video.
        frame_count: number of frames, counted, not read from the header.
        frame_rate: frames per second.
        uneven_seconds: largest deviation of a frame's time from evenly spaced frames.
        width: displayed width, pixels.
        height: displayed height, pixels.
        codec: FFmpeg's codec name.
        bit_rate: bits per second.
        size_bytes: size of the file.
        modified_ns: modification time of the file, nanoseconds since 1970.
        digest: hash of the content; videos with equal digests are the same recording.
        group: group of the video; videos of one inspection share it and stay in one fold.
        labels: sorted class indices; empty if the video shows none of the classes; None if it is not labelled.
        moments: times, in order, at which classes of `labels` are visible; a class without one may be anywhere.
        damage: what is damaged in a usable video; empty if nothing is.
        notes: what else to know about a usable video, such as joined recordings; may be empty.
        extra: columns added by a user.
    """

    name: str
    path: Path
    status: str = OK
    duration_seconds: float = 0.0
    frame_count: int = 0
    frame_rate: float = 0.0
    uneven_seconds: float = 0.0
    width: int = 0
    height: int = 0
    codec: str = ""
    bit_rate: float = 0.0
    size_bytes: int = 0
    modified_ns: int = 0
    digest: str = ""
    group: str = ""
    labels: tuple[int, ...] | None = None
    moments: LabelMoments = ()
    damage: str = ""
    notes: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Catalog:
    """All videos of an archive, usable or not, and the classes that their labels refer to."""

    videos: tuple[Video, ...]
    taxonomy: Taxonomy

    @cached_property
    def ok(self) -> tuple[Video, ...]:
        """The videos that can be read."""
        return tuple(video for video in self.videos if video.status == OK)

    @cached_property
    def labelled(self) -> tuple[Video, ...]:
        """The videos that can be read and have labels."""
        return tuple(video for video in self.ok if video.labels is not None)


@dataclass(frozen=True)
class Source:
    """Labelled, usable videos: the input of audits and folds.

    Attributes:
        names: video names.
        labels: class indices by name.
        groups: group of each of `names`.
        catalog: the whole catalog if the source is one, otherwise None.
        unlabelled: number of usable videos without labels.
        unreadable: number of videos that cannot be read.
        others: names of the videos that have no labels or cannot be read.
        taxonomy: the classes.
    """

    names: list[str]
    labels: Labels
    groups: list[str]
    catalog: Catalog | None
    unlabelled: int = 0
    unreadable: int = 0
    others: tuple[str, ...] = ()
    taxonomy: Taxonomy = field(default_factory=default_taxonomy)


def group_of(name: str) -> str:
    """Return the group encoded in a name: its folder, if any, and the name without segment number and extension.

    >>> group_of("d23910_17.mp4"), group_of("d23910.mp4"), group_of("north/7_1.avi")
    ('d23910', 'd23910', 'north/7')
    """
    path = PurePosixPath(name)
    root = re.sub(r"(?<=.)_\d+$", "", path.stem)
    return str(path.parent / root)


def printable(name: str) -> str:
    r"""Return a file name with non-text bytes written as `\xff`, so that it can be printed and stored."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def read_catalog(path: Path, taxonomy: Taxonomy | None = None, labels: bool = True) -> Catalog:
    """Read a catalog written by `write_catalog`, including added columns.

    Args:
        path: the CSV; relative paths in it start at its folder.
        taxonomy: the classes; default: those that the catalog remembers.
        labels: whether to read the labels; if not, every video counts as unlabelled.

    Raises:
        CatalogError: the file or a required column is missing, a number is invalid, a name occurs twice, or the catalog
            remembers other classes than the given ones.
        LabelError: a label is not one of the classes, or a moment is not one of the labels with a time.
    """
    path = Path(path)
    if labels or taxonomy is None:
        taxonomy = catalog_taxonomy(path, taxonomy)
    try:
        header, rows = read_table(read_text(path), path, "name")
        if missing := [column for column in _REQUIRED if column not in header]:
            raise CatalogError(
                f"{path} is not a catalog: no column {', '.join(missing)}; make one with `urbanpipe scan`"
            )
        cells = [(line, row if labels else row | {"labels": "", "moments": ""}) for line, row in rows]
    except LabelError as error:
        raise CatalogError(f"{path} is not a catalog of `urbanpipe scan`: {error}") from error
    try:
        videos = tuple(_video(row, f"{path}, line {line}", path.parent.resolve(), taxonomy) for line, row in cells)
    except LabelError as error:
        file = taxonomy_file(path)
        own = (
            "" if file.is_file() else f"; where the classes are your own, give --taxonomy FILE or copy {file.name} here"
        )
        raise LabelError(f"{error}{own}") from error
    seen: set[str] = set()
    for video in videos:
        if video.name in seen:
            raise CatalogError(f"{path}: video {video.name!r} occurs twice; keep one row per video")
        seen.add(video.name)
    return Catalog(videos, taxonomy)


def write_catalog(catalog: Catalog, path: Path) -> None:
    """Write the catalog as CSV, atomically; videos below its folder get relative paths, so both can move.

    Classes other than the default ones are written beside it; see `catalog_taxonomy`.

    Raises:
        OutputError: the file cannot be written.
    """
    path = Path(path)
    extra = list(dict.fromkeys(column for video in catalog.videos for column in video.extra))
    rows = [
        _cells(video, catalog.taxonomy, path.parent) + [video.extra.get(key, "") for key in extra]
        for video in catalog.videos
    ]
    write_catalog_taxonomy(catalog.taxonomy, path)
    write_csv(path, [*COLUMNS, *extra], rows)


def read_source(path: Path, taxonomy: Taxonomy | None = None) -> Source:
    """Read the labelled, usable videos of a catalog or of a label file in any form.

    Raises:
        CatalogError: a catalog is unreadable or has no labelled, readable video.
        LabelError: a label file is unreadable.
    """
    path = Path(path)
    if is_workbook(path) or coded_format(path) or not _is_catalog(read_text(path)):
        taxonomy = taxonomy or default_taxonomy()
        labels, unlabelled = read_label_file(path, taxonomy)[:2]
        _refuse_twins([*labels, *unlabelled], path)
        groups = [group_of(name) for name in labels]
        return Source(list(labels), labels, groups, None, len(unlabelled), 0, unlabelled, taxonomy)
    catalog = read_catalog(path, taxonomy)
    if not catalog.labelled:
        raise CatalogError(
            f"{path} has no labelled video that can be read; make it with `urbanpipe scan VIDEOS --labels LABELS`"
        )
    return source_of(catalog)


def source_of(catalog: Catalog) -> Source:
    """Return the labelled, usable videos of a catalog; there may be none."""
    return Source(
        [video.name for video in catalog.labelled],
        {video.name: video.labels for video in catalog.labelled if video.labels is not None},
        [video.group for video in catalog.labelled],
        catalog,
        len(catalog.ok) - len(catalog.labelled),
        len(catalog.videos) - len(catalog.ok),
        others=tuple(video.name for video in catalog.videos if video.status != OK or video.labels is None),
        taxonomy=catalog.taxonomy,
    )


def _refuse_twins(names: Sequence[str], path: Path) -> None:
    """Refuse two spellings of what may be one video, where there are no files to tell."""
    if twins := folded_twins(names):
        raise LabelError(
            f"{path}: {twins[0]!r} and {twins[1]!r} differ only in spelling; keep one, or `urbanpipe scan` the videos "
            "with these labels if both exist, and give the catalog"
        )


def column_values(videos: Sequence[Video], column: str) -> list[str] | None:
    """Return the cells of a text column (`group`, `codec`, ... or one that a user added).

    Return None if there is no such column.
    """
    if column in COLUMNS:
        return [str(getattr(video, column)) for video in videos]
    if not any(column in video.extra for video in videos):
        return None
    return [video.extra.get(column, "") for video in videos]


def _is_catalog(text: str) -> bool:
    header = re.split(r"[,;\t]", re.split(r"[\r\n]", text, maxsplit=1)[0].replace('"', ""))
    return text.lstrip()[:1] not in ("{", "[") and {"name", "status"} <= {cell.strip() for cell in header}


def _cells(video: Video, taxonomy: Taxonomy, folder: Path) -> list[object]:
    numbers = {column: number_cell(getattr(video, column)) for column in _NUMBERS}
    texts = {column: getattr(video, column) for column in COLUMNS if column not in _NUMBERS}
    texts["path"] = _path_cell(video.path, folder)
    texts["labels"] = "" if video.labels is None else labels_cell(video.labels, taxonomy)
    texts["moments"] = moments_cell(video.moments, taxonomy)
    return [numbers.get(column, texts.get(column)) for column in COLUMNS]


def _path_cell(path: Path, folder: Path) -> str:
    path, folder = path.absolute(), folder.resolve()
    return printable((path.relative_to(folder) if path.is_relative_to(folder) else path).as_posix())


def _video(row: dict[str, str], where: str, folder: Path, taxonomy: Taxonomy) -> Video:
    where = f"{where}, video {row['name']!r}"
    if not row["name"].strip() or not row["status"].strip():
        raise CatalogError(f"{where}: the name or status is empty")
    numbers: dict[str, Any] = {
        key: parse_number(row.get(key, ""), kind, f"{where}: {key}") for key, kind in _NUMBERS.items()
    }
    name, labels = canonical_name(row["name"]), parse_labels_cell(row["labels"], taxonomy, where)
    return Video(
        name=name,
        path=local_path(row["path"], folder),
        status=row["status"],
        codec=row.get("codec", ""),
        digest=row.get("digest", ""),
        group=row["group"] or group_of(name),
        labels=labels,
        moments=parse_moments_cell(row.get("moments", ""), labels, taxonomy, where),
        damage=row.get("damage", ""),
        notes=row.get("notes", ""),
        extra={key: cell for key, cell in row.items() if key not in COLUMNS},
        **numbers,
    )
