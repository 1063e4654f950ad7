"""Condition figures: worked by hand here, and what a filled-in table may not hold."""

import csv
import json
import pickle
import re
import sys
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import ZipFile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook
from PIL import Image
from typer.testing import CliRunner

from helpers.filled_tables import defect, filled_table, segment
from helpers.inspection_material import made_inspection
from urbanpipe import api
from urbanpipe.cli.main import app, main
from urbanpipe.errors import InspectionError, RecipeError, TableError, UrbanpipeError
from urbanpipe.exports import condition_page
from urbanpipe.exports.cell_texts import Expectation, MissingCell, ReviewCell, SheetCell
from urbanpipe.exports.condition import Defect, Segment, merged, segment_condition
from urbanpipe.exports.condition_report import condition
from urbanpipe.exports.rules import read_rules
from urbanpipe.report.wording import all_texts

RULES = read_rules()
D = Decimal


def figures(tmp_path: Path, row: Mapping[str, object], *defects: Mapping[str, object]) -> dict[str, Any]:
    """All figures of a table with one segment."""
    table = filled_table(tmp_path / "t.xlsx", [row], defects)
    condition(table, out=tmp_path / "c.json")
    made: dict[str, Any] = json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))["segments"][0]
    return made


def test_merging_below_one_metre_and_weight_up_to_one_and_a_half(tmp_path: Path) -> None:
    # 5.0 m PL 2 (2) and 5.6 m PL 1 (.5): .6 m apart, one place of 2.5, which ends at 5.6 m.
    # 6.8 m CK 3 (5): 1.2 m from 5.6 m, so both are near (weight 1.1). 20 m SL 1 (.5): alone.
    # S = (.5 + 1.1 x (2.5 + 5)) / 3 = 8.75 / 3 = 2.9167; Smax = 5; F = 5: III.
    # Density = (1.1 x 2.5 + 1.1 x 5 + .5) x 1 m / (2.9167 x 40 m) = 8.75 / 116.67 = .075: local.
    # F >= 4, so K 10 and E 3 (800 mm) count; silty sand T 10. RI = 3.5 + 1 + .15 + 1.5 = 6.15: III.
    # No functional defects: G = 0 (I), K and E do not count, MI = 0 (I).
    made = figures(
        tmp_path,
        segment(soil="silty-sand"),
        defect("SL", 1, 20),
        defect("PL", 2, 5),
        defect("CK", 3, 6.8),
        defect("PL", 1, 5.6),
    )
    assert made["F"] == {
        "S": 2.9167,
        "Smax": 5.0,
        "value": 5.0,
        "grade": "III",
        "text": "serious defects, the structure is affected",
        "places": [
            {"from_m": 5.0, "to_m": 5.6, "score": 2.5, "weight": 1.1, "defects": 2},
            {"from_m": 6.8, "to_m": 6.8, "score": 5.0, "weight": 1.1, "defects": 1},
            {"from_m": 20.0, "to_m": 20.0, "score": 0.5, "weight": 1.0, "defects": 1},
        ],
        "density": 0.075,
        "density_class": "local",
        "density_text": "local defects",
    }
    assert (made["RI"]["value"], made["RI"]["grade"]) == (6.15, "III")
    assert made["RI"]["counted"] == {"K": 10.0, "E": 3.0, "T": 10.0, "F": 5.0}
    assert (made["G"]["value"], made["G"]["grade"], made["MI"]["value"], made["MI"]["grade"]) == (0, "I", 0, "I")
    assert made["defects"] == 4


def test_no_defects_are_grade_one_wherever_the_pipe_lies(tmp_path: Path) -> None:
    made = figures(tmp_path, segment(diameter=2000, soil="mud"))
    for name in ("F", "G"):
        assert (made[name]["value"], made[name]["grade"], made[name]["density"]) == (0, "I", 0)
        assert made[name]["density_class"] is None
    assert (made["RI"]["value"], made["RI"]["grade"], made["MI"]["value"], made["MI"]["grade"]) == (0, "I", 0, "I")


def test_grade_four_long_defects_and_the_limit_of_a_merged_score(tmp_path: Path) -> None:
    # Structural: PL 4 (10) from 3 to 7 m, TJ 4 (10) at 7.5 m: .5 m apart, 20 is limited to 10, 3 to 7.5 m = 4.5 m.
    # FS 3 (5) from 12 to 14 m: 4.5 m away. S = (10 + 5) / 2 = 7.5; Smax = 10; F = 10: IV.
    # Density = (10 x 4.5 + 5 x 2) / (7.5 x 20) = 55 / 150 = .3667: partial.
    # Functional: CJ 4 (10) at 3 m, ZW 1 (.1) at 4.2 m: near. Y = 1.1 x 10.1 / 2 = 5.555; Ymax = 10; G = 10: IV.
    # Density = 11.11 x 1 / (5.555 x 20) = 2 / 20 = .1, on the limit: partial.
    # K 6, E 10 (1600 mm), T 8. RI = 7 + .6 + .5 + 1.2 = 9.3: IV. MI = 8 + .9 + .5 = 9.4: IV.
    made = figures(
        tmp_path,
        segment(length=20, diameter=1600, region="arterial", soil="loess-3"),
        defect("PL", 4, 3, 4),
        defect("TJ", 4, 7.5),
        defect("FS", 3, 12, 2),
        defect("CJ", 4, 3),
        defect("ZW", 1, 4.2),
    )
    f, g = made["F"], made["G"]
    assert (f["S"], f["Smax"], f["value"], f["grade"], len(f["places"])) == (7.5, 10.0, 10.0, "IV", 2)
    assert (f["density"], f["density_class"]) == (0.3667, "partial")
    assert (g["Y"], g["Ymax"], g["value"], g["grade"]) == (5.555, 10.0, 10.0, "IV")
    assert (g["density"], g["density_class"]) == (0.1, "partial")
    assert (made["RI"]["value"], made["RI"]["grade"]) == (9.3, "IV")
    assert (made["MI"]["value"], made["MI"]["grade"]) == (9.4, "IV")


def test_limits_belong_to_the_grade_below_and_one_metre_does_not_merge(tmp_path: Path) -> None:
    # CK 3 (5) at 1.3 and 2.3 m (as a spreadsheet computes it, a little less): 1.0 m apart, near and not merged.
    # S = 1.1 x (5 + 5) / 2 = 5.5 > Smax = 5, so F = 5.5: III. Density = 11 / (5.5 x 4) = .5: whole.
    # K 3, E 3 (600 mm), T 0: RI = 3.85 + .3 + .15 = 4.3: III.
    # SG 1 (.5) at 0 m, CQ 1 (1) at 3 m. Y = 1.5 / 2 = .75; Ymax = 1; G = 1: I. MI = .8 (K and E do not count): I.
    made = figures(
        tmp_path,
        segment(length=4, diameter=600, region="road"),
        defect("CK", 3, 1.3),
        defect("CK", 3, 2.2999999999999994),
        defect("SG", 1, 0),
        defect("CQ", 1, 3),
    )
    assert (made["F"]["S"], made["F"]["Smax"], made["F"]["value"], made["F"]["grade"]) == (5.5, 5.0, 5.5, "III")
    assert (made["F"]["density"], made["F"]["density_class"]) == (0.5, "whole")
    assert (made["RI"]["value"], made["RI"]["grade"]) == (4.3, "III")
    assert (made["G"]["Y"], made["G"]["value"], made["G"]["grade"]) == (0.75, 1.0, "I")
    assert (made["MI"]["value"], made["MI"]["grade"]) == (0.8, "I")


def test_place_and_pipe_count_only_beside_serious_defects(tmp_path: Path) -> None:
    # BX 2 (2) at 10 m, TL 2 (3) at 11.5 m: 1.5 m apart, near. S = 1.1 x 5 / 2 = 2.75; Smax = 3; F = 3: II.
    # Density = 5.5 / (2.75 x 50) = .04: local. F < 4: K 10 and E 3 (1000 mm is not above 1000) do not count.
    # T 8: RI = 2.1 + 1.2 = 3.3: II.
    made = figures(
        tmp_path, segment(length=50, diameter=1000, soil="muddy-soil"), defect("BX", 2, 10), defect("TL", 2, 11.5)
    )
    assert (made["F"]["S"], made["F"]["value"], made["F"]["grade"], made["F"]["density"]) == (2.75, 3.0, "II", 0.04)
    assert (made["RI"]["value"], made["RI"]["grade"]) == (3.3, "II")
    assert made["RI"]["counted"] == {"K": 0.0, "E": 0.0, "T": 8.0, "F": 3.0}


def test_nearness_is_measured_from_the_farthest_end() -> None:
    # A long defect from 2 to 10 m holds a short one at 3 m; the next at 10.9 m is .9 m from its end.
    places = merged([Defect("PL", 1, D(3)), Defect("FS", 1, D(2), D(8)), Defect("CK", 1, D("10.9"))], RULES)
    assert [(one.start, one.end, one.score, one.defects) for one in places] == [(D(2), D("10.9"), D("1.5"), 3)]


@pytest.mark.parametrize(("millimetres", "value"), [(599, 0), (600, 3), (1000, 3), (1001, 6), (1500, 6), (1501, 10)])
def test_the_diameter_gives_e(millimetres: int, value: int) -> None:
    assert RULES.pipe_value(D(millimetres)) == value


def test_every_score_and_choice_is_the_standards() -> None:
    four = {"PL", "CK", "QF", "SL", "CJ", "JG", "SG"}
    expected = {code: [D("0.5"), 2, 5, 10] for code in four} | {code: [D("0.5"), 2, 5] for code in ("FS", "AJ", "CR")}
    expected |= {
        "BX": [1, 2, 5, 10],
        "TJ": [1, 3, 5, 10],
        "CQ": [1, 3, 5, 10],
        "TL": [1, 3],
        "ZW": [D("0.1"), 2, 5, 10],
    }
    assert {rule.code: list(rule.scores) for rule in RULES.classes} == expected | {"FZ": []}
    functional = {rule.code for rule in RULES.classes if rule.kind == "functional"}
    assert functional == {"CJ", "JG", "ZW", "CQ", "SG", "FZ"}
    assert [one.value for one in RULES.regions] == [10, 6, 3, 0]
    assert [one.value for one in RULES.soils] == [0, 10, 6, 8, 10, 10, 8, 6, 10, 8, 8]


@pytest.mark.parametrize(("value", "name"), [("1", "I"), ("1.0001", "II"), ("4", "II"), ("7", "III"), ("7.0001", "IV")])
def test_indices_are_graded_at_one_four_and_seven(value: str, name: str) -> None:
    assert RULES.repair.level(D(value)).name == RULES.maintenance.level(D(value)).name == name


@pytest.mark.parametrize(("value", "name"), [("1", "I"), ("3", "II"), ("6", "III"), ("6.0001", "IV")])
def test_parameters_are_graded_at_one_three_and_six(value: str, name: str) -> None:
    assert RULES.structural.level(D(value)).name == RULES.functional.level(D(value)).name == name


def test_scum_is_recorded_normal_is_ignored_and_struck_rows_do_not_count(tmp_path: Path) -> None:
    made = figures(
        tmp_path, segment(), defect("FZ", 2, None), defect("fz", None, None), defect("ZC", None, None, name=None),
        defect("CK", "-", None), defect("XX", "-", "?"), defect("CJ", "2", "12.4"),
    )  # fmt: skip
    assert made["recorded"] == ["FZ", "FZ"]
    assert made["struck"] == 2
    assert (made["defects"], made["G"]["value"], made["F"]["value"]) == (1, 2.0, 0)


def test_a_row_of_the_kind_normal_is_ignored_unless_a_person_put_a_defect_there(tmp_path: Path) -> None:
    normal = {"kind": "正常"}
    made = figures(tmp_path, segment(), defect("OK", None, None) | normal, defect("CJ", 2, 12.4) | normal)
    assert (made["defects"], made["G"]["value"]) == (1, 2.0)
    with pytest.raises(InspectionError, match="expected one of PL"):
        figures(tmp_path, segment(), defect("OK", None, None) | {"kind": "structural"})


def test_what_is_empty_refuses_its_segment_and_names_the_cell(tmp_path: Path) -> None:
    segments = [
        segment("A"),
        segment("B"),
        segment("C", length=None, soil=" "),
        segment("D", reviewer=None),
        segment() | {"segment": 7},
    ]
    rows = [
        defect("CK", None, 3, name="A"),
        defect("PL", 2, None, name="A"),
        defect("PL", 2, 3, name="B"),
        defect("PL", 2, 3, name=7.0),
    ]
    done = condition(filled_table(tmp_path / "t.xlsx", segments, rows), out=tmp_path / "c.csv")
    assert [one.segment.name for one in done.segments] == ["B", "7"]
    missing = {one.name: tuple(map(str, one.missing)) for one in done.refused}
    assert missing["A"] == (
        "sheet 'defects', row 3, column I (grade) is empty; expected a grade of CK, 1 to 4, or - for no such defect",
        "sheet 'defects', row 4, column G (distance) is empty; "
        "expected metres from the start of the inspection, such as 12.4",
    )
    assert ["column C (length)" in line or "column F (soil)" in line for line in missing["C"]] == [True, True]
    assert "row 6, column G (reviewer) is empty" in missing["D"][0]
    with (tmp_path / "c.csv").open(encoding="utf-8-sig", newline="") as file:
        table = {row["segment"]: row for row in csv.DictReader(file)}
    assert (table["B"]["F"], table["B"]["F_Smax"], table["B"]["F_grade"], table["B"]["RI"]) == (
        "2.0",
        "2.0",
        "II",
        "1.4",
    )
    assert (table["B"]["F_places"], table["B"]["G_places"]) == ("1", "0")
    assert table["A"]["F"] == ""
    assert table["A"]["not_computed"].startswith("sheet 'defects', row 3, column I (grade) is empty")


def test_without_any_grade_nothing_is_computed(tmp_path: Path) -> None:
    table = filled_table(tmp_path / "t.xlsx", [segment()], [defect("CK", None, 3), defect("CK", None, 5)])
    with pytest.raises(InspectionError, match=r"no segment that is filled in: .*row 3, column I.*1 more cell is empty"):
        condition(table, out=tmp_path / "c.json")
    assert not (tmp_path / "c.json").exists()


CK = {"code": "CK", "grade": 2, "distance": 3, "segment": "S1"}


@pytest.mark.parametrize(
    ("change", "where", "right"),
    [
        ({"grade": 5}, "row 3, column I (grade) has 5", "a whole number from 1 to 4"),
        ({"grade": 0}, "column I (grade) has 0", "from 1 to 4"),
        ({"grade": 2.5}, "column I (grade) has 2.5", "whole number"),
        ({"grade": "III"}, "column I (grade) has 'III'", "whole number"),
        ({"grade": True}, "column I (grade) has True", "whole number"),
        ({"code": "TL", "grade": 3}, "column I (grade) has 3", "a grade of TL, a whole number from 1 to 2"),
        ({"code": "FZ", "grade": 4}, "column I (grade) has 4", "from 1 to 3"),
        ({"distance": "12,400"}, "column G (distance) has '12,400'", "metres from the start of the inspection"),
        ({"distance": "3 yd"}, "column G (distance) has '3 yd'", "such as 12.4"),
        ({"distance": "1e9999999"}, "column G (distance)", "such as 12.4"),
        ({"distance": -0.5}, "column G (distance) has -0.5", "not below 0"),
        ({"distance": 40.1}, "column G (distance) has 40.1", "at most 40"),
        ({"distance": 39, "length": 2}, "column H (length) has 2", "at most 1,"),
        ({"length": -1}, "column H (length) has -1", "not below 0"),
        ({"code": "CX"}, "column C (code) has 'CX'", "one of PL BX FS"),
        ({"code": None}, "column C (code) has nothing", "one of PL"),
        ({"segment": "S9"}, "column A (segment) has 'S9'", "one of the sheet 'segment': S1"),
        ({"segment": None}, "column A (segment) has nothing", "one of the sheet 'segment'"),
        ({"grade": "=1+1"}, "column I (grade) holds the formula =1+1", "write the value itself"),
    ],
)
def test_a_bad_row_is_one_line_that_says_what_would_be_right(
    change: dict[str, object], where: str, right: str, tmp_path: Path
) -> None:
    table = filled_table(tmp_path / "t.xlsx", [segment()], [CK | change])
    with pytest.raises(InspectionError) as caught:
        condition(table, out=tmp_path / "c.json")
    message = str(caught.value)
    assert "sheet 'defects'" in message
    assert where in message
    assert right in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"length": 0}, "row 3, column C (length) has 0; expected the segment's length in metres, 0.5 to 2000"),
        ({"length": "forty"}, "column C (length) has 'forty'"),
        ({"diameter": -600}, "column D (diameter) has -600"),
        ({"region": "downtown"}, "column E (region) has 'downtown'; expected one of centre, arterial, road, other"),
        ({"soil": 8}, "column F (soil) has 8; expected one of general, silty-sand"),
        ({"segment": None}, "column A (segment) has nothing; expected the name of the segment"),
    ],
)
def test_a_bad_segment_is_one_line(change: dict[str, object], where: str, tmp_path: Path) -> None:
    with pytest.raises(InspectionError) as caught:
        condition(filled_table(tmp_path / "t.xlsx", [segment() | change], []), out=tmp_path / "c.json")
    assert where in str(caught.value)


def test_several_mistakes_are_counted_and_a_segment_is_named_once(tmp_path: Path) -> None:
    table = filled_table(tmp_path / "t.xlsx", [segment(), segment()], [defect("CK", 9, 3), defect("XX", 1, 3)])
    with pytest.raises(InspectionError, match=r"row 4, column A \(segment\) names 'S1' again.*and 2 more mistakes"):
        condition(table, out=tmp_path / "c.json")


def test_all_mistakes_are_reported_at_once_and_no_correct_row_is_one(tmp_path: Path) -> None:
    segments = [segment(soil="general-soil", diameter=0.6), segment("S2", length="=1+1"), segment() | {"segment": None}]
    rows = [
        defect("CK", 2, 3),  # correct, though a cell of its segment is not
        defect("CK", 9, "3 yd"),
        defect("XX", 1, 3, name="S7"),
        defect("PL", 1, 20, name="S2"),
        defect("SL", 3, 5, name="S8"),
    ]
    with pytest.raises(TableError) as caught:
        condition(filled_table(tmp_path / "t.xlsx", segments, rows), out=tmp_path / "c.json")
    assert [str(mistake).partition(";")[0] for mistake in caught.value.mistakes] == [
        "sheet 'segment', row 3, column D (diameter) has 0.6",
        "sheet 'segment', row 3, column F (soil) has 'general-soil'",
        "sheet 'segment', row 4, column C (length) holds the formula =1+1",
        "sheet 'segment', row 5, column A (segment) has nothing",
        "sheet 'defects', row 4, column I (grade) has 9",
        "sheet 'defects', row 4, column G (distance) has '3 yd'",
        "sheet 'defects', row 5, column C (code) has 'XX'",
        "sheet 'defects', row 5, column A (segment) has 'S7'",
        "sheet 'defects', row 7, column A (segment) has 'S8'",
    ]
    assert str(caught.value).endswith("(and 8 more mistakes)")
    assert not (tmp_path / "c.json").exists()


def test_the_command_lists_all_mistakes(tmp_path: Path) -> None:
    table = filled_table(tmp_path / "t.xlsx", [segment(diameter=0.6)], [CK | {"grade": 7}])
    run = CliRunner().invoke(app, ["condition", str(table), "--out", str(tmp_path / "c.json")])
    assert (
        "column D (diameter) has 0.6; expected the diameter in millimetres, 100 to 10000, such as 600\n" in run.output
    )
    assert "column I (grade) has 7" in run.output
    assert str(run.exception) == f"{table} has 2 mistakes, listed above; no figure was computed"


@given(
    wrong=st.sets(st.integers(0, 11)),
    cells=st.lists(st.sampled_from([("grade", 5), ("distance", "x"), ("code", "QQ")]), min_size=12, max_size=12),
)
@settings(max_examples=25, deadline=None)
def test_exactly_the_wrong_cells_are_reported(wrong: set[int], cells: list[tuple[str, object]]) -> None:
    rows = [defect("CK", 1, 2 * number) for number in range(12)]
    rows = [row | dict([cells[number]]) if number in wrong else row for number, row in enumerate(rows)]
    with TemporaryDirectory() as folder:
        table = filled_table(Path(folder) / "t.xlsx", [segment()], rows)
        if not wrong:
            assert condition(table, out=Path(folder) / "c.json").segments[0].defects == 12
            return
        with pytest.raises(TableError) as caught:
            condition(table, out=Path(folder) / "c.json")
    expected = [(f"row {number + 3},", f"({cells[number][0]})") for number in sorted(wrong)]
    assert len(caught.value.mistakes) == len(expected)
    for mistake, parts in zip(caught.value.mistakes, expected, strict=True):
        assert all(part in str(mistake) for part in parts)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"diameter": 0.6}, "column D (diameter) has 0.6; expected the diameter in millimetres, 100 to 10000"),
        ({"diameter": 60}, "column D (diameter) has 60"),
        ({"diameter": 600_000}, "column D (diameter) has 600000"),
        ({"length": 0.04}, "column C (length) has 0.04; expected the segment's length in metres, 0.5 to 2000"),
        ({"length": 40_000}, "column C (length) has 40000"),
    ],
)
def test_a_number_in_another_unit_is_refused(change: dict[str, object], where: str, tmp_path: Path) -> None:
    with pytest.raises(InspectionError) as caught:
        condition(filled_table(tmp_path / "t.xlsx", [segment() | change], []), out=tmp_path / "c.json")
    assert where in str(caught.value)


def test_units_and_decimal_commas_are_read_as_numbers(tmp_path: Path) -> None:
    segments = [segment(length="40 m", diameter="0,6 m"), segment("S2", length="131 ft", diameter="DN 600")]
    rows = [defect("CK", 2, "3,5", "50 cm"), defect("CK", 1, "12.4 m", name="S2"), defect("SL", 1, 7, name="S2")]
    done = condition(filled_table(tmp_path / "t.xlsx", segments, rows), out=tmp_path / "c.json")
    assert [(str(one.segment.length), str(one.segment.diameter)) for one in done.segments] == [
        ("40", "600"),
        ("39.9288", "600"),
    ]
    (place,) = done.segments[0].structural.places
    assert (str(place.start), str(place.end)) == ("3.5", "4.0")


def test_a_distance_in_millimetres_is_refused_even_where_the_length_is_missing(tmp_path: Path) -> None:
    table = filled_table(tmp_path / "t.xlsx", [segment(length=None)], [CK | {"distance": 12_400}])
    with pytest.raises(InspectionError, match=r"has 12400; expected metres .* at most 2000"):
        condition(table, out=tmp_path / "c.json")


def test_one_joint_in_three_rows_is_refused_unless_they_are_different_defects(tmp_path: Path) -> None:
    # Three rows of grade 3 (5) at one place are a merged score of 10: F = 10, IV; one row is F = 5, III.
    rows = [defect("CK", 3, 12.4), defect("CK", 3, 12.45), defect("CK", 3, "12.4"), defect("PL", 1, 12.4)]
    table = filled_table(tmp_path / "t.xlsx", [segment()], rows)
    with pytest.raises(TableError) as caught:
        condition(table, out=tmp_path / "c.json")
    first, second = map(str, caught.value.mistakes)
    assert first.startswith("sheet 'defects', row 4, column G (distance) has CK at 12.45 m, as row 3 has; enter -")
    assert second.startswith("sheet 'defects', row 5, column G (distance) has CK at 12.4 m, as row 3 has; enter -")
    done = condition(table, out=tmp_path / "c.json", allow_repeats=True)
    assert done.segments[0].structural.value == 10
    rows[1]["grade"] = rows[2]["grade"] = "-"
    done = condition(filled_table(table, [segment()], rows), out=tmp_path / "c.json")
    assert (done.segments[0].structural.value, done.segments[0].segment.struck) == (D("5.5"), 2)


def test_a_copied_row_is_refused_though_its_distance_was_changed(tmp_path: Path) -> None:
    proposal = {"video": "a.mp4", "time": "00:12.5"}
    rows = [CK | proposal, CK | proposal | {"distance": 9}, CK | {"video": "a.mp4", "distance": 15}]
    table = filled_table(tmp_path / "t.xlsx", [segment()], rows)
    with pytest.raises(InspectionError, match=r"row 4, column F \(time\) has CK at 00:12.5 of a.mp4, as row 3 has"):
        condition(table, out=tmp_path / "c.json")


def test_one_code_at_one_distance_of_two_segments_or_of_two_kinds_is_no_repeat(tmp_path: Path) -> None:
    rows = [CK, CK | {"segment": "S2"}, CK | {"code": "PL"}, CK | {"distance": 3.1}, CK | {"grade": "-"}]
    done = condition(filled_table(tmp_path / "t.xlsx", [segment(), segment("S2")], rows), out=tmp_path / "c.json")
    assert [one.defects for one in done.segments] == [3, 1]


def test_one_defect_is_not_called_defects(tmp_path: Path) -> None:
    done = condition(filled_table(tmp_path / "t.xlsx", [segment()], [CK]), out=tmp_path / "c.json")
    assert next(done.lines()) == "S1: 40 m, 1 defect, reviewed by Wang Li"


@pytest.mark.slow
def test_choices_are_understood_in_both_languages(tmp_path: Path) -> None:
    for choice in RULES.regions:
        for name in choice.names:
            made = figures(tmp_path, segment(region=name), defect("PL", 3, 1))
            assert made["RI"]["counted"]["K"] == choice.value


def test_what_is_no_table_is_one_line(tmp_path: Path) -> None:
    no_workbook, csv_table, empty = tmp_path / "a.xlsx", tmp_path / "a.csv", tmp_path / "b.xlsx"
    no_workbook.write_bytes(b"PK no zip")
    csv_table.write_text("segment,code\n")
    filled_table(empty, [], [])
    other = load_workbook(empty)
    other["defects"]["B2"] = "code"
    other.save(tmp_path / "twice.xlsx")
    other["defects"].delete_rows(1, 9)
    other.save(tmp_path / "headless.xlsx")
    del other["segment"]
    other.save(tmp_path / "sheetless.xlsx")
    for path, message in (
        (tmp_path / "absent.xlsx", "cannot read the table"),
        (no_workbook, "is not an Excel workbook"),
        (csv_table, "is not .xlsx; only an .xlsx export"),
        (empty, "names no segment"),
        (tmp_path / "twice.xlsx", "the column 'code' occurs twice"),
        (tmp_path / "headless.xlsx", "sheet 'defects' has no row of headings"),
        (tmp_path / "sheetless.xlsx", "has no sheet 'segment', only 'defects'"),
    ):
        with pytest.raises(InspectionError) as caught:
            condition(path, out=tmp_path / "c.json")
        assert message in str(caught.value)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    book = load_workbook(filled_table(tmp_path / "t.xlsx", [segment()], [CK]))
    book["defects"]["I2"] = "points"
    book.save(tmp_path / "t.xlsx")
    with pytest.raises(InspectionError, match="sheet 'defects', row 2: the column 'grade' is missing"):
        condition(tmp_path / "t.xlsx", out=tmp_path / "c.json")


def test_a_file_that_lies_about_its_size_is_read_whole(tmp_path: Path) -> None:
    filled_table(tmp_path / "t.xlsx", [segment()], [CK, CK | {"grade": 4, "distance": 9}])
    with ZipFile(tmp_path / "t.xlsx") as old, ZipFile(tmp_path / "small.xlsx", "w") as new:
        for name in old.namelist():
            new.writestr(name, re.sub(rb'<dimension ref="[^"]*"', b'<dimension ref="A1:N3"', old.read(name)))
    done = condition(tmp_path / "small.xlsx", out=tmp_path / "c.json")
    assert done.segments[0].structural.maximum == 10


def test_a_page_ranks_the_segments_beside_their_pictures(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (320, 240), "white" if name == "a" else "black").save(tmp_path / "out" / f"{name}.jpg")
    rows = [
        defect("CK", 1, 3, name="mild") | {"picture": "out/a.jpg"},
        defect("CK", 4, 3, name="<bad>") | {"picture": "out/b.jpg"},
        defect("SL", 2, 9, name="<bad>") | {"picture": "//server/share/c.jpg"},
        *(defect("SL", 1, 20 + 3 * number, name="<bad>") for number in range(4)),
    ]
    table = filled_table(tmp_path / "t.xlsx", [segment("mild"), segment("<bad>"), segment("empty", length=None)], rows)
    condition(table, out=tmp_path / "c.html")
    assert "Pipe segments by urgency" in (tmp_path / "c.html").read_text(encoding="utf-8")
    condition(table, out=tmp_path / "c.html", language="zh")  # replaces it
    html = (tmp_path / "c.html").read_text(encoding="utf-8")
    assert "管段按紧迫程度排序" in html
    assert re.findall(r"<h2>(.*?)</h2>", html)[:2] == ["&lt;bad&gt;", "mild"], "the most urgent first"
    assert html.count("data:image/jpeg;base64,") == 2
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", html)
    assert captions[:2] == ["CK 4 · 3 m", "SL 2 · 9 m"], "the worst first"
    assert "另有 2 处" in html
    row = "工作表 segment 第 5 行 C 列（长度 m）：未填写；应填：管段长度（米），0.5 至 2000，如 35.5"
    assert f"<td>empty</td><td>{row}</td>" in html
    condition(table, out=tmp_path / "c.csv", language="zh")
    assert row in (tmp_path / "c.csv").read_text(encoding="utf-8-sig")
    (tmp_path / "c.html").write_text("<p>my page</p>", encoding="utf-8")
    with pytest.raises(InspectionError, match="does not contain condition figures"):
        condition(table, out=tmp_path / "c.html")


def test_both_languages_of_the_page_have_the_same_texts() -> None:
    for name in ("condition_texts.toml", "cell_texts.toml"):
        texts = all_texts(Path(condition_page.__file__).with_name(name))
        assert texts["en"].keys() == texts["zh"].keys()
        for key, text in texts["en"].items():
            assert set(re.findall(r"\{(\w+)", text)) == set(re.findall(r"\{(\w+)", texts["zh"][key])), key


def test_a_missing_cell_of_the_review_is_worded_in_both_languages() -> None:
    place = ReviewCell("d2.mp4", "grade", code="SL", time="00:28.0", status="second_opinion")
    cell = MissingCell(place, Expectation("grade", {"code": "SL", "grades": 4, "struck": "-"}))
    assert str(cell) == (
        "d2.mp4, SL at 00:28.0 (waits for a second opinion), grade is empty; "
        "expected a grade of SL, 1 to 4, or - for no such defect"
    )
    text = "d2.mp4，00:28.0 处的 SL（等待他人意见），等级：未填写；应填：SL 的等级，1 至 4；不是缺陷填 -"
    assert cell.text("zh") == text
    absent = SheetCell("defects", 4, "", "segment")
    assert absent.text("en") == "sheet 'defects', row 4 (segment, which has no column)"
    assert absent.text("zh") == "工作表 defects 第 4 行（管段，无此列）"
    whole = MissingCell(ReviewCell("d2.mp4", "length"), Expectation("reviewer"))
    assert whole.text("zh") == "d2.mp4，长度 m：未填写；应填：对等级和数据负责的人的姓名"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"grade": 9}, "第 3 行 I 列（等级）：现为 9；应填：CK 的等级，1 至 4 的整数；不是缺陷填 -"),
        ({"grade": "=1+1"}, "第 3 行 I 列（等级）：现为公式 =1+1；请直接填写数值"),
        ({"code": None}, "第 3 行 C 列（代码）：现为 空；应填：PL BX FS"),
        ({"distance": 40.1}, "第 3 行 G 列（距离 m）：现为 40.1；应填：不大于 40（所在管段的长度）"),
        ({"distance": 1}, "第 4 行 G 列（距离 m）：1 m 处的 CK 与 第 3 行 重复；请将其中一条的等级填 -"),
    ],
)
def test_a_wrong_cell_is_worded_in_chinese_too(change: dict[str, object], text: str, tmp_path: Path) -> None:
    rows = [CK | {"distance": 1} | change, *([CK | {"distance": 1}] if change == {"distance": 1} else [])]
    with pytest.raises(TableError) as caught:
        condition(filled_table(tmp_path / "t.xlsx", [segment()], rows), out=tmp_path / "c.json")
    (mistake,) = pickle.loads(pickle.dumps(caught.value)).mistakes
    assert mistake.text("zh").startswith(f"工作表 defects {text}")
    assert mistake.text("en") == str(caught.value)


def test_figures_replace_only_figures(tmp_path: Path) -> None:
    table = filled_table(tmp_path / "t.xlsx", [segment()], [CK])
    for name in ("c.json", "c.csv"):
        condition(table, out=tmp_path / name)
        condition(table, out=tmp_path / name)
        (tmp_path / name).write_text("a person's notes")
        with pytest.raises(InspectionError, match="does not contain condition figures"):
            condition(table, out=tmp_path / name)
        assert (tmp_path / name).read_text() == "a person's notes"
    with pytest.raises(InspectionError, match=r"written as \.json, \.csv or \.html"):
        condition(table, out=table)


def test_other_rules_are_read_and_checked(tmp_path: Path) -> None:
    shipped = Path(str(sys.modules["urbanpipe.exports.rules"].__file__)).with_name("cjj181.toml").read_text("utf-8")
    table = filled_table(tmp_path / "t.xlsx", [segment(length=10)], [defect("CK", 3, 1), defect("CK", 3, 2.2)])
    mine = tmp_path / "mine.toml"
    mine.write_text(shipped.replace("near_weight = 1.1", "near_weight = 2"), "utf-8")
    assert condition(table, out=tmp_path / "c.json", rules=mine).segments[0].structural.value == 10
    for old, new, message in (
        ("near_weight = 1.1", "near_wait = 1.1", "places.near_weight"),
        ("scores = [1, 3]\n", "scores = [1, 3, 5]\n", "TL has 3 scores and 2 criteria"),
        ('name = "II", at_most = 3', 'name = "II", at_most = 0.5', "rising limits"),
        ("{ F = 0.7, K", "{ F = 0.7, Q", "RI has the unknown values ['Q']"),
        ("scores = [0.5, 2, 5]\n", "scores = [0, 2, 5]\n", "greater than 0"),
    ):
        assert old in shipped
        mine.write_text(shipped.replace(old, new), "utf-8")
        with pytest.raises(RecipeError) as caught:
            read_rules(mine)
        assert message in str(caught.value)


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 5000, "year = 1e99999999999999999999", "year = " + "9" * 5000, "\x00", "name = 1\nname = 2"]
)
def test_hostile_rules_are_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(RecipeError) as caught:
        read_rules(tmp_path / "r.toml")
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


def test_a_rule_with_a_number_that_overflows_is_refused(tmp_path: Path) -> None:
    shipped = Path(str(sys.modules["urbanpipe.exports.rules"].__file__)).with_name("cjj181.toml").read_text("utf-8")
    (tmp_path / "r.toml").write_text(shipped.replace("near_weight = 1.1", "near_weight = 1e999999"), "utf-8")
    with pytest.raises(RecipeError, match=r"places.near_weight: .*less than or equal to 1000000"):
        read_rules(tmp_path / "r.toml")


def test_a_table_goes_from_export_to_figures_by_commands(tmp_path: Path) -> None:
    made_inspection(tmp_path / "out" / "d1_1")
    made_inspection(tmp_path / "out" / "d1_2", "d1_2.mp4")
    table = tmp_path / "t.xlsx"
    run = CliRunner().invoke(app, ["export", str(tmp_path / "out"), "--to", "cjj181", "--out", str(table)])
    assert run.exit_code == 0, run.output
    book = load_workbook(table)
    defects, segments = book["defects"], book["segment"]
    for row in range(5, 13):
        if defects.cell(row, 1).value == "S1":
            defects.cell(row, 9).value = 1
            defects.cell(row, 7).value = row
    for column, value in enumerate((30, 500, book["choices"]["A3"].value, book["choices"]["A8"].value, "Li Na"), 3):
        segments.cell(3, column).value = value
    book.save(table)
    run = CliRunner().invoke(app, ["condition", str(table), "--out", str(tmp_path / "c.json"), "--language", "zh"])
    assert run.exit_code == 3, run.output
    # CK and SL at 5, 6 and 7 m, grade 1 (.5 each): 1.0 m apart, all near. S = 1.1 x 1.5 / 3 = .55 = F: I.
    assert "S1: 30 m, 4 defects, reviewed by Li Na" in run.output
    assert "F 0.55 I, 无缺陷或轻微缺陷" in run.output
    assert "S2: no figures: sheet 'segment', row 4, column C (length) is empty" in run.output
    assert "\n1 segment after CJJ 181-2012, 1 without figures" in run.output


def test_a_mistake_ends_the_command_with_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = filled_table(tmp_path / "t.xlsx", [segment()], [CK | {"grade": 7}])
    monkeypatch.setattr(sys, "argv", ["urbanpipe", "condition", str(table), "--out", str(tmp_path / "c.json")])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("urbanpipe: sheet 'defects', row 3, column I (grade) has 7")


def test_the_function_is_in_the_api() -> None:
    assert api.condition is condition
    assert issubclass(InspectionError, UrbanpipeError)


def test_figures_do_not_depend_on_the_order_of_rows() -> None:
    rows = [Defect("PL", 2, D(1)), Defect("CK", 4, D("1.9")), Defect("SL", 1, D("3.3")), Defect("CJ", 3, D("1.2"))]
    one, other = (
        segment_condition(Segment("S", D(30), D(800), D(10), D(0), "me", tuple(order)), RULES)
        for order in (rows, rows[::-1])
    )
    assert one.structural == other.structural
    assert one.repair == other.repair
