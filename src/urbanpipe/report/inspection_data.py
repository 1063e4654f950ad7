"""Inspection data in words: names and values of the fields, in the language of a report or a record."""

from collections.abc import Iterator
from pathlib import Path

from urbanpipe.contracts.inspection_data import InspectionData
from urbanpipe.report.wording import Wording, wording

DATA_TEXTS = Path(__file__).with_name("data_texts.toml")
SHOWN = (
    *("segment", "street", "from_manhole", "to_manhole", "direction", "length_m", "diameter_mm", "shape", "material"),
    *("date", "time", "operator", "weather", "job", "client"),
)
"""Fields that a report shows, in this order."""
_HEADINGS = {"length_m": "length", "diameter_mm": "diameter"}


def value_text(data: InspectionData, field: str, t: Wording) -> str:
    """Return the value of a field with its unit, or in words; empty if it is not known.

    Args:
        data: the inspection data.
        field: name of the field.
        t: texts of `data_texts.toml`.
    """
    value = getattr(data, field)
    if value in ("", None):
        return ""
    if field in ("direction", "shape"):
        return t(f"{field}_{value}")
    unit = {"length_m": "m", "diameter_mm": "mm"}.get(field)
    return f"{value:g} {unit}" if unit else str(value)


def known_fields(data: InspectionData, language: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the value of each field that is known.

    Raises:
        InspectionError: there are no texts in that language.
    """
    t = wording(language, DATA_TEXTS)
    for field in SHOWN:
        if text := value_text(data, field, t):
            yield t(_HEADINGS.get(field, field)), text
