"""Read sheets of a workbook that a person filled in, as rows of cells that know their position for error messages."""

import re
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from openpyxl import load_workbook
from openpyxl.utils import get_column_letter

from urbanpipe.contracts.workbook_bounds import MAX_COLUMNS, MAX_ROWS, check_workbook, not_a_workbook, too_large
from urbanpipe.errors import InspectionError, Mistake, TableError
from urbanpipe.exports.cell_texts import (
    NOTHING,
    CellError,
    CellPlace,
    Expectation,
    MissingCell,
    SheetCell,
    Word,
    WrongCell,
)
from urbanpipe.exports.columns import Column

T = TypeVar("T")
_HEAD_ROWS = 20
_SHOWN, _SHOWN_FAULT = 60, 40  # characters of a cell in a message
_TEXT = Expectation("text")
_LONGEST = 12  # digits; no pipe needs more, and a number with a million digits would take forever
_NUMBER = re.compile(r"-?\d{1,12}([.]\d{1,12})?", re.ASCII)


@dataclass(frozen=True)
class Field:
    """A cell: its position, for people, its value, and why the value cannot be used.

    Attributes:
        where: its position.
        value: the value.
        fault: `formula` or `error` where the cell holds that instead of a value, which is then its text; else empty.
            Only the use of such a cell raises an error.
    """

    where: CellPlace
    value: object
    fault: str = ""

    @property
    def empty(self) -> bool:
        """Whether the cell has no value or only white space."""
        blank = self.value is None or (isinstance(self.value, str) and not self.value.strip())
        return blank and not self.fault

    def _check_fault(self) -> None:
        if self.fault:
            held = {"what": Word(self.fault), "found": str(self.value)[:_SHOWN_FAULT]}
            raise CellError(WrongCell(self.where, "no_value", held))

    def wrong(self, right: Expectation) -> CellError:
        """Return an error that gives the value and what was expected."""
        found = repr(self.value) if isinstance(self.value, str) else str(self.value)
        values = {"found": NOTHING if self.empty else found[:_SHOWN], "expected": right}
        return CellError(WrongCell(self.where, "wrong", values))

    def missing(self, right: Expectation) -> MissingCell:
        """Return the empty cell and what is expected."""
        return MissingCell(self.where, right)

    def text(self) -> str:
        """Return the value as text; a whole number is written without a decimal point.

        Raises:
            InspectionError: the value is a date, or true or false, or the cell holds a formula or an error.
        """
        self._check_fault()
        if isinstance(self.value, float) and self.value.is_integer():
            return str(int(self.value))
        if isinstance(self.value, bool) or not isinstance(self.value, str | int | float | None):
            raise self.wrong(_TEXT)
        return "" if self.value is None else str(self.value).strip()

    def quantity(self, right: Expectation, read: Callable[[str], Decimal]) -> Decimal:
        """Return the value as a number in the unit of its column; a text may have another unit or a decimal comma.

        Args:
            right: what is expected.
            read: function that reads a text, such as `metres_of`; raises ValueError.

        Raises:
            InspectionError: the value is no such quantity, or the cell holds a formula or an error.
        """
        if self.fault or not isinstance(self.value, str) or _NUMBER.fullmatch(self.value.strip()):
            return self.number(right)
        try:
            return read(self.value)
        except ValueError:
            raise self.wrong(right) from None

    def number(self, right: Expectation) -> Decimal:
        """Return the value as a number, exactly as the spreadsheet shows it.

        Raises:
            InspectionError: the value is not a number, or the cell holds a formula or an error. Commas, units and
                dates are not interpreted.
        """
        self._check_fault()
        if isinstance(self.value, int | float) and not isinstance(self.value, bool):
            number = Decimal(repr(self.value))
            if number.is_finite() and abs(number) < 10**_LONGEST:
                # a spreadsheet computes 12.3 + 0.1 as 12.400000000000002 and shows 12.4
                return round(number, 9).normalize() + 0
        elif isinstance(self.value, str) and _NUMBER.fullmatch(self.value.strip()):
            return Decimal(self.value.strip())
        raise self.wrong(right)


@dataclass(frozen=True)
class SheetRow:
    """A row of a table: its cells by column."""

    cells: dict[str, Field]

    def __getitem__(self, key: str) -> Field:
        return self.cells[key]


class Mistakes:
    """Collects the errors of a table, so that a person learns of all of them at once."""

    def __init__(self) -> None:
        self.found: list[Mistake] = []

    def catch(self, read: Callable[[], T]) -> T | None:
        """Return the result of `read`, or record its error and return None."""
        try:
            return read()
        except CellError as error:
            self.found.append(error.mistake)
            return None

    def raise_any(self) -> None:
        """Raise all errors as one, if there are any.

        Raises:
            TableError: there is at least one.
        """
        if self.found:
            raise TableError(self.found)


def read_sheets(
    path: Path, wanted: Mapping[str, Sequence[Column]], optional: Collection[str] = ()
) -> dict[str, list[SheetRow]]:
    """Read the rows of some sheets, without those that are empty in all columns.

    Args:
        path: an XLSX file.
        wanted: columns of each sheet, by title; they may be in any order and among others.
        optional: keys of columns that may be missing; their fields are then empty.

    Raises:
        InspectionError: the file cannot be read, is not a workbook or is too large, or a sheet or a column is missing
            or occurs twice.
    """
    if path.suffix.lower() != ".xlsx":
        raise InspectionError(f"{path} is not .xlsx; only an .xlsx export has the sheets for grades and segments")
    check_workbook(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about parts that openpyxl does not know, such as newer validations
            with path.open("rb") as file, closing(load_workbook(file, read_only=True)) as book:
                return _tables(path, book, wanted, optional)
    except InspectionError:
        raise
    except Exception as error:  # openpyxl raises many kinds of errors for damaged files, also while it reads rows
        raise not_a_workbook(path, error) from error


def _tables(
    path: Path, book: Any, wanted: Mapping[str, Sequence[Column]], optional: Collection[str]
) -> dict[str, list[SheetRow]]:
    sheets = {sheet.title.strip().casefold(): sheet for sheet in book.worksheets}
    if missing := [title for title in wanted if title not in sheets]:
        raise InspectionError(
            f"{path} has no sheet {missing[0]!r}, only {', '.join(map(repr, book.sheetnames))[:200]}; "
            "give a table of `urbanpipe export --to cjj181`"
        )
    return {title: list(_rows(path, sheets[title], title, wanted[title], optional)) for title in wanted}


def _rows(
    path: Path, sheet: Any, title: str, columns: Sequence[Column], optional: Collection[str]
) -> Iterator[SheetRow]:
    sheet.reset_dimensions()  # the dimensions stored in a file may be wrong
    places: dict[str, int] = {}
    for number, cells in enumerate(sheet.iter_rows(max_col=MAX_COLUMNS), 1):
        if number > MAX_ROWS:
            raise too_large(path, f"more than {MAX_ROWS:,} rows in the sheet {title!r}")
        if not places:
            places = _places([cell.value for cell in cells], title, columns, optional, number)
            continue
        fields = {key: _field(cells, place, title, number, key) for key, place in places.items()}
        if not all(field.empty for field in fields.values()):
            absent = {key: Field(SheetCell(title, number, "", key), None) for key in optional}
            yield SheetRow(absent | fields)
    if not places:
        raise _no_headings(title, columns)


def _places(
    values: Sequence[object], title: str, columns: Sequence[Column], optional: Collection[str], number: int
) -> dict[str, int]:
    """Return the positions of the columns if this row holds their headings, in either language; else an empty dict."""
    parts = [{part.strip().casefold() for part in str(value or "").split("/")} for value in values]
    found = {
        column.key: [place for place, names in enumerate(parts) if names & {column.en.casefold(), column.zh.casefold()}]
        for column in columns
    }
    if sum(map(bool, found.values())) < 2:
        if number > _HEAD_ROWS:
            raise _no_headings(title, columns)
        return {}
    for column in columns:
        if len(found[column.key]) != 1 and (found[column.key] or column.key not in optional):
            how = "is missing" if not found[column.key] else "occurs twice"
            raise InspectionError(f"sheet {title!r}, row {number}: the column {column.en!r} {how}; keep one of each")
    return {key: places[0] for key, places in found.items() if places}


def _no_headings(title: str, columns: Sequence[Column]) -> InspectionError:
    names = ", ".join(column.en for column in columns)
    return InspectionError(f"sheet {title!r} has no row of headings in its first {_HEAD_ROWS}; expected {names}")


def _field(cells: Sequence[Any], place: int, title: str, number: int, key: str) -> Field:
    where = SheetCell(title, number, get_column_letter(place + 1), key)
    if place >= len(cells):
        return Field(where, None)
    cell = cells[place]
    return Field(where, cell.value, {"f": "formula", "e": "error"}.get(cell.data_type, ""))
