"""Label files: which classes each video shows, in three common forms.

- QV-Pipe JSON: `{"d16427.mp4": [1, 14], ...}`, class indices or codes;
- CSV with a `video` column and either a `labels` column (codes or indices, separated by spaces; an empty cell or `-`
  means that the video shows none of the classes) or one 0/1 column per class, named by its code or index;
- CCTV-Pipe JSON: `{"database": {id: {"file_name": ..., "annotations": [{"label": ..., "moment": ...}]}}}`, whose
  moments are ignored here; a video without `annotations` has no known labels and is left out.
"""

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from urbanpipe.contracts.csv_reading import read_table, read_text
from urbanpipe.contracts.names import canonical_name
from urbanpipe.errors import LabelError, TaxonomyError
from urbanpipe.taxonomy import Taxonomy, default_taxonomy

Labels = dict[str, tuple[int, ...]]

NO_CLASS = "-"
_BINARY = {"0": False, "0.0": False, "1": True, "1.0": True}


def read_labels(path: Path, taxonomy: Taxonomy | None = None) -> Labels:
    """Read a label file in any of the three forms, recognised by its content.

    Args:
        path: the file, UTF-8 with or without a byte order mark.
        taxonomy: the classes; default: the QV-Pipe classes.

    Returns:
        Class indices, sorted, each once, by video name (in Unicode normal form C); in the order of the file.

    Raises:
        LabelError: the file cannot be read, has none of the three forms, lists a video twice or has an unknown class.
    """
    path = Path(path)
    taxonomy = taxonomy or default_taxonomy()
    text = read_text(path)
    pairs = _json_pairs(text, path) if text.lstrip()[:1] in ("{", "[") else _csv_pairs(text, path, taxonomy)
    labels: Labels = {}
    for where, name, classes in pairs:
        key = canonical_name(name)
        if not key.strip():
            raise LabelError(f"{path}, {where}: the name of the video is empty")
        if key in labels:
            raise LabelError(f"{path}, {where}: video {key!r} occurs twice; keep one line per video")
        labels[key] = _indices(classes, taxonomy, f"{path}, {where}, video {key!r}")
    if not labels:
        raise LabelError(f"{path} has no labelled videos")
    return labels


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


def labels_cell(indices: Iterable[int], taxonomy: Taxonomy) -> str:
    """Return the cell of a `labels` column: codes separated by spaces, `-` for none of the classes."""
    return " ".join(taxonomy.codes[index] for index in indices) or NO_CLASS


def parse_labels_cell(cell: str, taxonomy: Taxonomy, where: str) -> tuple[int, ...]:
    """Return the class indices of a `labels` cell.

    Raises:
        LabelError: a class is unknown or repeated; the message begins with `where`.
    """
    return _indices(_words(cell), taxonomy, where)


def _csv_pairs(text: str, path: Path, taxonomy: Taxonomy) -> Iterator[tuple[str, str, list[object]]]:
    try:
        header, rows = read_table(text, path, "video")
    except LabelError as error:
        forms = (
            'a CSV with the columns "video" and "labels" (or one 0/1 column per class), or JSON {"video.mp4": [1, 14]}'
        )
        raise LabelError(f"{error}; a label file is {forms}") from error
    if "labels" in header:
        for line, row in rows:
            yield f"line {line}", row["video"], _words(row["labels"])
        return
    columns = _class_columns(header, path, taxonomy)
    for line, row in rows:
        yield f"line {line}", row["video"], _positives(row, columns, f"{path}, line {line}")


def _class_columns(header: list[str], path: Path, taxonomy: Taxonomy) -> dict[str, int]:
    columns: dict[str, int] = {}
    for name in header:
        if name == "video":
            continue
        try:
            columns[name] = taxonomy.index(name)
        except TaxonomyError as error:
            raise LabelError(f'{path}: column {name!r} is neither "labels" nor a class: {error}') from error
    found = list(columns.values())
    if twice := [name for name, index in columns.items() if found.count(index) > 1]:
        raise LabelError(f"{path}: the columns {' and '.join(map(repr, twice))} are the same class; keep one")
    if missing := [code for index, code in enumerate(taxonomy.codes) if index not in found]:
        raise LabelError(
            f"{path}: no 0/1 column for {' '.join(missing)}; give every class of {taxonomy.name} a column, or use a "
            '"labels" column'
        )
    return columns


def _positives(row: dict[str, str], columns: dict[str, int], where: str) -> list[object]:
    for name in columns:
        if row[name].strip() not in _BINARY:
            raise LabelError(f"{where}, video {row['video']!r}: column {name} has {row[name]!r}; write 0 or 1")
    return [index for name, index in columns.items() if _BINARY[row[name].strip()]]


def _json_pairs(text: str, path: Path) -> Iterator[tuple[str, str, list[object]]]:
    try:
        content = json.loads(text, object_pairs_hook=_no_repeats)
    except _RepeatedKeyError as error:
        raise LabelError(f"{path}: {error.args[0]!r} occurs twice; keep one") from error
    except (ValueError, RecursionError) as error:
        raise LabelError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise LabelError(f'{path} is a JSON {type(content).__name__}; labels are {{"video.mp4": [1, 14], ...}}')
    if isinstance(content.get("database"), dict):
        yield from _cctv_pairs(content["database"], path)
        return
    for name, value in content.items():
        yield f"video {name!r}", name, _json_classes(value, f"{path}, video {name!r}")


def _json_classes(value: object, where: str) -> list[object]:
    if not isinstance(value, list):
        raise LabelError(f"{where}: {_short(value)} is not a list of class indices such as [1, 14]")
    if any(isinstance(item, float) for item in value):
        raise LabelError(f"{where}: {_short(value)} are scores, not labels; labels are class indices such as [1, 14]")
    return value


def _cctv_pairs(database: dict[str, Any], path: Path) -> Iterator[tuple[str, str, list[object]]]:
    for key, entry in database.items():
        where = f"database entry {key!r}"
        if not isinstance(entry, dict) or not isinstance(entry.get("annotations", []), list):
            raise LabelError(f'{path}, {where}: {_short(entry)} is not {{"file_name": ..., "annotations": [...]}}')
        if "annotations" not in entry:
            continue
        name = entry.get("file_name", key)
        if not isinstance(name, str):
            raise LabelError(f"{path}, {where}: file_name is {_short(name)}, not text")
        yield where, name, _cctv_classes(entry["annotations"], f"{path}, {where}")


def _cctv_classes(annotations: list[Any], where: str) -> list[object]:
    for item in annotations:
        if not isinstance(item, dict) or "label" not in item:
            raise LabelError(f'{where}: annotation {_short(item)} is not {{"label": "TJ", "moment": 12.5}}')
    return list(dict.fromkeys(str(item["label"]) for item in annotations))


class _RepeatedKeyError(Exception):
    pass


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _RepeatedKeyError(next(key for key in keys if keys.count(key) > 1))
    return content


def _indices(classes: Sequence[object], taxonomy: Taxonomy, where: str) -> tuple[int, ...]:
    indices = [_index(item, taxonomy, where) for item in classes]
    if twice := [taxonomy.codes[index] for index in indices if indices.count(index) > 1]:
        raise LabelError(f"{where}: class {twice[0]} occurs twice; list each class once")
    return tuple(sorted(indices))


def _index(item: object, taxonomy: Taxonomy, where: str) -> int:
    if isinstance(item, bool) or not isinstance(item, int | str):
        raise LabelError(f"{where}: {_short(item)} is not a class index or code")
    if isinstance(item, int):
        if 0 <= item < len(taxonomy):
            return item
        raise LabelError(f"{where}: class {_short(item)} does not exist; {taxonomy.name} has 0-{len(taxonomy) - 1}")
    try:
        return taxonomy.index(item)
    except TaxonomyError as error:
        raise LabelError(f"{where}: {error}") from error


def _words(cell: str) -> list[object]:
    words = [word for word in re.split(r"[\s,;]+", cell) if word]
    return [] if words == [NO_CLASS] else list(words)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _did_you_mean(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(names)[:20_000], n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
