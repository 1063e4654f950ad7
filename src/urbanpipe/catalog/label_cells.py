"""Cells of a `labels` column: class codes, `-` for none of the classes, empty for a video that is not labelled."""

from collections.abc import Iterable, Sequence

from urbanpipe.errors import LabelError, TaxonomyError
from urbanpipe.taxonomy import Taxonomy
from urbanpipe.text_files import INVISIBLE

NO_CLASS = "-"
_DASHES = frozenset("-\u2010\u2011\u2012\u2013\u2014\u2212\uff0d")  # what spreadsheets and input methods make of `-`
_SHOWN = 60
_MAX_CELL = 10_000  # characters


def labels_cell(indices: Iterable[int], taxonomy: Taxonomy) -> str:
    """Return the cell of a `labels` column: codes separated by spaces, `-` for none of the classes."""
    return " ".join(taxonomy.codes[index] for index in indices) or NO_CLASS


def parse_labels_cell(cell: str, taxonomy: Taxonomy, where: str) -> tuple[int, ...] | None:
    """Return the class indices of a `labels` cell, sorted: () for `-`, None for an empty cell.

    Raises:
        LabelError: a class is unknown or repeated; the message begins with `where`.
    """
    text = cell.translate(INVISIBLE).strip()
    if not text:
        return None
    if len(text) > _MAX_CELL:
        raise LabelError(f"{where}: a cell of {len(text)} characters is no list of classes")
    if text in _DASHES:
        return ()
    try:
        indices = taxonomy.indices(text)
    except TaxonomyError as error:
        raise LabelError(f"{where}: {error}") from error
    if not indices:
        raise LabelError(f"{where}: {short(cell)} names no class; write `{NO_CLASS}` for none, or leave the cell empty")
    return class_indices(indices, taxonomy, where)


def class_indices(classes: Sequence[object], taxonomy: Taxonomy, where: str) -> tuple[int, ...]:
    """Return the indices of classes given as codes or indices, sorted.

    Raises:
        LabelError: a class is unknown or repeated.
    """
    indices: set[int] = set()
    for item in classes:
        index = _index(item, taxonomy, where)
        if index in indices:
            raise LabelError(f"{where}: class {taxonomy.codes[index]} occurs twice; list each class once")
        indices.add(index)
    return tuple(sorted(indices))


def _index(item: object, taxonomy: Taxonomy, where: str) -> int:
    if isinstance(item, bool) or not isinstance(item, int | str):
        raise LabelError(f"{where}: {short(item)} is not a class index or code")
    if isinstance(item, int):
        if 0 <= item < len(taxonomy):
            return item
        raise LabelError(f"{where}: class {short(item)} does not exist; {taxonomy.name} has 0-{len(taxonomy) - 1}")
    try:
        return taxonomy.index(item)
    except TaxonomyError as error:
        raise LabelError(f"{where}: {error}") from error


def short(value: object) -> str:
    """Return a value as Python writes it, cut to a length that fits a message."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
