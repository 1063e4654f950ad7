"""Inspection data that `inspect` was given, stored with the findings of each video."""

from pathlib import Path

from pydantic import ValidationError

from urbanpipe.contracts.inspection_data import InspectionData
from urbanpipe.outputs import remove, write_text

STORED_DATA = "inspection_data.json"
"""Name of the file in the folder of an inspection."""


def read_stored_data(folder: Path) -> InspectionData | None:
    """Return the inspection data in the folder of an inspection; None if there is none, or it is damaged."""
    try:
        return InspectionData.model_validate_json((folder / STORED_DATA).read_bytes())
    except (OSError, ValidationError):
        return None


def store_data(folder: Path, data: InspectionData | None) -> None:
    """Write inspection data into the folder of an inspection, or remove it if there is none.

    Raises:
        OutputError: the file cannot be written or removed.
    """
    path = folder / STORED_DATA
    if data is not None:
        if data != read_stored_data(folder):
            write_text(path, data.model_dump_json(indent=1) + "\n")
        return
    remove(path)
