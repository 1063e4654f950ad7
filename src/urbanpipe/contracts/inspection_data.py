"""What is known of an inspected pipe beside its video: a table that people fill in, one row per video."""

import tomllib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal
from unicodedata import category

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, ValidationInfo

from urbanpipe.contracts.field_words import field_of, with_unit
from urbanpipe.contracts.name_matching import folded, match_names, near_text
from urbanpipe.contracts.names import canonical_name
from urbanpipe.contracts.quantities import clock_time, iso_date, metres_of, millimetres_of
from urbanpipe.contracts.workbooks import read_table_file
from urbanpipe.errors import InspectionError, LabelError
from urbanpipe.settings import Section, complaint

LENGTH_METRES = (0.5, 2_000.0)
"""Least and greatest length of a segment; others are in another unit."""
DIAMETER_MILLIMETRES = (100.0, 10_000.0)
"""Least and greatest diameter of a sewer; .6 is in metres, 60 in centimetres."""


def _length(value: float | None) -> float | None:
    return None if value is None else _within(value, LENGTH_METRES, "metres")


def _diameter(value: float | None) -> float | None:
    return None if value is None else _within(value, DIAMETER_MILLIMETRES, "millimetres")


def _read_length(value: object) -> object:
    return float(metres_of(value)) if isinstance(value, str) else value


def _read_diameter(value: object) -> object:
    return float(millimetres_of(value)) if isinstance(value, str) else value


def _read_date(value: object) -> object:
    return iso_date(value) if isinstance(value, str) else value


def _read_time(value: object) -> object:
    return clock_time(value) if isinstance(value, str) else value


def _read_word(value: object, info: ValidationInfo) -> object:
    """Return the key of a word in any language; an unknown one is returned unchanged."""
    if not isinstance(value, str) or not info.field_name:
        return value
    return words_of(info.field_name).get(folded(value), value)


@lru_cache
def words_of(name: str) -> dict[str, str]:
    """Return the keys of the field `direction` or `shape` by their words in any language, folded as `folded` does."""
    known: dict[str, list[str]] = tomllib.loads(_WORDS.read_text(encoding="utf-8"))[name]
    return {folded(word): key for key, words in known.items() for word in words}


def _within(value: float, limits: tuple[float, float], unit: str) -> float:
    if not limits[0] <= value <= limits[1]:
        raise ValueError(f"{value:g} is implausible in {unit}; expected {limits[0]:g} to {limits[1]:g}")
    return value


def printable(text: str) -> str:
    r"""Return text without control and format characters, which reorder or hide what others read; spaces stay.

    >>> printable("a\u202eb\u3000c\n")
    'ab\u3000c\n'
    """
    return "".join(mark for mark in text if mark.isprintable() or mark in "\n\t" or category(mark) == "Zs")


_WORDS = Path(__file__).with_name("inspection_words.toml")
Text = Annotated[str, Field(max_length=1000), AfterValidator(printable)]


class InspectionData(Section):
    """Inspection data of one video; whatever is not known is empty.

    Lengths and diameters may have a unit (`40 m`, `DN 600`, `24 in`) and a decimal comma, dates any style that has one
    meaning, and directions and shapes the words of `inspection_words.toml`.

    Attributes:
        video: file name.
        segment: name of the pipe segment, as the drawings have it.
        street: street or place.
        from_manhole: where the segment begins, at its upper end.
        to_manhole: where it ends, at its lower end.
        direction: of the camera, with the flow or against it.
        length_m: of the segment, in metres, within `LENGTH_METRES`.
        diameter_mm: of the pipe, in millimetres, within `DIAMETER_MILLIMETRES`.
        shape: of the cross-section: `circular`, `egg`, `oval`, `rectangular`, `mouth` or `other`.
        material: of the pipe.
        date: of the inspection, ISO 8601.
        time: of day at which it began, `hh:mm`.
        operator: who inspected.
        weather: during the inspection.
        job: name or number of the order.
        client: who gave the order.
        region: importance of the region (K) for condition figures, as in the sheet of choices.
        soil: soil around the pipe (T), as in the sheet of choices.
    """

    video: str = Field(min_length=1)
    segment: Text = ""
    street: Text = ""
    from_manhole: Text = ""
    to_manhole: Text = ""
    direction: Annotated[Literal["", "downstream", "upstream"], BeforeValidator(_read_word)] = ""
    length_m: Annotated[float | None, BeforeValidator(_read_length), AfterValidator(_length)] = None
    diameter_mm: Annotated[float | None, BeforeValidator(_read_diameter), AfterValidator(_diameter)] = None
    shape: Annotated[
        Literal["", "circular", "egg", "oval", "rectangular", "mouth", "other"], BeforeValidator(_read_word)
    ] = ""
    material: Text = ""
    date: Annotated[str, BeforeValidator(_read_date)] = Field(default="", pattern=r"^(\d{4}-\d{2}-\d{2})?$")
    time: Annotated[str, BeforeValidator(_read_time)] = Field(default="", pattern=r"^(([01]\d|2[0-3]):[0-5]\d)?$")
    operator: Text = ""
    weather: Text = ""
    job: Text = ""
    client: Text = ""
    region: Text = ""
    soil: Text = ""


CHECKED, OCR_TEXT, OCR_REGION = "checked", "ocr_text", "distance_region"
"""Columns of a table that `ocr` wrote: whether a person has checked a row, the text as read, and the region found."""
_OCR_COLUMNS = (CHECKED, OCR_TEXT, OCR_REGION)
_YES = {"yes", "y", "true", "1", "x", "ok", "ja", "j", "wahr", "是", "已核对", "已核對"}
_LISTED = 20
_TWICE = "is named twice; give one row per video, and cut a video that shows two segments"


def is_checked(cell: str) -> bool:
    """Return whether a cell of the column `checked` says yes, in English, German or Chinese."""
    return folded(cell) in _YES


def read_inspection_data(
    path: Path, *, unchecked: dict[str, InspectionData] | None = None
) -> dict[str, InspectionData]:
    """Read a CSV or XLSX file with the column `video` and any other fields of `InspectionData`.

    Headings may have any case, be in English, German or Chinese (`field_words.toml`), and name a unit, such as
    `Length (ft)`. A table that `ocr` wrote has more columns, which are not used.

    Args:
        path: the file.
        unchecked: gets the rows that were read by OCR and that nobody has checked, by video name; None refuses them.

    Returns:
        The rows by video name.

    Raises:
        InspectionError: the file cannot be read, a column or value is not known, a video is named twice, or nobody has
            checked rows that were read by OCR.
    """
    rows: dict[str, InspectionData] = {}
    to_check: dict[str, tuple[int, InspectionData]] = {}
    try:
        header, lines = read_table_file(path, "video")
        fields = _fields_of(header, path)
        for line, cells in lines:
            where = f"{path}, line {line}"
            texts = {fields[key][0]: with_unit(value.strip(), fields[key][1]) for key, value in cells.items()}
            row = _row({key: value for key, value in texts.items() if key not in _OCR_COLUMNS}, where)
            if row.video in rows or row.video in to_check:
                raise InspectionError(f"{where}: {row.video} {_TWICE}")
            if _needs_check(row, texts):
                to_check[row.video] = line, row
            else:
                rows[row.video] = row
    except LabelError as error:  # the one reader of CSV tables words its errors for any table
        raise InspectionError(str(error)) from error
    if unchecked is None and to_check:
        raise InspectionError(_refusal({video: line for video, (line, _) in to_check.items()}, path))
    if unchecked is not None:
        unchecked |= {video: row for video, (_, row) in to_check.items()}
    return rows


def _fields_of(header: Sequence[str], path: Path) -> dict[str, tuple[str, str]]:
    """Return the field and the unit of each column.

    Raises:
        InspectionError: a column is not known, or two are one field.
    """
    fields = {column: (column, "") if column in _OCR_COLUMNS else field_of(column) for column in header}
    names = [name for name, _ in fields.values()]
    if unknown := [
        one for one, (name, _) in fields.items() if name not in {*InspectionData.model_fields, *_OCR_COLUMNS}
    ]:
        known = ", ".join(InspectionData.model_fields)
        raise InspectionError(f"{path}: unknown column {unknown[0]!r}; the columns are {known}")
    if twice := next((one for one, (name, _) in fields.items() if names.count(name) > 1), None):
        raise InspectionError(f"{path}: {twice!r} and another column are both {fields[twice][0]}; keep one of them")
    return fields


def _refusal(lines: Mapping[str, int], path: Path) -> str:
    """Return the message for rows that nobody has checked."""
    shown, more = list(lines)[:_LISTED], len(lines) - _LISTED
    videos = ", ".join(shown) + (f" and {more} more" if more > 0 else "")
    numbers = ", ".join(str(lines[video]) for video in shown)
    what, where = ("row", "line") if len(lines) == 1 else ("rows", "lines")
    return (
        f"{path}, {where} {numbers}: nobody has checked what was read by OCR for {videos}; correct the {what}, and "
        f"write yes in the column {CHECKED!r}"
    )


def _needs_check(row: InspectionData, cells: dict[str, str]) -> bool:
    """Return whether a row has values that were read by OCR and that nobody has checked."""
    return CHECKED in cells and row != InspectionData(video=row.video) and not is_checked(cells[CHECKED])


def read_data_of(
    path: Path, videos: Sequence[str], *, unchecked: dict[str, InspectionData] | None = None
) -> tuple[dict[str, InspectionData], tuple[str, ...]]:
    """Read inspection data and join it with videos.

    Args:
        path: CSV or XLSX; see `read_inspection_data`. Names may lack a folder or a suffix, as in label files.
        videos: distinct names of the videos.
        unchecked: gets the data that was read by OCR and that nobody has checked, by video; None refuses it.

    Returns:
        The data by video, and the names in the file without a video, each with those that are near.

    Raises:
        InspectionError: the file cannot be read, or none of its names has a video.
    """
    proposed: dict[str, InspectionData] | None = None if unchecked is None else {}
    data = read_inspection_data(path, unchecked=proposed)
    matches = match_names({**data, **(proposed or {})}, videos)
    unmatched = tuple(f"{name}{near_text(near)}" for name, near in matches.near.items())
    if unmatched and not matches.matched:
        raise InspectionError(f"{path}: none of its names has an inspected video, the first is {unmatched[0]}")
    if unchecked is not None and proposed:
        for name, video in matches.matched.items():
            if name in proposed:  # an earlier source comes first
                unchecked[video] = joined(proposed[name], unchecked.get(video, proposed[name]))
    return {video: data[name] for name, video in matches.matched.items() if name in data}, unmatched


def joined(given: InspectionData | None, entered: InspectionData) -> InspectionData:
    """Return inspection data with what is empty in `entered` taken from `given`."""
    known = {name: value for name, value in entered.model_dump().items() if value not in ("", None)}
    return given.model_copy(update=known) if given else entered


def read_day(text: str) -> str:
    """Return the day of `--date`, in any style that has one meaning, as year-month-day.

    Raises:
        InspectionError: it is not a date.
    """
    try:
        day = InspectionData(video="-", date=text).date
    except ValidationError as error:
        raise _no_day(text) from error
    if not day:
        raise _no_day(text)
    return day


def _no_day(text: str) -> InspectionError:
    return InspectionError(f"--date: {text!r} is not a date; expected year-month-day, such as 2026-01-31")


def _row(cells: dict[str, str], where: str) -> InspectionData:
    given: dict[str, str] = {key: value for key, value in cells.items() if value}
    try:
        return InspectionData.model_validate(given | {"video": canonical_name(cells["video"])})
    except ValidationError as error:
        raise InspectionError(f"{where}: {complaint(error)}") from error
