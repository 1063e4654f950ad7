"""Label files in JSON: QV-Pipe and CCTV-Pipe."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from urbanpipe.catalog.label_cells import short
from urbanpipe.errors import LabelError

_MAX_LISTS = 2_000_000
_CLASSES_WITH_TWO_READINGS = 2
_MAX_SECONDS = 1e100  # and neither NaN nor infinite


class LabelEntry(NamedTuple):
    """What a label file says about a video.

    Attributes:
        where: position in the file.
        name: name of the video.
        classes: its classes, as codes or indices; None if it is not labelled.
        moments: classes with the seconds at which they are visible.
    """

    where: str
    name: str
    classes: Sequence[object] | None
    moments: Sequence[tuple[str, float]] = ()


def json_entries(text: str, path: Path, n_classes: int) -> Iterator[LabelEntry]:
    """Yield the entries of a JSON label file with `n_classes` classes.

    Raises:
        LabelError: it is not JSON, has another shape, or its lists are 0/1 flags instead of class indices.
    """
    content = _content(text, path)
    if isinstance(content.get("database"), dict):
        yield from _cctv_entries(content["database"], path)
        return
    entries = [
        LabelEntry(f"video {name!r}", name, _classes(value, f"{path}, video {name!r}"))
        for name, value in content.items()
    ]
    _refuse_flags(content, n_classes, path)
    yield from entries


def _content(text: str, path: Path) -> dict[str, Any]:
    if text.count("[") + text.count("{") > _MAX_LISTS:
        raise LabelError(f"{path} has more than {_MAX_LISTS:,} lists and objects; is it a label file?")
    try:
        content = json.loads(text, object_pairs_hook=_no_repeats)
    except _RepeatedKeyError as error:
        raise LabelError(f"{path}: {error.args[0]!r} occurs twice; keep one") from error
    except (ValueError, RecursionError) as error:
        raise LabelError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise LabelError(f'{path} is a JSON {type(content).__name__}; labels are {{"video.mp4": [1, 14], ...}}')
    return content


def _classes(value: object, where: str) -> list[object]:
    if not isinstance(value, list):
        raise LabelError(f"{where}: {short(value)} is not a list of class indices such as [1, 14]")
    if len(value) > _CLASSES_WITH_TWO_READINGS and _are_flags(value):
        raise _flags_error(value, where)
    if any(isinstance(item, float) for item in value):
        raise LabelError(f"{where}: {short(value)} are scores, not labels; labels are class indices such as [1, 14]")
    return value


def _refuse_flags(content: Mapping[str, Any], n_classes: int, path: Path) -> None:
    """Refuse a file in which every list may be one flag per class: of two classes, [0, 1] is both or the second."""
    if n_classes <= _CLASSES_WITH_TWO_READINGS and content:
        name, value = next(iter(content.items()))
        if all(len(flags) == n_classes and _are_flags(flags) for flags in content.values()):
            raise _flags_error(value, f"{path}, video {name!r}")


def _are_flags(values: list[object]) -> bool:
    return all(value in (0, 1, "0", "1") for value in values)


def _flags_error(flags: list[object], where: str) -> LabelError:
    return LabelError(
        f"{where}: {short(flags)} looks one-hot (a 0 or 1 for each class); list the indices of the classes that the "
        "video shows, such as [1, 14], or their codes"
    )


def _cctv_entries(database: dict[str, Any], path: Path) -> Iterator[LabelEntry]:
    for key, entry in database.items():
        where = f"database entry {key!r}"
        if not isinstance(entry, dict) or not isinstance(entry.get("annotations", []), list):
            raise LabelError(f'{path}, {where}: {short(entry)} is not {{"file_name": ..., "annotations": [...]}}')
        name = entry.get("file_name", key)
        if not isinstance(name, str):
            raise LabelError(f"{path}, {where}: file_name is {short(name)}, not text")
        if "annotations" in entry:
            annotations = _annotations(entry["annotations"], f"{path}, {where}")
            classes = list(dict.fromkeys(str(item["label"]) for item in annotations))
            yield LabelEntry(where, name, classes, _moments(annotations, f"{path}, {where}"))
        else:
            yield LabelEntry(where, name, None)


def _annotations(annotations: list[Any], where: str) -> list[dict[str, Any]]:
    for item in annotations:
        if not isinstance(item, dict) or "label" not in item:
            raise LabelError(f'{where}: annotation {short(item)} is not {{"label": "TJ", "moment": 12.5}}')
    return annotations


def _moments(annotations: Sequence[Mapping[str, Any]], where: str) -> list[tuple[str, float]]:
    """Return the classes and seconds of the annotations that have a moment."""
    timed = [(str(item["label"]), item["moment"]) for item in annotations if "moment" in item]
    for label, seconds in timed:
        is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if not is_number or not 0 <= seconds < _MAX_SECONDS:
            raise LabelError(f"{where}: {label} has the moment {short(seconds)}; expected seconds, 0 or more")
    return [(label, float(seconds)) for label, seconds in timed]


class _RepeatedKeyError(Exception):
    pass


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise _RepeatedKeyError(key)
        content[key] = value
    return content
