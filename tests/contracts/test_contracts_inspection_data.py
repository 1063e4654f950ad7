"""Inspection data: the table that people fill in, and where it goes."""

import re
from collections import Counter
from datetime import datetime, time
from pathlib import Path

import pytest
from openpyxl import Workbook, load_workbook
from typer.testing import CliRunner

from helpers.inspection_material import made_inspection
from urbanpipe.api import export
from urbanpipe.cli.main import app
from urbanpipe.contracts.field_words import words_by_field
from urbanpipe.contracts.inspection_data import InspectionData, read_inspection_data
from urbanpipe.contracts.inspection_sources import data_of_paths, read_sources
from urbanpipe.errors import InspectionError


def table(folder: Path, text: str) -> Path:
    path = folder / "data.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_rows_are_read_by_video(tmp_path: Path) -> None:
    text = "video;segment;length_m;diameter_mm;direction;date\na.mp4;KS 1-2;41.5;300;upstream;2026-03-01\nb.mp4;;;;;\n"
    found = read_inspection_data(table(tmp_path, text))
    assert found["a.mp4"] == InspectionData(
        video="a.mp4", segment="KS 1-2", length_m=41.5, diameter_mm=300, direction="upstream", date="2026-03-01"
    )
    assert found["b.mp4"] == InspectionData(video="b.mp4")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video,lenght_m\na.mp4,3\n", "unknown column 'lenght_m'; the columns are video, segment"),
        (
            "video,diameter_mm\na.mp4,0.6\n",
            "line 2: diameter_mm: 0.6 is implausible in millimetres; expected 100 to 10000",
        ),
        (
            "video,length_m\na.mp4,-3\n",
            "line 2: length_m: -3 is implausible in metres; expected 0.5 to 2000",
        ),
        ("video,diameter_mm\na.mp4,wide\n", "line 2: diameter_mm: 'wide' is not a number with a unit"),
        ("video;length_m\na.mp4;1,500\n", "line 2: length_m: '1,500' may be 1.500 or 1500; write one"),
        ("video,length_m\na.mp4,40 yd\n", "line 2: length_m: '40 yd' has an unknown unit; write m, cm"),
        ("video,date\na.mp4,1.3.26\n", "line 2: date: 1.3.26 has a year of two digits; write"),
        ("video,date\na.mp4,3/4/2026\n", "line 2: date: 3/4/2026 may be 2026-03-04 or 2026-04-03; write"),
        ("video,date\na.mp4,30.2.2026\n", "line 2: date: 30.2.2026 is no day of the calendar"),
        ("video,direction\na.mp4,up\n", "line 2: direction: Input should be"),
        ("video\na.mp4\na.mp4\n", "line 3: a.mp4 is named twice"),
        ("name\na.mp4\n", "video"),
    ],
)
def test_mistakes_are_one_line(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InspectionError, match=message) as caught:
        read_inspection_data(table(tmp_path, text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        *("2026-01-31", "31.1.2026", "31.01.2026", "2026/01/31", "2026-1-31", "20260131", "31/1/2026", "1/31/2026"),
        *("46053", "2026年1月31日", "2026-01-31 00:00:00"),
    ],
)
def test_dates_of_several_styles_are_one_day(text: str, tmp_path: Path) -> None:
    (row,) = read_inspection_data(table(tmp_path, f"video,date\na.mp4,{text}\n")).values()
    assert row.date == "2026-01-31"


def test_excel_dates_and_times_are_read(tmp_path: Path) -> None:
    book = Workbook()
    sheet = book.worksheets[0]
    for cells in (["video", "date", "time", "length_m"], ["a.mp4", datetime(2026, 1, 31), time(9, 5), 40.5]):
        sheet.append(cells)
    book.save(tmp_path / "data.xlsx")
    row = read_inspection_data(tmp_path / "data.xlsx")["a.mp4"]
    assert (row.date, row.time, row.length_m) == ("2026-01-31", "09:05", 40.5)


@pytest.mark.parametrize(
    ("length", "diameter", "metres", "millimetres"),
    [
        ("40 m", "0.6 m", 40, 600),
        ("3,5", "DN 600", 3.5, 600),
        ("131 ft", "24 in", 39.9288, 609.6),
        ("40米", "60cm", 40, 600),
        ("４０", "ø300", 40, 300),
    ],
)
def test_lengths_and_diameters_have_units(
    length: str, diameter: str, metres: float, millimetres: float, tmp_path: Path
) -> None:
    (row,) = read_inspection_data(table(tmp_path, f"video;length_m;diameter_mm\na.mp4;{length};{diameter}\n")).values()
    assert (row.length_m, row.diameter_mm) == (metres, millimetres)


def test_directions_and_shapes_are_words_of_several_languages(tmp_path: Path) -> None:
    text = "video,direction,shape,time\na,顺流,蛋形,9:05\nb,Against the Flow,Egg-Shaped,\nc,gegen Fließrichtung,Ei,\n"
    rows = read_inspection_data(table(tmp_path, text))
    assert [(one.direction, one.shape) for one in rows.values()] == [
        ("downstream", "egg"),
        ("upstream", "egg"),
        ("upstream", "egg"),
    ]
    assert rows["a"].time == "09:05"


def test_it_names_the_segments_of_a_table(tmp_path: Path) -> None:
    name = made_inspection(tmp_path / "out" / "v").video.name
    data = table(tmp_path, f"video,segment,length_m,diameter_mm\n{name},KS 1-2,41.5,300\n")
    export(tmp_path / "out", out=tmp_path / "t.xlsx", to="cjj181", inspection_data=data)
    book = load_workbook(tmp_path / "t.xlsx")
    assert [cell.value for cell in book["segment"][3]][:4] == ["KS 1-2", name, 41.5, 300]
    assert {row[0].value for row in book["defects"].iter_rows(min_row=5) if row[1].value} == {"KS 1-2"}
    with pytest.raises(InspectionError, match="has no effect on qvpipe"):
        export(tmp_path / "out", out=tmp_path / "q.json", to="qvpipe", inspection_data=data)


def test_its_names_match_the_videos_as_those_of_labels_do(tmp_path: Path) -> None:
    name = made_inspection(tmp_path / "out" / "v").video.name
    data = table(tmp_path, f"video,segment\nD:\\archive\\{name.upper()},KS 1-2\nelsewhere.mp4,KS 9\n")
    done = export(tmp_path / "out", out=tmp_path / "t.xlsx", to="cjj181", inspection_data=data)
    assert load_workbook(tmp_path / "t.xlsx")["segment"].cell(3, 1).value == "KS 1-2"
    assert "inspection data of a video that was not inspected: elsewhere.mp4" in list(done.lines())
    data = table(tmp_path, "video,segment\nelsewhere.mp4,KS 9\n")
    with pytest.raises(InspectionError, match=r"none of its names has an inspected video, the first is elsewhere\.mp4"):
        export(tmp_path / "out", out=tmp_path / "u.xlsx", to="cjj181", inspection_data=data)


PATHS = {"1.mp4": "/v/Long Street/K1-K2 (600).mp4", "2.mp4": "D:\\v\\Hill\\K7-K8.mp4", "3.mp4": "/v/other.mp4"}


def test_a_rule_takes_fields_from_the_ends_of_paths() -> None:
    data, unmatched = read_sources("{street}/{from_manhole}-{to_manhole}*", PATHS)
    assert {name: (one.street, one.from_manhole, one.to_manhole[:2]) for name, one in data.items()} == {
        "1.mp4": ("Long Street", "K1", "K2"),
        "2.mp4": ("Hill", "K7", "K8"),
    }
    assert unmatched == ()
    (one,) = data_of_paths("{street}/{segment} ({diameter_mm})", PATHS).values()
    assert (one.segment, one.diameter_mm) == ("K1-K2", 600)


def test_of_several_sources_the_first_that_knows_a_field_counts(tmp_path: Path) -> None:
    path = table(tmp_path, "video,street,length_m\n1.mp4,Short Street,40 m\n")
    data, _ = read_sources([str(path), "{street}/{segment}"], PATHS)
    assert (data["1.mp4"].street, data["1.mp4"].length_m, data["1.mp4"].segment) == ("Short Street", 40, "K1-K2 (600)")
    assert data["2.mp4"].street == "Hill"


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("{street}/{manhole}", r"has \{manhole\}; the fields, once each, are segment, street"),
        ("{street}/{street}", r"has \{street\}; the fields, once each"),
        ("{street}/{segment", r"has a single \{; write fields in braces, such as \{street\}"),
        ("{weather}/x{segment}y", "fits none of the videos, the first is /v/Long Street"),
        ("{length_m}/{segment}", "gives 1.mp4 a wrong value: length_m: 'Long Street' is not a number"),
    ],
)
def test_a_wrong_rule_is_one_line(rule: str, message: str) -> None:
    with pytest.raises(InspectionError, match=message):
        read_sources(rule, PATHS)


def test_commands_take_a_rule(tmp_path: Path) -> None:
    made_inspection(tmp_path / "out" / "v", "K1-K2.mp4")
    command = ["export", str(tmp_path / "out"), "--to", "cjj181", "--out", str(tmp_path / "t.xlsx")]
    run = CliRunner().invoke(app, [*command, "--inspection-data", "{segment}"])
    assert run.exit_code == 0, run.output
    assert load_workbook(tmp_path / "t.xlsx")["segment"].cell(3, 1).value == "K1-K2"


def test_headings_may_be_chinese_and_have_their_unit(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text(
        "视频,街道,起始井号,终止井,检测日期,管径（mm）,长度 (m)\na.mp4,人民路,W1,W2,2024-05-01,300,40\n",
        encoding="utf-8",
    )
    one = read_inspection_data(path)["a.mp4"]
    assert (one.street, one.from_manhole, one.to_manhole, one.date) == ("人民路", "W1", "W2", "2024-05-01")
    assert (one.diameter_mm, one.length_m) == (300, 40)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("video,length_m (ft)", r"unknown column 'length_m \(ft\)'"),
        ("video,street,街道", "'street' and another column are both street"),
    ],
)
def test_headings_of_other_units_or_twice_are_refused(header: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text(f"{header}\na.mp4{',1' * header.count(',')}\n", encoding="utf-8")
    with pytest.raises(InspectionError, match=words):
        read_inspection_data(path)


@pytest.mark.parametrize(
    ("heading", "cell", "field", "value"),
    [
        ("From manhole", "W1", "from_manhole", "W1"),
        ("Schacht von", "W1", "from_manhole", "W1"),
        ("Length (m)", "40", "length_m", 40),
        ("Diameter (mm)", "300", "diameter_mm", 300),
        ("length m", "40", "length_m", 40),
        ("管段长度 m", "40", "length_m", 40),
        ("管径 mm", "300", "diameter_mm", 300),
        ("管径（m）", ".3", "diameter_mm", 300),
        ("length (ft)", "100", "length_m", 30.48),
        ("length (ft)", "40 m", "length_m", 40),
        ("length_mm", "40000", "length_m", 40),
        ("DIAMETER\u200b (in)", "24", "diameter_mm", 609.6),
        ("Region (K)", "arterial", "region", "arterial"),
        ("断面形状", "圆形", "shape", "circular"),
    ],
)
def test_headings_are_words_with_or_without_units(
    heading: str, cell: str, field: str, value: object, tmp_path: Path
) -> None:
    row = read_inspection_data(table(tmp_path, f"video,{heading}\na.mp4,{cell}\n"))["a.mp4"]
    assert getattr(row, field) == pytest.approx(value)


def test_a_unit_that_makes_a_length_implausible_is_not_ignored(tmp_path: Path) -> None:
    with pytest.raises(InspectionError, match=r"0\.04 is implausible in metres"):
        read_inspection_data(table(tmp_path, "video,长度（mm）\na.mp4,40\n"))


@pytest.mark.parametrize("heading", ["street (m)", "Region (m)", "end of the pipe", "manholes"])
def test_other_headings_are_refused(heading: str, tmp_path: Path) -> None:
    with pytest.raises(InspectionError, match="unknown column"):
        read_inspection_data(table(tmp_path, f"video,{heading}\na.mp4,1\n"))


def test_no_word_names_two_fields() -> None:
    fields = [{re.sub(r"[\s_]", "", word).casefold() for word in words} for words in words_by_field().values()]
    words = [word for one in fields for word in one]
    assert not [word for word, count in Counter(words).items() if count > 1]


def test_all_rows_that_nobody_has_checked_are_named_at_once(tmp_path: Path) -> None:
    path = table(tmp_path, "video,street,checked\na.mp4,A,no\nb.mp4,B,yes\nc.mp4,C,no\n")
    with pytest.raises(InspectionError, match=r"lines 2, 4: nobody has checked .* for a\.mp4, c\.mp4;"):
        read_inspection_data(path)


def test_of_two_tables_that_nobody_has_checked_the_first_that_knows_a_field_counts(tmp_path: Path) -> None:
    first, second = tmp_path / "1.csv", tmp_path / "2.csv"
    first.write_text("video,street,checked\na.mp4,A,no\n")
    second.write_text("video,street,job,checked\na.mp4,B,7,no\n")
    unchecked: dict[str, InspectionData] = {}
    assert read_sources([first, second], {"a.mp4": "a.mp4"}, unchecked=unchecked) == ({}, ())
    assert (unchecked["a.mp4"].street, unchecked["a.mp4"].job) == ("A", "7")
