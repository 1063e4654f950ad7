"""Exports, condition figures and labels with the decisions of people."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook
from typer.testing import CliRunner

from helpers.exchange_material import data_file
from helpers.inspection_material import made_inspection
from helpers.review_material import decide, finish
from urbanpipe.catalog.labels import read_labels
from urbanpipe.cli.main import app
from urbanpipe.errors import InspectionError, ReviewError, TableError
from urbanpipe.evaluation.moments import read_truth
from urbanpipe.exports.condition_report import condition
from urbanpipe.exports.export import export
from urbanpipe.review_store.control_share import is_control
from urbanpipe.review_store.decision import DATA_KEY
from urbanpipe.review_store.store import ReviewStore
from urbanpipe.taxonomy import default_taxonomy

ADDED = "+0123456789ab"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    for name in ("d1_1", "d2"):
        made_inspection(tmp_path / "out" / name, f"{name}.mp4")
    return tmp_path / "out"


@pytest.fixture
def store(out: Path) -> ReviewStore:
    """d1_1 is reviewed in full: one of three proposals of CK and CJ is corrected, one rejected, and FS is added."""
    store = ReviewStore(out / "review.sqlite")
    first = out / "d1_1"
    decide(store, first, "CK@12500", status="accepted", grade=3, clock_from=9, clock_to=3, distance_m=12.1, note="wide")
    decide(store, first, "CK@41000", status="rejected")
    decide(store, first, "CJ@52250", status="accepted", code="JG", seconds=50.0, grade=2, distance_m=20, length_m=1.5)
    decide(store, first, ADDED, "Ben", status="accepted", code="FS", seconds=5.0, grade=1, distance_m=4)
    finish(store, first)
    return store


def defects(path: Path) -> list[dict[str, Any]]:
    rows = list(load_workbook(path)["defects"].iter_rows(values_only=True))
    keys = [str(cell).split(" / ")[0] for cell in rows[3]]
    return [dict(zip(keys, row, strict=True)) for row in rows[4:] if row[1] is not None]


def test_proposals_that_nobody_decided_about_are_marked_or_refused(
    out: Path, store: ReviewStore, tmp_path: Path
) -> None:
    command = ["export", str(out), "--to", "jsonl", "--out", str(tmp_path / "f.jsonl"), "--undecided", "refuse"]
    refused = CliRunner().invoke(app, [*command, "--store", str(store.path)])
    assert isinstance(refused.exception, ReviewError)
    assert "nobody has decided about 4 proposals; decide in `urbanpipe review`" in str(refused.exception)
    assert not (tmp_path / "f.jsonl").exists()
    assert isinstance(CliRunner().invoke(app, command).exception, ReviewError), "without a store"
    one = CliRunner().invoke(app, ["export", str(out / "d1_1"), *command[2:], "--store", str(store.path)])
    assert one.exit_code == 0, one.output
    assert "1 video, 3 defects, all reviewed" in one.output


def test_the_table_holds_what_people_decided_and_who(out: Path, store: ReviewStore, tmp_path: Path) -> None:
    done = export(out, out=tmp_path / "t.xlsx", to="cjj181", store=store.path)
    rows = [row for row in defects(tmp_path / "t.xlsx") if row["video"] == "d1_1.mp4"]
    day = store.history()[0].at[:10]
    assert [(row["code"], row["time"], row["grade"], row["distance m"]) for row in rows] == [
        ("FS", "00:05.0", 1, 4),
        ("CK", "00:12.5", 3, 12.1),
        ("JG", "00:50.0", 2, 20),
    ]
    assert [row["clock"] for row in rows] == [None, "9-3", None]
    assert rows[2]["length m"] == 1.5
    assert rows[0]["source"] == f"reviewed by Ben, {day}"
    assert rows[1]["source"] == f"reviewed by Ana, {day}"
    assert "wide" in rows[1]["remark"]
    assert (done.rows, done.reviewed) == (7, 3)
    assert next(done.lines()).startswith("2 videos, 7 defects, 3 of them reviewed")


def test_what_nobody_reviewed_is_still_marked_as_a_proposal(out: Path, store: ReviewStore, tmp_path: Path) -> None:
    export(out, out=tmp_path / "t.xlsx", to="cjj181", store=store.path)
    rows = [row for row in defects(tmp_path / "t.xlsx") if row["video"] == "d2.mp4"]
    assert len(rows) == 4
    assert all(row["source"].startswith("proposal by software, not reviewed") for row in rows)
    assert all(row["grade"] is None for row in rows)


def test_json_lines_name_the_decision_the_person_and_the_time(out: Path, store: ReviewStore, tmp_path: Path) -> None:
    export(out, out=tmp_path / "f.jsonl", to="jsonl", store=store.path)
    lines = [json.loads(line) for line in (tmp_path / "f.jsonl").read_text().splitlines()]
    corrected = next(one for one in lines if one["code"] == "CK" and one["video"] == "d1_1.mp4")
    assert corrected["reviewed"] is True
    assert (corrected["decision"], corrected["reviewed_by"], corrected["grade"]) == ("accepted", "Ana", 3)
    assert (corrected["clock_from"], corrected["clock_to"], corrected["distance_metres"]) == (9, 3, 12.1)
    open_ones = [one for one in lines if one["video"] == "d2.mp4"]
    assert {one["decision"] for one in open_ones} == {None}
    assert not any(one["reviewed"] for one in open_ones)


def test_pacp_tables_have_clock_and_distance_from_people(out: Path, store: ReviewStore, tmp_path: Path) -> None:
    data = data_file(tmp_path / "data.csv", "d1_1.mp4", "d2.mp4")
    export(out, out=tmp_path / "pacp", to="pacp", store=store.path, inspection_data=data)
    with (tmp_path / "pacp" / "PACP_Conditions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    graded = next(row for row in rows if "CK displaced" in row["Remarks"] and row["InspectionID"] == "1")
    assert (graded["Distance"], graded["Clock_At_From"], graded["Clock_To"]) == ("12.1", "9", "3")
    assert graded["Remarks"].startswith("reviewed by Ana, ")
    with (tmp_path / "pacp" / "PACP_Inspections.csv").open(newline="") as file:
        assert [row["Reviewed_By"] for row in csv.DictReader(file)] == ["Ana", ""]


def test_unsure_defects_are_marked_and_open_ones_of_a_reviewed_video_are_absent(out: Path, tmp_path: Path) -> None:
    store = ReviewStore(out / "review.sqlite")
    decide(store, out / "d2", "SL@28000", status="unsure")
    decide(store, out / "d2", "CK@12500", status="accepted")
    finish(store, out / "d2")
    export(out / "d2", out=tmp_path / "t.xlsx", to="cjj181", store=store.path)
    rows = defects(tmp_path / "t.xlsx")
    assert [row["code"] for row in rows] == ["CK", "SL"]
    assert rows[1]["source"].startswith("unsure; reviewed by Ana")


def test_a_clean_video_that_was_reviewed_is_normal_by_the_word_of_a_person(
    out: Path, store: ReviewStore, tmp_path: Path
) -> None:
    for name in ("clean", "doubtful"):
        made_inspection(out / name, f"{name}.mp4")
        finish(store, out / name)
    decide(store, out / "doubtful", "SL@28000", status="unsure")
    done = export(out, out=tmp_path / "t.xlsx", to="cjj181", store=store.path)
    assert next(done.lines()).startswith(f"4 videos, {done.rows} rows, "), "the row of a normal video is no defect"
    rows = {
        name: [row for row in defects(tmp_path / "t.xlsx") if row["video"] == name]
        for name in ("clean.mp4", "doubtful.mp4")
    }
    assert [(row["code"], row["grade"]) for row in rows["clean.mp4"]] == [("ZC", None)]
    assert rows["clean.mp4"][0]["source"].startswith("reviewed by Ana, ")
    assert [row["code"] for row in rows["doubtful.mp4"]] == ["SL"], "nobody knows yet whether it is normal"


def test_labels_and_moments_are_those_of_reviewed_videos(out: Path, store: ReviewStore, tmp_path: Path) -> None:
    made_inspection(out / "d3", "d3.mp4")
    finish(store, out / "d3")
    assert not is_control(_digest("d1_1.mp4"))
    assert not is_control(_digest("d3.mp4"))
    done = export(out, out=tmp_path / "labels.json", to="labels", store=store.path)
    taxonomy = default_taxonomy()
    labels = read_labels(tmp_path / "labels.json", taxonomy)
    assert {name: {taxonomy.codes[index] for index in found} for name, found in labels.items()} == {
        "d1_1.mp4": {"CK", "JG", "FS"},
        "d3.mp4": {"ZC"},
    }
    assert list(done.lines())[1:] == ["left out: 1 not reviewed in full"]
    export(out, out=tmp_path / "moments.json", to="moments", store=store.path)
    truth = read_truth(tmp_path / "moments.json", taxonomy)
    assert sorted((taxonomy.codes[one.label], one.seconds) for one in truth.moments["d1_1.mp4"]) == [
        ("CK", 12.5),
        ("FS", 5.0),
        ("JG", 50.0),
    ]
    assert truth.moments["d3.mp4"] == ()


def test_the_control_share_and_unsure_videos_are_never_trained_on(
    out: Path, store: ReviewStore, tmp_path: Path
) -> None:
    control = next(f"c{number}.mp4" for number in range(200) if is_control(_digest(f"c{number}.mp4")))
    made_inspection(out / "control", control)
    finish(store, out / "control")
    decide(store, out / "d2", "SL@28000", status="second_opinion")
    finish(store, out / "d2")
    done = export(out, out=tmp_path / "labels.json", to="labels", store=store.path)
    assert list(json.loads((tmp_path / "labels.json").read_text())) == ["d1_1.mp4"]
    assert "left out: 1 of the control share, which is never used for training" in done.left_out
    assert "left out: 1 with an unsure class, or one that waits for a second opinion" in done.left_out


def test_a_class_that_the_inspection_does_not_have_is_named(out: Path, store: ReviewStore, tmp_path: Path) -> None:
    decide(store, out / "d2", ADDED, status="accepted", code="NEW", seconds=1.0)
    done = export(out, out=tmp_path / "t.csv", to="cjj181", store=store.path)
    assert done.left_out == ("left out: a defect NEW of d2.mp4, a class that its inspection does not have",)
    assert done.left_out[0] in list(done.lines())


def test_a_store_is_asked_for_or_refused_by_name(out: Path, store: ReviewStore, tmp_path: Path) -> None:
    with pytest.raises(ReviewError, match="labels are what people decided; give the --store"):
        export(out, out=tmp_path / "l.json", to="labels")
    with pytest.raises(ReviewError, match="no effect on qvpipe"):
        export(out, out=tmp_path / "q.json", to="qvpipe", store=store.path)
    with pytest.raises(ReviewError, match="does not exist"):
        export(out, out=tmp_path / "l.json", to="labels", store=tmp_path / "no.sqlite")
    with pytest.raises(InspectionError, match="no video can be used for training: left out: 1 not reviewed in full"):
        export(out / "d2", out=tmp_path / "l.json", to="labels", store=store.path)


def enter(store: ReviewStore, folder: Path, **data: Any) -> None:
    decide(store, folder, DATA_KEY, **data)


SEGMENT = {"segment": "K12-K13", "length_m": 35.5, "diameter_mm": 600, "region": "road", "soil": "ordinary"}


def test_condition_figures_follow_from_the_store(out: Path, store: ReviewStore, tmp_path: Path) -> None:
    from urbanpipe.exports.rules import read_rules

    soil = read_rules().soils[0].key
    enter(store, out / "d1_1", **SEGMENT | {"soil": soil})
    done = condition(out, out=tmp_path / "c.json", store=store.path)
    (segment,) = done.segments
    assert (segment.segment.name, segment.segment.reviewer, segment.defects) == ("K12-K13", "Ana", 3)
    rules = {one.code: [float(score) for score in one.scores] for one in read_rules().classes}
    assert float(segment.structural.maximum) == max(rules["CK"][2], rules["FS"][0])
    assert float(segment.functional.maximum) == rules["JG"][1]
    assert [one.name for one in done.refused] == ["d2.mp4"]
    assert any("d2.mp4, reviewer is empty" in str(line) for line in done.refused[0].missing)


def test_a_segment_with_an_unsure_defect_has_no_figures_yet(out: Path, store: ReviewStore, tmp_path: Path) -> None:
    from urbanpipe.exports.rules import read_rules

    data = SEGMENT | {"soil": read_rules().soils[0].key}
    for name in ("d1_1", "d2"):
        enter(store, out / name, **data | {"segment": name})
    decide(store, out / "d2", "SL@28000", status="second_opinion", grade=3, distance_m=2)
    finish(store, out / "d2")
    done = condition(out, out=tmp_path / "c.json", store=store.path)
    assert [one.segment.name for one in done.segments] == ["d1_1"]
    (refused,) = done.refused
    assert tuple(map(str, refused.missing)) == (
        "d2.mp4, SL at 00:28.0 (waits for a second opinion), grade is empty; expected a grade of SL, 1 to 4, or - for "
        "no such defect",
    )


def test_a_grade_that_the_class_does_not_have_is_named(out: Path, store: ReviewStore, tmp_path: Path) -> None:
    from urbanpipe.exports.rules import read_rules

    few = next(one for one in read_rules().classes if one.scores and one.grades < 4)
    decide(store, out / "d1_1", "+0123456789ac", status="accepted", code=few.code, seconds=1.0, grade=4, distance_m=1)
    with pytest.raises(
        TableError, match=rf"d1_1.mp4, {few.code} at 00:01.0, grade has 4; expected a grade of {few.code}"
    ):
        condition(out, out=tmp_path / "c.json", store=store.path)


def test_inspection_data_of_a_file_fills_what_nobody_entered(out: Path, store: ReviewStore, tmp_path: Path) -> None:
    from urbanpipe.exports.rules import read_rules

    soil, region = read_rules().soils[0].key, read_rules().regions[0].key
    csv_file = tmp_path / "data.csv"
    csv_file.write_text(f"video,segment,length_m,diameter_mm,region,soil\nd1_1.mp4,FILE,80,300,{region},{soil}\n")
    enter(store, out / "d1_1", segment="TYPED")
    done = condition(out, out=tmp_path / "c.json", store=store.path, inspection_data=csv_file)
    assert (done.segments[0].segment.name, float(done.segments[0].segment.length)) == ("TYPED", 80)


def test_the_commands_take_a_store(out: Path, store: ReviewStore, tmp_path: Path) -> None:
    labels = ["export", str(out), "--to", "labels", "--store", str(store.path), "--out", str(tmp_path / "l.json")]
    run = CliRunner().invoke(app, labels)
    assert run.exit_code == 0, run.output
    assert "1 video, 3 labels, all reviewed" in run.output
    run = CliRunner().invoke(
        app, ["condition", str(out), "--store", str(store.path), "--out", str(tmp_path / "c.json")]
    )
    assert isinstance(run.exception, InspectionError)
    assert "d1_1.mp4, length is empty" in str(run.exception)


def _digest(name: str) -> str:
    import hashlib

    return hashlib.blake2b(name.encode(), digest_size=16).hexdigest()
