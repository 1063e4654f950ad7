"""A segment in two videos is one segment in tables and figures, and one inspection per video in exchange formats."""

import csv
import html
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from helpers.inspection_material import made_inspection
from helpers.review_material import decide, finish
from urbanpipe.contracts.coded.reading import read_coded
from urbanpipe.contracts.findings import Remark, read_inspection, write_inspection
from urbanpipe.contracts.inspection_data import InspectionData, read_data_of
from urbanpipe.errors import InspectionError, TableError
from urbanpipe.exports.condition_report import condition
from urbanpipe.exports.export import export
from urbanpipe.exports.rules import read_rules
from urbanpipe.exports.segment_names import segment_data, segment_names
from urbanpipe.record.report import report
from urbanpipe.review_store.store import ReviewStore

HEAD = "video,segment,from_manhole,to_manhole,direction,length_m,diameter_mm,region,soil,date,time\n"
TWO = (
    "d1_1.mp4,K9-K12,K9,K12,downstream,38.4,,road,general,2026-01-31,09:40\n"
    "d1_2.mp4,K9-K12,K9,K12,downstream,,600,,,2026-01-31,10:05\n"
)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    store = ReviewStore(folder / "review.sqlite")
    for number, name in enumerate(("d1_1", "d1_2")):
        made_inspection(folder / "out" / name, f"{name}.mp4")
        for place, key in enumerate(("CK@12500", "CK@41000", "SL@28000", "CJ@52250")):
            metres = 4.0 + 8 * place + 4 * number
            decide(store, folder / "out" / name, key, status="accepted", grade=2, distance_m=metres)
        finish(store, folder / "out" / name)
    store.close()
    return folder / "out"


def data_file(folder: Path, text: str = TWO) -> Path:
    path = folder / "data.csv"
    path.write_text(HEAD + text, encoding="utf-8")
    return path


def test_videos_of_one_segment_have_one_name_and_their_data_together() -> None:
    data = {
        "a": InspectionData(video="a", from_manhole="K9", to_manhole="K12", direction="downstream", length_m=40),
        "b": InspectionData(video="b", from_manhole="K9", to_manhole="K12", direction="downstream", material="clay"),
        "c": InspectionData(video="c", from_manhole="K12", to_manhole="K13"),
        "d": InspectionData(video="d", segment="S2", direction="upstream"),
        "e": InspectionData(video="e", segment="S2", direction="downstream"),
        "f": InspectionData(video="f", from_manhole="K9"),
    }
    names = segment_names([*data, "g", "h"], data, "en", unnamed={"g": "S2", "h": "S8"})
    assert names == {
        "a": "K9-K12",
        "b": "K9-K12",
        "c": "K12-K13",
        "d": "S2 (against the flow)",
        "e": "S2 (with the flow)",
        "f": "f",
        "g": "g",
        "h": "S8",
    }
    assert segment_names("d", data, "zh") == {"d": "S2"}
    assert segment_names("de", data, "zh") == {"d": "S2 (逆流)", "e": "S2 (顺流)"}
    known = segment_data(names, data, read_rules())["K9-K12"]
    assert (known.data.length_m, known.data.material, known.differing) == (40, "clay", ())


def test_fields_of_a_segment_in_which_its_videos_differ_are_empty_and_named() -> None:
    road = next(choice for choice in read_rules().regions if choice.key == "road")
    own: dict[str, dict[str, Any]] = {
        "a": {"length_m": 38.4, "material": "Clay", "region": "road", "shape": "egg", "date": "2026-01-31"},
        "b": {
            "length_m": "126 ft",
            "material": " clay",
            "region": road.zh,
            "shape": "circular",
            "street": "Long St",
        },
        "c": {"length_m": 40, "diameter_mm": 300, "street": "Short St", "date": "2026-02-01", "operator": "Li"},
    }
    data = {video: InspectionData(video=video, segment="S1", **fields) for video, fields in own.items()}
    known = segment_data(dict.fromkeys(data, "S1"), data, read_rules())["S1"]
    of = "of the same segment S1 has"
    right = "; expected one value in both, or another segment for one of them"
    assert [str(cell) for cell in known.differing] == [
        f"c, street has 'Short St', but b {of} 'Long St'{right}",
        f"c, length has 40 m, but a {of} 38.4 m{right}",
        f"b, shape has circular, but a {of} egg{right}",
    ]
    assert known.differing[1].text("zh") == (
        "c，长度 m：现为 40 m，而同一管段 S1 的 a 为 38.4 m；应填：两者一致，或其中一个属于另一管段"
    )
    assert known.differing[2].text("zh").startswith("b，断面形状：现为 圆形，而")
    told = known.data
    assert (told.street, told.length_m, told.shape) == ("", None, "")
    assert (told.material, told.region, told.diameter_mm, told.date) == ("Clay", "road", 300, "2026-01-31")


TWO_LENGTHS = TWO.replace("downstream,,600", "downstream,40,600")
DIFFER = "d1_2.mp4, length has 40 m, but d1_1.mp4 of the same segment K9-K12 has 38.4 m; expected one value in both"


def test_two_lengths_of_a_segment_refuse_the_figures_and_are_named_in_the_table(out: Path, tmp_path: Path) -> None:
    data = data_file(tmp_path, TWO_LENGTHS)
    with pytest.raises(TableError, match=DIFFER) as caught:
        condition(out, out=tmp_path / "c.json", store=out.parent / "review.sqlite", inspection_data=data)
    assert len(caught.value.mistakes) == 1
    for name in ("t.xlsx", "t.csv"):
        done = export(out, out=tmp_path / name, to="cjj181", inspection_data=data, language="zh")
        assert [line[: len(DIFFER)] for line in done.left_out] == [DIFFER]
    rows = load_workbook(tmp_path / "t.xlsx")["segment"].iter_rows(values_only=True)
    (row,) = [row for row in rows if row[0] == "K9-K12"]
    assert (row[2], row[3]) == (None, 600)
    assert row[7] == str(caught.value.mistakes[0].text("zh"))


@pytest.mark.parametrize("with_store", [True, False])
def test_the_record_names_two_lengths_of_a_segment_once_and_states_none(
    with_store: bool, out: Path, tmp_path: Path
) -> None:
    store = out.parent / "review.sqlite" if with_store else None
    data = data_file(tmp_path, TWO_LENGTHS)
    done = report(out, out=tmp_path / "r.html", store=store, inspection_data=data)
    assert (done.segments, done.findings) == (1, 8)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    before, _, after = page.partition(DIFFER)
    assert after.count(DIFFER) == 0
    assert "The videos of this segment differ in its data:" in before or with_store
    assert "Still missing or wrong:" in before or not with_store
    assert '<span class="label">Length</span> <span class="value">\xa0</span>' in page


def test_two_materials_of_a_segment_are_named_in_the_record_and_leave_its_figures(out: Path, tmp_path: Path) -> None:
    store = out.parent / "review.sqlite"
    header, first, second = (HEAD + TWO).splitlines()
    data = tmp_path / "data.csv"
    data.write_text(f"{header},material\n{first},PVC\n{second},PVC-U\n", encoding="utf-8")
    done = condition(out, out=tmp_path / "c.json", store=store, inspection_data=data)
    assert [one.segment.name for one in done.segments] == ["K9-K12"]
    report(out, out=tmp_path / "r.html", store=store, inspection_data=data)
    assert "material has 'PVC-U', but d1_1.mp4" in html.unescape((tmp_path / "r.html").read_text(encoding="utf-8"))


def test_a_remark_on_a_video_is_once_in_a_workbook_and_in_each_row_of_a_csv(out: Path, tmp_path: Path) -> None:
    shutil.copytree(out, tmp_path / "out")
    for name, text in (("d1_1", "It is dark."), ("d1_2", "It is short.")):
        folder, remark = tmp_path / "out" / name, Remark(kind="size", text=text)
        write_inspection(read_inspection(folder).model_copy(update={"remarks": (remark,)}), folder)
    for data, expected in (
        (data_file(tmp_path), {"K9-K12": "d1_1.mp4: It is dark.; d1_2.mp4: It is short."}),
        (None, {"S1": "It is dark.", "S2": "It is short."}),
    ):
        export(tmp_path / "out", out=tmp_path / f"{len(expected)}.xlsx", to="cjj181", inspection_data=data)
        book = load_workbook(tmp_path / f"{len(expected)}.xlsx")
        rows = list(book["segment"].iter_rows(min_row=3, values_only=True))
        assert {str(row[0]): row[7] for row in rows if row[0]} == expected
        assert not any("It is" in str(cell) for row in book["defects"].iter_rows(values_only=True) for cell in row)
    export(tmp_path / "out", out=tmp_path / "t.csv", to="cjj181")
    assert (tmp_path / "t.csv").read_text(encoding="utf-8").count("It is dark.") == 4
    with pytest.raises(InspectionError, match="no segment that is filled in: sheet 'segment', row 3, column C"):
        condition(tmp_path / "2.xlsx", out=tmp_path / "c.json")


@pytest.mark.parametrize("named", [True, False])
def test_condition_figures_count_the_defects_of_both_videos(named: bool, out: Path, tmp_path: Path) -> None:
    text = TWO if named else TWO.replace("K9-K12,K9", ",K9")
    data, store = data_file(tmp_path, text), out.parent / "review.sqlite"
    done = condition(out, out=tmp_path / "c.json", store=store, inspection_data=data)
    (one,) = done.segments
    assert (one.segment.name, one.defects, float(one.segment.length)) == ("K9-K12", 8, 38.4)
    assert float(one.segment.diameter) == 600, "known from the second video only"


def test_a_defect_that_both_videos_show_is_refused_rather_than_counted_twice(out: Path, tmp_path: Path) -> None:
    store = ReviewStore(tmp_path / "review.sqlite")
    for name in ("d1_1", "d1_2"):
        decide(store, out / name, "CK@12500", status="accepted", grade=2, distance_m=4)
        finish(store, out / name)
    store.close()
    with pytest.raises(InspectionError, match=r" has CK at 4 m, as CK at 00:12.5 of d1_1\.mp4 has; enter -"):
        condition(out, out=tmp_path / "c.json", store=store.path, inspection_data=data_file(tmp_path))


def test_table_and_record_have_one_segment(out: Path, tmp_path: Path) -> None:
    data = data_file(tmp_path, TWO.replace("K9-K12,K9", ",K9"))
    export(out, out=tmp_path / "t.xlsx", to="cjj181", inspection_data=data)
    rows = list(load_workbook(tmp_path / "t.xlsx")["segment"].iter_rows(values_only=True))
    filled = [row[:6] for row in rows if row[0] == "K9-K12"]
    assert [(row[2], row[3]) for row in filled] == [(38.4, 600)]
    done = report(out, out=tmp_path / "r.html", inspection_data=data)
    assert (done.segments, done.findings) == (1, 8)
    assert "<h2>Segment K9-K12</h2>" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_opposite_directions_are_drawn_each_from_its_own_end(out: Path, tmp_path: Path) -> None:
    data = data_file(tmp_path, TWO.replace("K12,downstream,,600", "K12,upstream,38.4,600"))
    for language, names in (("en", ("with the flow", "against the flow")), ("zh", ("顺流", "逆流"))):
        done = report(out, out=tmp_path / "r.html", inspection_data=data, language=language)  # type: ignore[arg-type]
        assert (done.segments, done.findings) == (2, 8)
        page = (tmp_path / "r.html").read_text(encoding="utf-8")
        assert all(f"K9-K12 ({name})</h2>" in page for name in names)


@pytest.mark.parametrize("to", ["isybau", "en13508"])
def test_isybau_and_en13508_have_an_inspection_per_video(to: str, out: Path, tmp_path: Path) -> None:
    data = data_file(tmp_path, TWO.replace("downstream,,600", "downstream,38.4,600"))
    path = tmp_path / ("f.xml" if to == "isybau" else "f.txt")
    export(out, out=path, to=to, inspection_data=data, store=out.parent / "review.sqlite")
    coded = read_coded(path).inspections
    assert [(one.name, one.direction, one.films) for one in coded] == [
        ("K9-K12", "downstream", ("d1_1.mp4",)),
        ("K9-K12", "downstream", ("d1_2.mp4",)),
    ]
    if to == "isybau":  # a collection has one inspection of a pipe in a direction
        assert path.read_text("iso-8859-1").count("<Zustandsdatenkollektiv>") == 2


def test_pacp_has_a_survey_per_video_if_their_times_differ(out: Path, tmp_path: Path) -> None:
    done = export(out, out=tmp_path / "pacp", to="pacp", inspection_data=data_file(tmp_path))
    tables = {path.name: list(csv.DictReader(path.read_text().splitlines())) for path in done.files}
    assert [row["Pipe_Segment_Reference"] for row in tables["PACP_Inspections.csv"]] == ["K9-K12", "K9-K12"]
    assert [(row["InspectionID"], row["Video_Name"]) for row in tables["PACP_Media_Inspections.csv"]] == [
        ("1", "d1_1.mp4"),
        ("2", "d1_2.mp4"),
    ]
    data = data_file(tmp_path, TWO.replace("09:40", "").replace("10:05", ""))
    with pytest.raises(InspectionError, match=r"d1_1\.mp4: not written; .* are the same as of d1_2\.mp4; give time"):
        export(out, out=tmp_path / "same", to="pacp", inspection_data=data)


def test_wincan_has_one_section_with_an_inspection_per_video(out: Path, tmp_path: Path) -> None:
    data = data_file(tmp_path, TWO.replace("downstream,,600", "downstream,38.4,600"))
    export(out, out=tmp_path / "w.db3", to="wincan", inspection_data=data, store=out.parent / "review.sqlite")
    with closing(sqlite3.connect(tmp_path / "w.db3")) as connection:
        counts = [connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone() for table in ("SECTION", "SECINSP")]
    assert counts == [(1,), (2,)]


def test_a_video_in_two_rows_is_refused_with_a_way_out(tmp_path: Path) -> None:
    path = data_file(tmp_path, TWO.replace("d1_2", "d1_1"))
    with pytest.raises(InspectionError) as caught:
        read_data_of(path, ["d1_1.mp4"])
    assert str(caught.value) == (
        f"{path}, line 3: d1_1.mp4 is named twice; give one row per video, and cut a video that shows two segments"
    )


def test_a_video_in_two_spellings_is_taken_from_the_exact_one_and_the_other_is_named(tmp_path: Path) -> None:
    data, unmatched = read_data_of(data_file(tmp_path, TWO.replace("d1_2.mp4,K9-K12", "d1_1,K12-K13")), ["d1_1.mp4"])
    assert data["d1_1.mp4"].segment == "K9-K12"
    assert unmatched == ("d1_1 (near: d1_1.mp4)",)
