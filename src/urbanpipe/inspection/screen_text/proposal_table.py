"""The table of proposals, one row per video: people correct it, mark rows as checked, and use it as inspection data."""

from collections.abc import Mapping
from pathlib import Path

from urbanpipe.contracts.inspection_data import CHECKED, OCR_REGION, OCR_TEXT, InspectionData
from urbanpipe.contracts.workbooks import is_workbook, read_table_file
from urbanpipe.errors import InspectionError, LabelError
from urbanpipe.inspection.region import region_text
from urbanpipe.inspection.screen_text.fields import Proposal
from urbanpipe.inspection.screen_text.screen import Screen
from urbanpipe.outputs import write_csv

FIELDS = tuple(name for name in InspectionData.model_fields if name not in ("region", "soil"))
COLUMNS = (*FIELDS, CHECKED, OCR_REGION, OCR_TEXT)
Row = dict[str, str]


def read_rows_of(path: Path) -> dict[str, Row]:
    """Return the rows of a table by video, as people left them; none if there is no such file.

    Raises:
        InspectionError: the file cannot be read, or is another table.
    """
    if not path.exists():
        return {}
    if is_workbook(path):
        raise InspectionError(f"{path} is a workbook; give another --out, a CSV file")
    try:
        header, lines = read_table_file(path, "video")
        rows = {cells["video"].strip(): cells for _, cells in lines}
    except LabelError as error:
        raise InspectionError(f"{error}; give another --out") from error
    if CHECKED not in header or not set(header) <= {*InspectionData.model_fields, *COLUMNS}:
        raise InspectionError(f"{path} exists and is not a table that `ocr` wrote; give another --out")
    return rows


def write_table(path: Path, rows: Mapping[str, Row]) -> None:
    """Write the rows of a table.

    Raises:
        OutputError: the file cannot be written.
    """
    used = {column for row in rows.values() for column in row}
    columns = [*(column for column in InspectionData.model_fields if column in {*FIELDS, *used}), *COLUMNS[-3:]]
    write_csv(path, columns, ([row.get(column, "") for column in columns] for row in rows.values()))


def row_of(name: str, screen: Screen) -> Row:
    """Return the row of a video: its proposals, that nobody has checked them, and the texts they come from."""
    values = {one.field: one.value for one in screen.proposals}
    region = screen.counter.region
    return {
        "video": name,
        **values,
        CHECKED: "no",
        OCR_REGION: region_text(region) if region else "",
        OCR_TEXT: "; ".join(f"{one.field} {source_text(one)}" for one in screen.proposals),
    }


def source_text(one: Proposal) -> str:
    """Return where a proposal comes from: the text as read, its time and confidence, and the doubt."""
    doubt = f", check: {one.doubt}" if one.doubt else ""
    return f"from {one.text!r} at {one.seconds:.1f} s ({one.score:.0%}{doubt})"
