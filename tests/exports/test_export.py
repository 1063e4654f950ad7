"""Exports of inspections, read back as the tools that they are for read them."""

import csv
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook, load_workbook
from openpyxl.comments import Comment
from openpyxl.worksheet.worksheet import Worksheet
from typer.testing import CliRunner

from helpers.exchange_material import data_file
from helpers.filled_tables import filled_table, segment
from helpers.inspection_material import made_inspection
from urbanpipe import api
from urbanpipe.cli.main import app
from urbanpipe.contracts.findings import Inspection, Remark, read_inspection, write_inspection
from urbanpipe.contracts.predictions import read_predictions
from urbanpipe.errors import InspectionError
from urbanpipe.evaluation.moments import Truth, read_results
from urbanpipe.exports.columns import LANGUAGES
from urbanpipe.exports.condition_report import condition
from urbanpipe.exports.csv_safety import minutes
from urbanpipe.exports.export import export
from urbanpipe.exports.formats import DATED, FOR_TRAINING, FORMATS
from urbanpipe.exports.options import ExportOptions
from urbanpipe.taxonomy import default_taxonomy

PROPOSALS = [form for form in FORMATS if form not in FOR_TRAINING]
NAMES = {
    "cjj181": "t.csv",
    "jsonl": "f.jsonl",
    "pacp": "folder",
    "isybau": "i.xml",
    "en13508": "e.txt",
    "wincan": "w.db3",
}
"""A name for --out where it is no JSON file."""
FIRST = 5
"""The first row of the sheet of defects, below three lines of head and the headings."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Inspection data of the two videos."""
    return data_file(tmp_path / "data.csv", "d1_1.mp4", "d2.mp4")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The output folder of `inspect` with two videos, four occurrences in each."""
    made_inspection(tmp_path / "out" / "d1_1")
    made_inspection(tmp_path / "out" / "d2", "d2.mp4")
    return tmp_path / "out"


def changed(folder: Path, **changes: Any) -> Inspection:
    """Change what an inspection found."""
    inspection = read_inspection(folder).model_copy(update=changes)
    write_inspection(inspection, folder)
    return inspection


def sheet_rows(path: Path, title: str = "defects") -> list[dict[str, Any]]:
    """Rows by the English part of their headings."""
    sheet = load_workbook(path)[title]
    rows = list(sheet.iter_rows(values_only=True))
    head = next(number for number, row in enumerate(rows) if row[1] is not None)
    keys = [str(cell).split(" / ")[0] for cell in rows[head]]
    return [dict(zip(keys, row, strict=True)) for row in rows[head + 1 :] if row[1] is not None]


def csv_rows(path: Path, encoding: str = "utf-8-sig") -> list[dict[str, str]]:
    with path.open(encoding=encoding, newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_has_a_row_per_occurrence_and_no_grade(out: Path, tmp_path: Path) -> None:
    done = export(out, out=tmp_path / "t.xlsx", to="cjj181")
    assert (done.files, done.videos, done.rows, done.demonstration) == ((tmp_path / "t.xlsx",), 2, 8, True)
    rows = sheet_rows(tmp_path / "t.xlsx")
    assert [(row["video"], row["code"], row["time"]) for row in rows[:5]] == [
        ("d1_1.mp4", "CK", "00:12.5"),
        ("d1_1.mp4", "SL", "00:28.0"),
        ("d1_1.mp4", "CK", "00:41.0"),
        ("d1_1.mp4", "CJ", "00:52.3"),
        ("d2.mp4", "CK", "00:12.5"),
    ]
    assert {row["grade"] for row in rows} == {row["length m"] for row in rows} == {None}
    assert [row["distance m"] for row in rows[:4]] == [12.4, 12.4, None, 12.4]
    assert (rows[1]["kind"], rows[1]["confidence"], rows[1]["triage"]) == ("structural", 0.44, "review")
    assert not any("source" in row for row in rows), "the head says it once"
    assert (tmp_path / rows[2]["picture"]).is_file()


@pytest.mark.slow
def test_the_head_says_that_nobody_has_reviewed_it(out: Path, tmp_path: Path) -> None:
    for language in LANGUAGES:
        path = tmp_path / f"{language}.xlsx"
        api.export(out, out=path, to="cjj181", language=language)
        first, second = (str(load_workbook(path)["defects"].cell(row, 1).value) for row in (1, 2))
        assert first.startswith({"en": "Proposal by software, not reviewed", "zh": "软件建议，未经人工复核"}[language])
        assert {"en": "demonstration model", "zh": "演示模型"}[language] in second


def test_headings_and_words_come_in_two_languages(out: Path, tmp_path: Path) -> None:
    export(out, out=tmp_path / "t.xlsx", to="cjj181", language="zh")
    sheet = load_workbook(tmp_path / "t.xlsx")["defects"]
    assert [sheet.cell(4, column).value for column in (1, 9)] == ["管段 / segment", "等级 / grade"]
    assert [sheet.cell(FIRST, column).value for column in (3, 4, 5, 12)] == ["CK", "错口", "结构性", "接受"]


def offered(sheet: Worksheet, cell: str) -> list[str]:
    """What a spreadsheet offers in a cell."""
    checks = sheet.data_validations.dataValidation
    return [str(one.formula1).strip('"') for one in checks if one.type == "list" and cell in one.sqref]


def test_a_spreadsheet_offers_the_grades_that_a_class_has(out: Path, tmp_path: Path) -> None:
    inspection = read_inspection(out / "d2")
    low = {"triage": "review", "probability": 0.2}
    findings = [one.model_copy(update=low if one.code in ("TL", "FZ", "AJ") else {}) for one in inspection.findings]
    changed(out / "d2", findings=tuple(findings))
    export(out, out=tmp_path / "t.xlsx", to="cjj181")
    sheet = load_workbook(tmp_path / "t.xlsx")["defects"]
    by_code = {str(sheet.cell(row, 3).value): offered(sheet, f"I{row}") for row in range(FIRST, FIRST + 11)}
    assert by_code == {
        "CK": ["1,2,3,4,-"],
        "SL": ["1,2,3,4,-"],
        "CJ": ["1,2,3,4,-"],
        "TL": ["1,2,-"],
        "FZ": ["1,2,3,-"],
        "AJ": ["1,2,3,-"],
    }
    assert offered(sheet, "I100") == ["1,2,3,4,-"], "for rows that a person adds"
    assert sheet.freeze_panes == "D5"
    assert sheet.column_dimensions["D"].width > sheet.column_dimensions["C"].width


@pytest.mark.parametrize("to", PROPOSALS)
def test_unlikely_classes_are_exported_on_request_and_marked(to: str, out: Path, data: Path, tmp_path: Path) -> None:
    inspection = read_inspection(out / "d2")
    low = {"triage": "review", "probability": 0.04}
    changed(out / "d2", findings=tuple(f.model_copy(update=low if f.code == "SL" else {}) for f in inspection.findings))
    name, known = NAMES.get(to, "f.json"), data if to in DATED else None
    without = export(out / "d2", out=tmp_path / "without" / name, to=to, inspection_data=known)
    with_all = export(
        out / "d2", out=tmp_path / "with" / name, to=to, inspection_data=known, options=ExportOptions(unlikely=True)
    )
    if to == "qvpipe":
        assert (without.rows, without.what) == (with_all.rows, with_all.what) == (17, "scores")
        return
    rows = (2, 3) if to in ("isybau", "en13508", "wincan") else (3, 4)  # one has no distance
    assert ((without.rows, with_all.rows), with_all.what) == (rows, "proposals")
    before, after = (
        "".join(path.read_bytes().decode(errors="ignore") for path in made.files) for made in (without, with_all)
    )
    marks = {"cjj181": "review, unlikely", "jsonl": '"unlikely": true'} | dict.fromkeys(DATED, "0.04, unlikely")
    mark = marks.get(to, "")
    assert mark in after
    if mark:
        assert mark not in before


def test_the_command_tells_what_was_written_and_which_videos_are_equal(out: Path, tmp_path: Path) -> None:
    video = read_inspection(out / "d2").video.model_copy(update={"digest": read_inspection(out / "d1_1").video.digest})
    changed(out / "d2", video=video)
    run = ["export", str(out), "--to", "qvpipe", "--out", str(tmp_path / "q.json")]
    output = CliRunner().invoke(app, run).output
    assert "2 videos, 34 scores, not reviewed" in output
    assert "the same content: d1_1.mp4, d2.mp4\n" in output
    one = export(out / "d2", out=tmp_path / "q.json", to="qvpipe")
    assert next(one.lines()).startswith("1 video, 17 scores")


def test_the_sheet_of_segments_waits_for_a_person(out: Path, tmp_path: Path) -> None:
    export(out, out=tmp_path / "t.xlsx", to="cjj181")
    book = load_workbook(tmp_path / "t.xlsx")
    assert book.sheetnames == ["defects", "segment", "grades", "choices"]
    rows = sheet_rows(tmp_path / "t.xlsx", "segment")
    assert [(row["segment"], row["video"]) for row in rows] == [("S1", "d1_1.mp4"), ("S2", "d2.mp4")]
    assert {row[key] for row in rows for key in ("length m", "diameter mm", "region K", "soil T", "reviewed by")} == {
        None
    }
    assert [row["segment"] for row in sheet_rows(tmp_path / "t.xlsx")] == ["S1"] * 4 + ["S2"] * 4
    choices = book["choices"]
    for column, first, last in (("E", "central business area", "all other regions"), ("F", "general soil", "red clay")):
        (formula,) = offered(book["segment"], f"{column}3")
        cells = choices[formula.split("!")[1].replace("$", "")]
        assert str(cells[0][0].value).startswith(first)
        assert str(cells[-1][0].value).startswith(last)
    assert choices["B2"].value == 10
    assert book["grades"]["A2"].value == "PL"


def test_the_csv_has_the_same_rows_and_opens_with_chinese(out: Path, tmp_path: Path) -> None:
    export(out, out=tmp_path / "t.xlsx", to="cjj181", language="zh")
    export(out, out=tmp_path / "t.csv", to="cjj181", language="zh")
    assert (tmp_path / "t.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    in_sheet = [["" if cell is None else str(cell) for cell in row.values()] for row in sheet_rows(tmp_path / "t.xlsx")]
    rows = csv_rows(tmp_path / "t.csv")
    assert {row.pop("来源 / source") for row in rows} == {
        "软件建议，未经人工复核; 演示模型，仅以仿真视频训练：不可依赖"
    }
    assert [list(row.values()) for row in rows] == in_sheet


NASTY = ("=HYPERLINK(1).mp4", "+1.mp4", "-1.mp4", "@SUM(A1).mp4", "#NAME?")


@pytest.mark.slow
@pytest.mark.parametrize("name", NASTY)
def test_a_file_name_never_becomes_a_formula(name: str, tmp_path: Path) -> None:
    made_inspection(tmp_path / "out" / name, name)
    made_inspection(tmp_path / "out" / "b", "a\x07b.mp4")
    export(tmp_path / "out", out=tmp_path / "t.xlsx", to="cjj181")
    sheet = load_workbook(tmp_path / "t.xlsx")["defects"]
    named = {str(sheet.cell(row, 2).value): sheet.cell(row, 2) for row in range(FIRST, FIRST + 8)}
    assert set(named) == {name, "a\ufffdb.mp4"}
    assert named[name].data_type == "s"
    assert named[name].quotePrefix == (name[0] != "#")
    assert load_workbook(tmp_path / "t.xlsx")["segment"]["B3"].data_type == "s"
    export(tmp_path / "out", out=tmp_path / "t.csv", to="cjj181")
    data = data_file(tmp_path / "data.csv", name, "a\ufffdb.mp4")
    export(tmp_path / "out", out=tmp_path / "pacp", to="pacp", inspection_data=data)
    names = {row["video / 视频"] for row in csv_rows(tmp_path / "t.csv")}
    names |= {row["Media_Label"] for row in csv_rows(tmp_path / "pacp" / "PACP_Inspections.csv")}
    assert ("'" + name if name[0] != "#" else name) in names
    assert not any(one.startswith(("=", "+", "-", "@")) for one in names)


def test_pictures_are_linked_whatever_their_folder_is_called(tmp_path: Path) -> None:
    made_inspection(tmp_path / "out" / "a b#1 50%")
    (tmp_path / "tables").mkdir()
    export(tmp_path / "out", out=tmp_path / "tables" / "t.xlsx", to="cjj181")
    cell = load_workbook(tmp_path / "tables" / "t.xlsx")["defects"].cell(FIRST, 13)
    assert cell.value == "../out/a b#1 50%/CK-1.jpg"
    assert cell.hyperlink is not None
    assert cell.hyperlink.target == "../out/a%20b%231%2050%25/CK-1.jpg"


def test_a_finding_without_a_time_or_a_distance_gets_none(out: Path, tmp_path: Path) -> None:
    inspection = read_inspection(out / "d1_1")
    cj = next(one for one in inspection.findings if one.code == "CJ")
    behind = cj.occurrences[0].evidence[0].model_copy(update={"distance_metres": -0.4, "distance_text": "-0.40"})
    cj = cj.model_copy(update={"occurrences": (cj.occurrences[0].model_copy(update={"evidence": (behind,)}),)})
    findings = [
        cj if one.code == "CJ" else one.model_copy(update={"occurrences": ()}) if one.code == "CK" else one
        for one in inspection.findings
    ]
    remark = Remark(kind="dark", text="half of the video is too dark.")
    bundle = inspection.bundle.model_copy(update={"calibrated": False, "demonstration": False})
    changed(out / "d1_1", findings=tuple(findings), remarks=(remark,), bundle=bundle)
    export(out / "d1_1", out=tmp_path / "t.xlsx", to="cjj181")
    ck, sl, cj_row = sheet_rows(tmp_path / "t.xlsx")
    assert (ck["code"], ck["time"], ck["distance m"], ck["picture"]) == ("CK", None, None, None)
    assert ck["remark"] == ("no time: predicted for the video as a whole; confidence not calibrated")
    assert (cj_row["distance m"], cj_row["remark"].split("; ")[0]) == (None, "distance read as -0.40")
    assert sl["remark"].startswith("confidence not calibrated")


def test_a_picture_or_distance_of_another_moment_is_remarked(out: Path, tmp_path: Path) -> None:
    inspection = read_inspection(out / "d1_1")
    cj = next(one for one in inspection.findings if one.code == "CJ")
    first = cj.occurrences[0]
    shown = first.evidence[0].model_copy(update={"seconds": first.seconds + 22.5, "distance_metres": 9.0})
    moved = cj.model_copy(update={"occurrences": (first.model_copy(update={"evidence": (shown,)}),)})
    changed(out / "d1_1", findings=tuple(moved if one.code == "CJ" else one for one in inspection.findings))
    export(out / "d1_1", out=tmp_path / "t.xlsx", to="cjj181")
    (row,) = [row for row in sheet_rows(tmp_path / "t.xlsx") if row["code"] == "CJ"]
    assert row["distance m"] == 9.0
    there = minutes(shown.seconds)
    assert row["remark"].split("; ")[:2] == [f"distance read at {there}", f"picture at {there}"]


def test_remarks_in_chinese(out: Path, tmp_path: Path) -> None:
    known = Remark(kind="short", text="The video lasts 0.40 s only.", key="short", values={"seconds": "0.40"})
    older = Remark(kind="dark", text="It is dark.")
    broken = Remark(kind="size", text="It changes its size.", key="size")
    changed(out / "d1_1", remarks=(known, older, broken))
    export(out / "d1_1", out=tmp_path / "t.xlsx", to="cjj181", language="zh")
    said = sheet_rows(tmp_path / "t.xlsx", "segment")[0]["备注"]
    assert said == ("视频只有 0.40 秒，能看到的内容很少。; It is dark.; It changes its size.")


def test_nothing_wrong_is_a_row_too(out: Path, data: Path, tmp_path: Path) -> None:
    inspection = read_inspection(out / "d2")
    findings = [
        one.model_copy(update={"triage": "accept" if one.code == "ZC" else "reject"}) for one in inspection.findings
    ]
    changed(out / "d2", findings=tuple(findings))
    export(out, out=tmp_path / "t.xlsx", to="cjj181")
    (row,) = [row for row in sheet_rows(tmp_path / "t.xlsx") if row["video"] == "d2.mp4"]
    assert (row["code"], row["kind"], row["time"], row["remark"]) == ("ZC", "normal", None, None)
    export(out, out=tmp_path / "pacp", to="pacp", inspection_data=data)
    assert {row["InspectionID"] for row in csv_rows(tmp_path / "pacp" / "PACP_Conditions.csv")} == {"1"}


@pytest.mark.slow
@pytest.mark.parametrize("how", ["grade", "segment", "comment", "saved"])
def test_a_table_in_which_a_person_worked_is_never_replaced(how: str, out: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    export(out, out=path, to="cjj181")
    export(out, out=path, to="cjj181", language="zh")
    book = load_workbook(path)
    if how == "grade":
        book["defects"].cell(FIRST, 9).value = 2
    elif how == "segment":
        book["segment"]["G3"] = "Wang Li"
    elif how == "comment":
        book["defects"]["I5"].comment = Comment("not so sure", "Wang Li")
    else:
        book.properties.lastModifiedBy = "Wang Li"
    book.save(path)
    before = path.read_bytes()
    with pytest.raises(InspectionError, match=r"t\.xlsx exists and may contain a person's work; give another --out"):
        export(out, out=path, to="cjj181")
    assert path.read_bytes() == before


def test_what_is_no_export_is_never_replaced(out: Path, data: Path, tmp_path: Path) -> None:
    Workbook().save(tmp_path / "book.xlsx")
    filled_table(tmp_path / "old.xlsx", [segment()], [])
    (tmp_path / "notes.xlsx").write_text("notes")
    (tmp_path / "table.csv").write_text("video,grade\n")
    (tmp_path / "pacp").mkdir()
    (tmp_path / "pacp" / "PACP_Conditions.csv").write_text("ConditionID,PACP_Code\n1,JOM\n")
    for name in ("book.xlsx", "old.xlsx", "notes.xlsx", "table.csv", "pacp"):
        with pytest.raises(InspectionError, match="may contain a person's work"):
            export(out, out=tmp_path / name, to="pacp" if name == "pacp" else "cjj181", inspection_data=data)
    assert (tmp_path / "pacp" / "PACP_Conditions.csv").read_text().endswith("JOM\n")
    export(out, out=tmp_path / "new.csv", to="cjj181")
    export(out, out=tmp_path / "new.csv", to="cjj181")  # the same again harms nobody


def test_videos_of_the_same_name_are_distinguished(tmp_path: Path) -> None:
    for folder, place in (("d1", "a/1"), ("d1-2", "b/1"), ("d1-3", "b/2"), ("d2", "b/2")):
        made = made_inspection(tmp_path / "out" / folder, "d2.mp4" if folder == "d2" else "d1.mp4")
        changed(
            tmp_path / "out" / folder, video=made.video.model_copy(update={"path": f"/v/{place}/{made.video.name}"})
        )
    export(tmp_path / "out", out=tmp_path / "q.json", to="qvpipe")
    names = read_predictions(tmp_path / "q.json", default_taxonomy()).names
    assert names == ("a/1/d1.mp4", "b/1/d1.mp4", "b/2/d1.mp4", "d2.mp4")


def test_a_video_inspected_twice_is_distinguished_by_its_folders(tmp_path: Path) -> None:
    made_inspection(tmp_path / "out" / "d1")
    shutil.copytree(tmp_path / "out" / "d1", tmp_path / "out" / "d1-again")
    export(tmp_path / "out", out=tmp_path / "c.json", to="cctvpipe")
    names = set(json.loads((tmp_path / "c.json").read_text())["results"])
    assert names == {"d1_1.mp4 [d1]", "d1_1.mp4 [d1-again]"}


def test_track_1_holds_the_scores_of_all_classes(out: Path, tmp_path: Path) -> None:
    inspection = read_inspection(out / "d1_1")
    findings = [one.model_copy(update={"score": one.probability / 2}) for one in inspection.findings]
    changed(out / "d1_1", findings=tuple(findings))
    export(out, out=tmp_path / "q.json", to="qvpipe")
    read = read_predictions(tmp_path / "q.json", default_taxonomy())
    assert read.names == ("d1_1.mp4", "d2.mp4")
    assert read.scores[0].tolist() == [one.probability / 2 for one in inspection.findings]
    assert not (tmp_path / "q.csv").exists()


def test_track_2_holds_label_score_and_moment(out: Path, tmp_path: Path) -> None:
    export(out, out=tmp_path / "c.json", to="cctvpipe")
    taxonomy = default_taxonomy()
    found = read_results(tmp_path / "c.json", taxonomy, Truth({"d1_1.mp4": (), "d2.mp4": ()}))
    times = sorted((taxonomy.codes[one.label], one.seconds, round(one.score, 3)) for one in found["d2.mp4"])
    assert times == [("CJ", 52.25, 0.819), ("CK", 12.5, 0.873), ("CK", 41.0, 0.873), ("SL", 28.0, 0.396)]


def test_classes_that_differ_are_refused_by_name(out: Path, tmp_path: Path) -> None:
    changed(out / "d2", findings=read_inspection(out / "d2").findings[::-1])
    for form in ("qvpipe", "cctvpipe"):
        with pytest.raises(InspectionError, match=r"d1_1\.mp4 and d2\.mp4 have different classes"):
            export(out, out=tmp_path / "q.json", to=form)


def test_lines_hold_all_that_is_known_of_an_occurrence(out: Path, tmp_path: Path) -> None:
    rejected = [one.model_copy(update={"triage": "reject"}) for one in read_inspection(out / "d2").findings]
    changed(out / "d2", findings=tuple(rejected))
    export(out, out=tmp_path / "j.jsonl", to="jsonl")
    lines = [json.loads(line) for line in (tmp_path / "j.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["code"] for line in lines] == ["CK", "SL", "CK", "CJ", None]
    first = lines[0]
    assert (first["video"], first["seconds"], first["probability"], first["triage"]) == (
        "d1_1.mp4",
        12.5,
        0.97,
        "accept",
    )
    assert (first["distance_metres"], first["reviewed"], first["demonstration"]) == (12.4, False, True)
    assert lines[2]["distance_metres"] is None
    assert (tmp_path / first["picture"]).is_file()
    assert (tmp_path / first["heat"]).is_file()
    assert (lines[-1]["video"], lines[-1]["reviewed"]) == ("d2.mp4", False)


def test_pacp_tables_hang_together_and_leave_the_coders_cells_empty(out: Path, data: Path, tmp_path: Path) -> None:
    done = export(out, out=tmp_path / "pacp", to="pacp", inspection_data=data)
    assert [path.name for path in done.files] == [
        "PACP_Inspections.csv",
        "PACP_Conditions.csv",
        "PACP_Media_Inspections.csv",
        "PACP_Media_Conditions.csv",
    ]
    inspections, conditions, videos, media = (csv_rows(path, "utf-8") for path in done.files)
    assert next(iter(inspections[0])) == "InspectionID", "no byte order mark"
    assert {row["InspectionID"] for row in conditions} == {row["InspectionID"] for row in inspections} == {"1", "2"}
    assert {row["ConditionID"] for row in media} == {row["ConditionID"] for row in conditions}
    first = conditions[0]
    assert (first["Distance"], first["VCR_Time"], first["PACP_Code"]) == ("12.4", "00:00:12", "JO")
    assert "EN 13508-2 BAJ B" in first["Remarks"]
    assert "proposal by software, not reviewed" in first["Remarks"]
    assert not any(first[key] for key in ("Continuous", "Value_1st_Dimension", "Clock_At_From", "Joint"))
    assert not any(inspections[0][key] for key in ("Surveyed_By", "Certificate_Number", "Length_Surveyed"))
    given = ("Upstream_MH", "Downstream_MH", "Direction", "Inspection_Date", "Inspection_Time", "Total_Length")
    assert [inspections[1][key] for key in given] == ["M1", "M2", "D", "2026-01-31", "09:01", "60.0"]
    assert [(row["InspectionID"], row["Video_Name"]) for row in videos] == [("1", "d1_1.mp4"), ("2", "d2.mp4")]
    assert (tmp_path / "pacp" / videos[0]["Video_Location"]).resolve() == out.resolve()
    assert (tmp_path / "pacp" / media[0]["Image_Path"] / media[0]["Image_Reference"]).is_file()


def test_pacp_surveys_have_dates_and_differ(tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d"):
        made_inspection(tmp_path / "out" / name, f"{name}.mp4")
    known = tmp_path / "data.csv"
    known.write_text("video,from_manhole,direction,date,time\na.mp4,M1,upstream,,08:00\nb.mp4,m1,upstream,,08:00\n")
    with pytest.raises(InspectionError, match=r"no inspection can be written as pacp; a\.mp4: .*its date is unknown"):
        export(tmp_path / "out", out=tmp_path / "pacp", to="pacp", inspection_data=known)
    with pytest.raises(InspectionError, match=r"'3/4/2026' is not a date; expected year-month-day"):
        export(tmp_path / "out", out=tmp_path / "pacp", to="pacp", options=ExportOptions(date="3/4/2026"))
    done = export(tmp_path / "out" / "c", out=tmp_path / "one", to="pacp", options=ExportOptions(date="2026-01-31"))
    assert (done.rows, done.left_out) == (4, ())
    known.write_text(known.read_text() + "c.mp4,M1,upstream,,08:01\n")
    done = export(
        tmp_path / "out",
        out=tmp_path / "pacp",
        to="pacp",
        inspection_data=known,
        options=ExportOptions(date="2026-01-31"),
    )
    assert [row["Media_Label"] for row in csv_rows(done.files[0])] == ["c.mp4", "d.mp4"]
    why = "not written; upstream manhole, direction, date and time are the same as of"
    assert done.left_out == (f"a.mp4: {why} b.mp4; correct one of them", f"b.mp4: {why} a.mp4; correct one of them")
    assert done.rows == 8


def test_a_users_taxonomy_says_which_pacp_code_it_means(out: Path, data: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text('[[classes]]\ncode = "CK"\ncrosswalk = { pacp = "JOM" }\n')
    export(out, out=tmp_path / "pacp", to="pacp", inspection_data=data, options=ExportOptions(taxonomy=mine))
    codes = [row["PACP_Code"] for row in csv_rows(tmp_path / "pacp" / "PACP_Conditions.csv")]
    assert codes[:4] == ["JOM", "I", "JOM", "DS"]


@pytest.mark.parametrize(
    ("to", "name", "message"),
    [
        ("cjj", "t.xlsx", "unknown format 'cjj'; expected one of cjj181, isybau.*did you mean cjj181"),
        ("cjj181", "t.xls", r"a CJJ 181 table is \.xlsx or \.csv"),
        ("isybau", "t.txt", r"isybau is written as \.xml"),
        ("en13508", "t.xml", r"en13508 is written as \.txt"),
        ("qvpipe", "t.xlsx", r"qvpipe is written as \.json"),
        ("jsonl", "t.json", r"jsonl is written as \.jsonl"),
    ],
)
def test_a_mistake_is_said_in_one_line(to: str, name: str, message: str, out: Path, tmp_path: Path) -> None:
    with pytest.raises(InspectionError, match=message):
        export(out, out=tmp_path / name, to=to)
    assert not (tmp_path / name).exists()


def test_a_folder_without_inspections_is_named(tmp_path: Path) -> None:
    with pytest.raises(InspectionError, match="holds no inspection"):
        export(tmp_path, out=tmp_path / "t.csv", to="cjj181")


def test_every_format_is_a_choice_of_the_command(out: Path, data: Path, tmp_path: Path) -> None:
    rows = {"qvpipe": "34 scores", "isybau": "6 proposals", "en13508": "6 proposals", "wincan": "6 proposals"}
    for form in PROPOSALS:
        path = tmp_path / NAMES.get(form, f"{form}.json")
        known = ["--inspection-data", str(data)] if form in DATED else []
        run = CliRunner().invoke(app, ["export", str(out), "--to", form, "--out", str(path), *known])
        assert run.exit_code == (3 if form in ("isybau", "en13508", "wincan") else 0), run.output  # one has no distance
        written = rows.get(form, "8 proposals")
        assert f"2 videos, {written}, not reviewed; made by a demonstration model" in run.output
        assert str(path) in run.output.splitlines()[-1]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "00:00.0"), (59.96, "01:00.0"), (52.25, "00:52.3"), (6000.5, "100:00.5")]
)
def test_times_carry_over(seconds: float, text: str) -> None:
    assert minutes(seconds) == text


def test_the_workbook_prints_on_landscape_pages_with_pictures_and_meanings(out: Path, tmp_path: Path) -> None:
    (out / "d2" / "CK-2.jpg").write_bytes(b"damaged")
    export(out, out=tmp_path / "t.xlsx", to="cjj181")
    book = load_workbook(tmp_path / "t.xlsx")
    for sheet in book.worksheets:
        assert (sheet.page_setup.orientation, sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight) == (
            "landscape",
            1,
            0,
        )
    sheet = book["defects"]
    assert sheet.print_title_rows == "$4:$4"
    rows = {picture.anchor._from.row + 1 for picture in sheet._images}  # type: ignore[attr-defined]
    assert rows == set(range(FIRST, FIRST + 8)) - {FIRST + 6}, "the damaged picture is left out"
    checks = sheet.data_validations.dataValidation
    (prompt,) = [one.prompt for one in checks if one.promptTitle == "CK"]
    assert [line[:3] for line in prompt.splitlines()] == ["1: ", "2: ", "3: ", "4: "]


@pytest.fixture(scope="module")
def office() -> str:
    found = shutil.which("soffice") or shutil.which("libreoffice")
    if found is None:
        pytest.skip("LibreOffice is not installed")
    return found


def converted(office: str, path: Path, form: str, folder: Path) -> Path:
    command = [office, f"-env:UserInstallation={(folder / 'profile').as_uri()}", "--headless", "--convert-to", form]
    subprocess.run([*command, "--outdir", str(folder), str(path)], check=True, timeout=120, capture_output=True)
    return folder / f"{path.stem}.{form.split(':')[0]}"


@pytest.mark.slow
def test_libreoffice_prints_and_saves_the_table_and_condition_reads_it(office: str, out: Path, tmp_path: Path) -> None:
    export(out, out=tmp_path / "t.xlsx", to="cjj181", language="zh")
    book = load_workbook(tmp_path / "t.xlsx")
    for row in range(FIRST, FIRST + 8):
        book["defects"].cell(row, 7).value = 3.5 * row
        book["defects"].cell(row, 9).value = 2
    for row in (3, 4):
        for column, value in ((3, 80), (4, 600), (5, "road"), (6, "general"), (7, "Wang Li")):
            book["segment"].cell(row, column).value = value
    book.save(tmp_path / "t.xlsx")
    saved = converted(office, tmp_path / "t.xlsx", "xlsx:Calc MS Excel 2007 XML", tmp_path / "saved")
    done = condition(saved, out=tmp_path / "c.json")
    assert [one.defects for one in done.segments] == [4, 4]
    pdf = converted(office, saved, "pdf", tmp_path / "saved")
    if shutil.which("pdftotext") is None:
        return
    text = subprocess.run(["pdftotext", "-layout", str(pdf), "-"], check=True, capture_output=True).stdout.decode()
    pages = text.split("\f")[:-1]
    assert len(pages) <= 6, "one page wide"
    assert "错口" in pages[0]
