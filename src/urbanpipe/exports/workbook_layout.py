"""How sheets look on a screen and on paper: cells, headings, widths, pages, and small pictures."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO

from openpyxl.cell import Cell as SheetCell
from openpyxl.drawing.image import Image
from openpyxl.drawing.spreadsheet_drawing import AnchorMarker, TwoCellAnchor
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.header_footer import HeaderFooterItem, _HeaderFooterPart
from openpyxl.worksheet.properties import PageSetupProperties
from openpyxl.worksheet.worksheet import Worksheet

from urbanpipe.contracts.text_width import columns_of
from urbanpipe.csv_cells import starts_formula

Cell = str | int | float | None
FONT = "Calibri"
TEXT = Alignment(wrap_text=True, vertical="top", horizontal="left")
_HAIR = Side(style="hair", color="9AA5AB")
GRID = Border(left=_HAIR, right=_HAIR, top=_HAIR, bottom=_HAIR)
_NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_GREY = PatternFill("solid", fgColor="E4E7EA")
_LINE_POINTS = 14.0
_PICTURE_PIXELS = (104, 66)
_PICTURE_ROW_POINTS = 66.0
_MARGIN_PIXELS, _EMU = 3, 9_525  # units of drawings in a pixel
_A4 = 9


def put(sheet: Worksheet, row: int, column: int, value: Cell) -> SheetCell:
    """Set a cell so that text stays text: neither a formula nor an error, even after a person edits it."""
    cell = sheet.cell(row, column)
    assert isinstance(cell, SheetCell), "only lines above a table are merged, after they are set"
    if isinstance(value, str):
        cell.value = _NOT_IN_XML.sub("\ufffd", value)
        cell.data_type = "s"
        cell.quotePrefix = starts_formula(value)
    else:
        cell.value = value
    return cell


def put_head(sheet: Worksheet, lines: Sequence[str], widths: Sequence[int]) -> None:
    """Write lines above a table, each over all of its columns and as high as its text."""
    for number, text in enumerate(lines, 1):
        cell = put(sheet, number, 1, text)
        cell.font = Font(name=FONT, size=10, bold=number == 1, color="A61B1B" if number < len(lines) else "333333")
        cell.alignment = TEXT
        sheet.merge_cells(start_row=number, end_row=number, start_column=1, end_column=len(widths))
        sheet.row_dimensions[number].height = _LINE_POINTS * _lines(text, sum(widths)) + 2


def put_headings(sheet: Worksheet, row: int, texts: Sequence[str], widths: Sequence[int] = ()) -> None:
    """Write the headings of a table; with widths, the row is high enough for both languages of each."""
    for number, text in enumerate(texts, 1):
        cell = put(sheet, row, number, text)
        cell.font, cell.fill, cell.alignment, cell.border = Font(name=FONT, size=10, bold=True), _GREY, TEXT, GRID
    if widths:
        pairs = zip(texts, widths, strict=True)
        most = max(sum(_lines(part, width - 1) for part in text.split(" / ")) for text, width in pairs)
        sheet.row_dimensions[row].height = _LINE_POINTS * most + 2


def set_widths(sheet: Worksheet, widths: Iterable[int]) -> None:
    """Set the widths of columns, in characters."""
    for number, width in enumerate(widths, 1):
        sheet.column_dimensions[get_column_letter(number)].width = width


def set_pages(sheet: Worksheet, *, last_column: str, last_row: int, heading_row: int) -> None:
    """Print a sheet on A4 landscape, one page wide, with its headings on each page and numbered pages.

    Args:
        sheet: the sheet.
        last_column: letter of the last column to print.
        last_row: last row to print.
        heading_row: row that is repeated on each page.
    """
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.paperSize = str(_A4)
    sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = 1, 0
    sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    sheet.print_title_rows = f"{heading_row}:{heading_row}"
    sheet.print_area = f"A1:{last_column}{last_row}"
    sheet.page_margins.left = sheet.page_margins.right = 0.4
    sheet.page_margins.top = sheet.page_margins.bottom = 0.8
    sheet.HeaderFooter.oddFooter = HeaderFooterItem(
        left=_HeaderFooterPart(text="&A"), right=_HeaderFooterPart(text="&P / &N")
    )


def add_pictures(sheet: Worksheet, column: int, pictures: Mapping[int, bytes]) -> None:
    """Put small pictures into the cells of a column; they are hidden with their rows when a person filters.

    Args:
        sheet: the sheet.
        column: number of the column, from 1.
        pictures: JPEG data by row.
    """
    for row, data in pictures.items():
        image = Image(BytesIO(data))
        scale = min(_PICTURE_PIXELS[0] / image.width, _PICTURE_PIXELS[1] / image.height)
        right, lower = (_MARGIN_PIXELS + int(side * scale) for side in (image.width, image.height))
        begin = _corner(row, column, _MARGIN_PIXELS, _MARGIN_PIXELS)
        image.anchor = TwoCellAnchor(editAs="twoCell", _from=begin, to=_corner(row, column, right, lower))
        sheet.add_image(image)
        sheet.row_dimensions[row].height = _PICTURE_ROW_POINTS


def _corner(row: int, column: int, x: int, y: int) -> AnchorMarker:
    """Return a point in a cell, in pixels from its corner."""
    return AnchorMarker(col=column - 1, row=row - 1, colOff=x * _EMU, rowOff=y * _EMU)


def _lines(text: str, width: int) -> int:
    return max(1, math.ceil(columns_of(text) / max(width, 1)))
