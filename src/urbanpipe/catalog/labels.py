"""Label files: which classes each video shows, in four forms.

- QV-Pipe JSON: `{"d16427.mp4": [1, 14], ...}`, class indices or codes; `[]` is a video that shows none of the classes;
- CSV or XLSX with a `video` column and either a `labels` column (codes, indices or names, separated by spaces, commas,
  semicolons or slashes) or one 0/1 column per class; several rows of a video have one class each, and maybe its
  `moment` in seconds; or a video has `moments`, such as `TJ@12.5`;
  `-`, or 0 in every column, is a video that shows none of the classes; a video whose cells are empty is not labelled;
- CCTV-Pipe JSON: `{"database": {id: {"file_name": ..., "annotations": [{"label": ..., "moment": ...}]}}}`, whose
  moments are kept; a video without `annotations` is not labelled;
- coded inspections, as ISYBAU XML or EN 13508-2 text, whose films are the videos: see `label_coded`.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence, Sized
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from urbanpipe.catalog.label_cells import class_indices
from urbanpipe.catalog.label_coded import coded_labels
from urbanpipe.catalog.label_json import LabelEntry, json_entries
from urbanpipe.catalog.label_tables import table_entries
from urbanpipe.catalog.moment_cells import LabelMoment, LabelMoments, in_order
from urbanpipe.contracts.coded.reading import coded_format
from urbanpipe.contracts.names import canonical_name
from urbanpipe.contracts.workbooks import is_workbook
from urbanpipe.errors import LabelError
from urbanpipe.taxonomy import Taxonomy, default_taxonomy
from urbanpipe.text_files import read_text

Labels = dict[str, tuple[int, ...]]

_MAX_BYTES = 32 << 20  # a label file of 100,000 videos takes 3 MB


class LabelFile(NamedTuple):
    """The content of a label file.

    Attributes:
        labels: class indices, sorted, each once, by video name (in Unicode normal form C), in the order of the file.
        unlabelled: the videos that it lists without labels.
        moments: moments, by time, by the names of the videos for which it has some.
        notes: what was not used, one line each.
    """

    labels: Labels
    unlabelled: tuple[str, ...] = ()
    moments: Mapping[str, LabelMoments] = {}
    notes: tuple[str, ...] = ()


def read_labels(path: Path, taxonomy: Taxonomy | None = None) -> Labels:
    """Read the labels of a label file in any form; see `read_label_file`."""
    return read_label_file(path, taxonomy).labels


def read_label_file(path: Path, taxonomy: Taxonomy | None = None) -> LabelFile:
    """Read a label file in any form, recognised by its content.

    Args:
        path: the file: text in UTF-8, UTF-16, GB18030 or Big5, an Excel workbook, or a file of coded inspections.
        taxonomy: the classes; default: the QV-Pipe classes.

    Raises:
        LabelError: the file cannot be read, has none of the forms, lists a video twice or has an unknown class.
    """
    path, taxonomy = Path(path), taxonomy or default_taxonomy()
    if coded_format(path):
        coded = coded_labels(path, taxonomy)
        return _joined(coded.entries, path, taxonomy, once=True)._replace(notes=coded.notes)
    text = None if is_workbook(path) else read_text(path, max_bytes=_MAX_BYTES)
    if text is not None and text.lstrip()[:1] in ("{", "["):
        return _joined(json_entries(text, path, len(taxonomy)), path, taxonomy, once=True)
    return _joined(table_entries(path, text, taxonomy), path, taxonomy, once=False)


def _joined(entries: Iterable[LabelEntry], path: Path, taxonomy: Taxonomy, *, once: bool) -> LabelFile:
    """Return the labels of entries.

    Args:
        entries: the entries.
        path: the file, for messages.
        taxonomy: the classes.
        once: whether a video has one entry; otherwise, it may have several with one class each.
    """
    labels: dict[str, tuple[int, ...] | None] = {}
    moments: dict[str, LabelMoments] = {}
    single: set[str] = set()  # videos whose rows have one class each
    for entry in entries:
        where, key, classes = entry.where, canonical_name(entry.name), entry.classes
        if not key.strip():
            raise LabelError(f"{path}, {where}: the name of the video is empty")
        of_video = f"{path}, {where}, video {key!r}"
        indices = None if classes is None else class_indices(classes, taxonomy, of_video)
        if key in labels:
            if once:
                raise LabelError(f"{path}, {where}: video {key!r} occurs twice; keep one line per video")
            indices = _both(labels[key] if key in single else None, indices, f"{path}, {where}: video {key!r}")
        elif indices is not None and len(indices) == 1:
            single.add(key)
        labels[key] = indices
        if timed := _moments_of(entry, taxonomy):
            moments[key] = in_order([*moments.get(key, ()), *timed])
    return _checked(labels, path)._replace(moments=moments)


def _moments_of(entry: LabelEntry, taxonomy: Taxonomy) -> LabelMoments:
    """Return the moments of an entry whose classes the taxonomy has; the exclusive class has no moments."""
    found = in_order(LabelMoment(taxonomy.index(code), seconds) for code, seconds in entry.moments)
    return tuple(moment for moment in found if moment.label in taxonomy.defects)


def _both(earlier: tuple[int, ...] | None, row: tuple[int, ...] | None, where: str) -> tuple[int, ...] | None:
    """Return the classes of a video of which a table has another row: one per observation, with one class each.

    Raises:
        LabelError: this row or an earlier one does not have exactly one class.
    """
    if not earlier or row is None or len(row) != 1:
        raise LabelError(
            f"{where} occurs twice; keep one line per video, or give each line one class, one line per observation"
        )
    return tuple(sorted({*earlier, *row}))


def _checked(labels: dict[str, tuple[int, ...] | None], path: Path) -> LabelFile:
    known = {name: classes for name, classes in labels.items() if classes is not None}
    if labels and not known:
        raise LabelError(
            f"{path} labels none of its {len(labels)} videos: write their classes, or `-` for a video that shows none"
        )
    if not labels:
        raise LabelError(f"{path} has no labelled videos")
    return LabelFile(known, tuple(name for name, classes in labels.items() if classes is None))


def describe_labels(labels: Iterable[Sized], unlabelled: int) -> str:
    """Return one line: how many videos show classes, show none of them, and are not labelled."""
    counts = [len(classes) > 0 for classes in labels]
    return (
        f"labels: {sum(counts)} videos with classes, {len(counts) - sum(counts)} with none of the classes (`-`), "
        f"{unlabelled} not labelled (empty) and left out"
    )


def label_matrix(names: Sequence[str], labels: Labels, classes: int) -> NDArray[np.bool_]:
    """Return the labels of `names` as a matrix.

    Args:
        names: n video names.
        labels: class indices by name.
        classes: number of classes C.

    Returns:
        (n, C) boolean, row i for `names[i]`.

    Raises:
        LabelError: a name has no labels, or a class index is not below C.
    """
    matrix = np.zeros((len(names), classes), dtype=np.bool_)
    for row, name in enumerate(names):
        if name not in labels:
            raise LabelError(f"no labels for video {name!r}{_did_you_mean(name, labels)}")
        if (indices := labels[name]) and not 0 <= min(indices) <= max(indices) < classes:
            raise LabelError(f"video {name!r} has class {max(indices)}; there are the classes 0-{classes - 1}")
        matrix[row, list(indices)] = True
    return matrix


def _did_you_mean(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(names)[:20_000], n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
