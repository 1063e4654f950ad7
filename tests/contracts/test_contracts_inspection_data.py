"""Inspection data: the table that people fill in, and where it goes."""

from pathlib import Path

import pytest
from openpyxl import load_workbook

from helpers.inspection_material import made_inspection
from urbanpipe.api import export
from urbanpipe.contracts.inspection_data import InspectionData, read_inspection_data
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
            "line 2: diameter_mm: Value error, 0.6 is implausible in millimetres; expected 100 to 10000",
        ),
        (
            "video,length_m\na.mp4,-3\n",
            "line 2: length_m: Value error, -3 is implausible in metres; expected 0.5 to 2000",
        ),
        ("video,diameter_mm\na.mp4,wide\n", "line 2: diameter_mm: Input should be a valid number"),
        ("video,date\na.mp4,1.3.2026\n", "line 2: date: String should match"),
        ("video,direction\na.mp4,up\n", "line 2: direction: Input should be"),
        ("video\na.mp4\na.mp4\n", "line 3: a.mp4 is named twice"),
        ("name\na.mp4\n", "video"),
    ],
)
def test_mistakes_are_one_line(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InspectionError, match=message) as caught:
        read_inspection_data(table(tmp_path, text))
    assert "\n" not in str(caught.value)


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
