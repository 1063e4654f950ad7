"""Label files as tables: a `labels` column, or one 0/1 column per class; times in `moments` or `moment`."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from urbanpipe.catalog.label_cells import class_indices, parse_labels_cell, short
from urbanpipe.catalog.label_json import LabelEntry
from urbanpipe.catalog.moment_cells import moment_seconds, parse_moments_cell
from urbanpipe.contracts.csv_reading import folded_header, read_table
from urbanpipe.contracts.workbooks import read_workbook
from urbanpipe.errors import LabelError, TaxonomyError
from urbanpipe.taxonomy import Taxonomy

_BINARY = {"0": False, "0.0": False, "1": True, "1.0": True}
_COLUMNS = ("labels", "label", "classes", "class", "codes", "code")
_MOMENTS, _MOMENT = "moments", "moment"  # `TJ@12.5 CJ@30.0`, and the second at which the classes of a row are visible
_FORMS = (
    'a CSV or XLSX with the columns "video" and "labels" (or one 0/1 column per class), or JSON {"video.mp4": [1, 14]}'
)


def table_entries(path: Path, text: str | None, taxonomy: Taxonomy) -> Iterator[LabelEntry]:
    """Yield the entries of a label table, one per row: `text`, or a workbook if it is None.

    Raises:
        LabelError: it is not a table, or a column or a cell cannot be used.
    """
    try:
        header, rows = read_workbook(path, "video") if text is None else read_table(text, path, "video")
    except LabelError as error:
        raise LabelError(f"{error}; a label file is {_FORMS}") from error
    column = _labels_column(header)
    columns = {} if column else _class_columns(header, path, taxonomy)
    timed = {name.casefold(): name for name in header if name.casefold() in (_MOMENTS, _MOMENT)}
    for line, row in rows:
        where = f"{path}, line {line}, video {row['video']!r}"
        classes = parse_labels_cell(row[column], taxonomy, where) if column else _positives(row, columns, where)
        yield LabelEntry(f"line {line}", row["video"], classes, _moments(row, timed, classes, taxonomy, where))


def _moments(
    row: dict[str, str], columns: dict[str, str], classes: Sequence[object] | None, taxonomy: Taxonomy, where: str
) -> list[tuple[str, float]]:
    """Return classes with their times, from the columns `moments` and `moment` where a table has them.

    Args:
        row: the cells by heading.
        columns: headings of the two columns, as far as they are there.
        classes: classes of the row.
        taxonomy: the classes.
        where: beginning of error messages.
    """
    cells = {name: row[heading].strip() for name, heading in columns.items()}
    labels = class_indices(classes or (), taxonomy, where)
    written = parse_moments_cell(cells.get(_MOMENTS, ""), labels, taxonomy, where)
    moments = [(taxonomy.codes[label], seconds) for label, seconds in written]
    if cell := cells.get(_MOMENT):
        if not labels:
            raise LabelError(
                f"{where}: {_MOMENT} has {short(cell)}, but the row has no class; give it one, or empty the cell"
            )
        moments += [(taxonomy.codes[label], moment_seconds(cell, cell, where)) for label in labels]
    return moments


def _labels_column(header: list[str]) -> str | None:
    """Return the column that lists classes, or None if the classes have columns of their own."""
    named = [name for name in header if name.casefold() in _COLUMNS]
    if named:
        return "labels" if "labels" in named else named[0] if len(named) == 1 else None
    folded = folded_header(header, "labels")
    return header[folded.index("labels")] if folded.count("labels") == 1 else None


def _class_columns(header: list[str], path: Path, taxonomy: Taxonomy) -> dict[str, int]:
    columns: dict[str, int] = {}
    for name in header:
        if name.casefold() in ("video", _MOMENTS, _MOMENT):
            continue
        try:
            columns[name] = taxonomy.index(name)
        except TaxonomyError as error:
            raise LabelError(f'{path}: column {name!r} is neither "labels" nor a class: {error}') from error
    found = Counter(columns.values())
    if twice := [name for name, index in columns.items() if found[index] > 1]:
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
