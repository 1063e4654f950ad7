"""Damaged, odd and huge workbooks: one line or a result, whatever is in the file."""

import random
from collections.abc import Callable
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
from openpyxl import load_workbook

from helpers.filled_tables import defect, filled_table, segment
from urbanpipe.contracts import workbook_bounds
from urbanpipe.errors import InspectionError
from urbanpipe.exports.condition_report import Condition, condition
from urbanpipe.exports.tamper_check import refuse_if_touched

SHEET = "xl/worksheets/sheet1.xml"
HEAD = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
TAIL = "</sheetData></worksheet>"


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [defect("CK", 2, 3.5), defect("CJ", 3, "12.4", 2), defect("SL", "-", None), defect("PL", 1, 20)]
    return filled_table(tmp_path_factory.mktemp("filled") / "t.xlsx", [segment(), segment("S2")], rows)


def repacked(source: Path, to: Path, change: Callable[[str, bytes], bytes]) -> Path:
    """Copy a workbook with changed contents and valid checksums."""
    with ZipFile(source) as old, ZipFile(to, "w", ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return to


def spoilt(source: Path, to: Path, part: str, rng: random.Random) -> Path:
    """Copy a workbook with damage in the files whose names contain `part`."""
    return repacked(source, to, lambda name, data: damaged(data, rng) if part in name else data)


def with_last_row(source: Path, to: Path, row: str) -> Path:
    """Copy a workbook with one more row at the end of its first sheet."""
    end = b"</sheetData>"
    return repacked(source, to, lambda name, data: data.replace(end, row.encode() + end) if name == SHEET else data)


def with_sheet(source: Path, to: Path, xml: str) -> Path:
    return repacked(source, to, lambda name, data: xml.encode() if name == SHEET else data)


def result_or_line(path: Path, out: Path) -> Condition | str:
    """The result, or the message of the error, which must be one line that names the file or a sheet."""
    try:
        return condition(path, out=out)
    except InspectionError as error:
        message = str(error)
        assert "\n" not in message
        assert str(path) in message or "sheet '" in message
        return message


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Flip bits, cut, zero a run, or repeat a part."""
    changed = bytearray(data)
    kind, at = rng.randrange(4), rng.randrange(len(data))
    if kind == 0:
        for _ in range(rng.choice((1, 2, 20))):
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    elif kind == 1:
        del changed[at:]
    elif kind == 2:
        changed[at : at + rng.randrange(1, 200)] = bytes(rng.randrange(1, 200))
    else:
        changed[at:at] = changed[at : at + rng.randrange(1, 500)]
    return bytes(changed)


@pytest.mark.slow
@pytest.mark.parametrize("part", ["xl/worksheets/", "xl/workbook.xml", "xl/s", "[Content_Types]", "_rels/", "whole"])
def test_a_damaged_workbook_is_one_line_or_a_result(part: str, table: Path, tmp_path: Path) -> None:
    refused = 0
    for seed in range(60):
        rng, path = random.Random(f"{part} {seed}"), tmp_path / f"{seed}.xlsx"
        if part == "whole":
            path.write_bytes(damaged(table.read_bytes(), rng))
        else:
            spoilt(table, path, part, rng)
        refused += isinstance(result_or_line(path, tmp_path / "c.json"), str)
    assert refused > 10


def test_a_sheet_cut_in_half_is_called_damaged(table: Path, tmp_path: Path) -> None:
    path = repacked(table, tmp_path / "cut.xlsx", lambda name, data: data[: len(data) // 2] if name == SHEET else data)
    assert "is damaged" in str(result_or_line(path, tmp_path / "c.json"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ('<row r="1"><c r="A1"/></row><row r="1000000000"><c r="A1000000000"/></row>', "no row of headings"),
        ("".join(f'<row r="{n}"/>' for n in range(1, 60_000)), "no row of headings"),
        ("<row>" + "<c/>" * 6_000_000 + "</row>", "far more cells"),
        ('<row r="1"><c r="XFD1" t="n"><v>1</v></c></row>', "no row of headings"),
    ],
)
def test_a_small_file_with_a_huge_sheet_is_refused(rows: str, message: str, table: Path, tmp_path: Path) -> None:
    path = with_sheet(table, tmp_path / "bomb.xlsx", HEAD + rows + TAIL)
    assert message in str(result_or_line(path, tmp_path / "c.json"))


@pytest.mark.slow
def test_rows_after_the_headings_are_limited_too(table: Path, tmp_path: Path) -> None:
    for gap in ('<row r="900000000"><c r="A900000000"/></row>', '<row r="50001"/>'):
        path = with_last_row(table, tmp_path / "gap.xlsx", gap)
        assert "more than 50,000 rows in the sheet 'defects'" in str(result_or_line(path, tmp_path / "c.json"))


@pytest.mark.parametrize(
    ("limit", "value", "message"), [("MAX_BYTES", 1000, "MB of content"), ("MAX_FILES", 3, "files inside")]
)
def test_large_contents_and_many_files_are_refused(
    limit: str, value: int, message: str, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbook_bounds, limit, value)
    assert message in str(result_or_line(table, tmp_path / "c.json"))


def test_an_export_is_never_compared_with_a_huge_sheet(table: Path, tmp_path: Path) -> None:
    cells = '<row r="1"><c r="A1"/></row><row r="1048576"><c r="XFD1048576" t="n"><v>1</v></c></row>'
    path = with_sheet(table, tmp_path / "wide.xlsx", HEAD + cells + TAIL)
    with pytest.raises(InspectionError, match="may contain a person's work"):
        refuse_if_touched(path)


def test_a_protected_workbook_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    path.write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + b"\0" * 600)
    assert "without a password" in str(result_or_line(path, tmp_path / "c.json"))


def test_a_chart_in_place_of_a_sheet_is_no_traceback(table: Path, tmp_path: Path) -> None:
    book = load_workbook(table)
    del book["segment"]
    book.create_chartsheet("segment")
    book.save(tmp_path / "chart.xlsx")
    assert isinstance(result_or_line(tmp_path / "chart.xlsx", tmp_path / "c.json"), str)


def test_merged_cells_are_empty_but_for_the_first(table: Path, tmp_path: Path) -> None:
    book = load_workbook(table)
    book["defects"].merge_cells("A3:A4")
    book.save(tmp_path / "merged.xlsx")
    message = str(result_or_line(tmp_path / "merged.xlsx", tmp_path / "c.json"))
    assert message.startswith("sheet 'defects', row 4, column A (segment) has nothing; expected one of")


def test_hidden_and_filtered_rows_count(table: Path, tmp_path: Path) -> None:
    book = load_workbook(table)
    book["defects"].row_dimensions[3].hidden = True
    book["defects"].auto_filter.ref = "A2:N6"
    book["segment"].sheet_state = "hidden"
    book.save(tmp_path / "hidden.xlsx")
    done = condition(tmp_path / "hidden.xlsx", out=tmp_path / "c.json")
    assert [one.defects for one in done.segments] == [3, 0]


@pytest.mark.parametrize("value", ["#REF!", "#N/A", "#DIV/0!", "=SUM(A1:A9)", "={1,2}"])
@pytest.mark.parametrize(
    ("sheet", "cell"), [("defects", "G3"), ("defects", "A3"), ("segment", "D3"), ("segment", "G3")]
)
def test_formulas_and_errors_are_named_where_they_are(
    value: str, sheet: str, cell: str, table: Path, tmp_path: Path
) -> None:
    book = load_workbook(table)
    book[sheet][cell] = value
    book.save(tmp_path / "f.xlsx")
    message = str(result_or_line(tmp_path / "f.xlsx", tmp_path / "c.json"))
    assert message.startswith(f"sheet '{sheet}', row 3, column {cell[0]}")
    assert f"holds the {'formula' if value[0] == '=' else 'error'} {value}; write the value itself" in message
    assert "more mistake" not in message
