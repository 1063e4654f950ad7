"""Label files as tables: a `labels` column, or one 0/1 column per class."""

from collections.abc import Iterator
from pathlib import Path

from urbanpipe.catalog.label_cells import split_labels_cell
from urbanpipe.catalog.label_json import LabelEntry
from urbanpipe.contracts.csv_reading import read_table
from urbanpipe.errors import LabelError, TaxonomyError
from urbanpipe.taxonomy import Taxonomy

_BINARY = {"0": False, "0.0": False, "1": True, "1.0": True}
_FORMS = 'a CSV with the columns "video" and "labels" (or one 0/1 column per class), or JSON {"video.mp4": [1, 14]}'


def table_entries(text: str, path: Path, taxonomy: Taxonomy) -> Iterator[LabelEntry]:
    """Yield the entries of a label table.

    Raises:
        LabelError: it is not a table, or a column or a cell cannot be used.
    """
    try:
        header, rows = read_table(text, path, "video")
    except LabelError as error:
        raise LabelError(f"{error}; a label file is {_FORMS}") from error
    columns = None if "labels" in header else _class_columns(header, path, taxonomy)
    for line, row in rows:
        where = f"{path}, line {line}, video {row['video']!r}"
        classes = split_labels_cell(row["labels"], where) if columns is None else _positives(row, columns, where)
        yield f"line {line}", row["video"], classes


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


def _positives(row: dict[str, str], columns: dict[str, int], where: str) -> list[object] | None:
    """Return the classes of a row with a 1; None if all its cells are empty."""
    if not any(row[name].strip() for name in columns):
        return None
    for name in columns:
        if row[name].strip() not in _BINARY:
            raise LabelError(
                f"{where}: column {name} has {row[name]!r}; write 0 or 1, or leave all classes of the video empty"
            )
    return [index for name, index in columns.items() if _BINARY[row[name].strip()]]
