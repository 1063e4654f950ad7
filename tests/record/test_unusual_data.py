"""A record and exports of data that lacks something or goes beyond the standards."""

import csv
from pathlib import Path

import pytest

from helpers.inspection_material import made_inspection
from helpers.review_material import decide, finish
from urbanpipe.contracts.coded.reading import read_coded
from urbanpipe.contracts.findings import Inspection, write_inspection
from urbanpipe.errors import TableError
from urbanpipe.exports.condition_report import condition
from urbanpipe.exports.export import export
from urbanpipe.record.report import report
from urbanpipe.review_store.store import ReviewStore

HEAD = "video,segment,direction,length_m,diameter_mm,region,soil,date,time\n"


@pytest.fixture
def own(tmp_path: Path) -> Inspection:
    """An inspection by a bundle with a class of its own, XQ in place of CK, that no standard has."""
    made = made_inspection(tmp_path / "out" / "a", "a.mp4")
    findings = [
        one.model_copy(update={"code": "XQ", "en": "rat", "zh": ""}) if one.code == "CK" else one
        for one in made.findings
    ]
    changed = made.model_copy(update={"findings": tuple(findings)})
    write_inspection(changed, tmp_path / "out" / "a")
    return changed


@pytest.mark.usefixtures("own")
def test_a_class_without_a_crosswalk_is_a_remark_in_exchange_formats_and_has_no_figures(tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    data.write_text(HEAD + "a.mp4,S1,downstream,60,600,road,general,2026-01-31,09:00\n")
    for to, name in (("isybau", "a.xml"), ("en13508", "a.txt")):
        export(tmp_path / "out", out=tmp_path / name, to=to, inspection_data=data)
        (one,) = read_coded(tmp_path / name).inspections
        assert next(row.code.main for row in one.observations if "XQ rat" in row.remark) == "BDB"
    export(tmp_path / "out", out=tmp_path / "pacp", to="pacp", inspection_data=data)
    rows = list(csv.DictReader((tmp_path / "pacp" / "PACP_Conditions.csv").read_text().splitlines()))
    (codes,) = {(row["PACP_Code"], "no PACP code proposed" in row["Remarks"]) for row in rows if "XQ" in row["Remarks"]}
    assert codes == ("", True)
    store = ReviewStore(tmp_path / "review.sqlite")
    decide(store, tmp_path / "out" / "a", "XQ@12500", status="accepted", grade=2, distance_m=3)
    finish(store, tmp_path / "out" / "a")
    store.close()
    with pytest.raises(TableError, match=r"a\.mp4, XQ at 00:12\.5, code has 'XQ'; expected one of PL BX"):
        condition(tmp_path / "out", out=tmp_path / "c.json", store=store.path, inspection_data=data)
    done = report(tmp_path / "out", out=tmp_path / "r.html", store=store.path, inspection_data=data, language="zh")
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert done.findings == 1
    assert ">XQ</span> rat" in page, "a class without a Chinese name has its English one"
    assert "a.mp4，00:12.5 处的 XQ，代码：现为 &#39;XQ&#39;；应填：PL BX" in page


def test_without_a_direction_the_drawing_has_no_flow_and_pacp_none(tmp_path: Path) -> None:
    made_inspection(tmp_path / "out" / "a", "a.mp4")
    data = tmp_path / "data.csv"
    text = HEAD + "a.mp4,S1,upstream,60,600,road,general,2026-01-31,09:00\n"
    for content, arrows, letter in ((text, 2, "U"), (text.replace("upstream", ""), 0, "")):
        data.write_text(content)
        report(tmp_path / "out", out=tmp_path / "r.html", inspection_data=data)
        assert (tmp_path / "r.html").read_text(encoding="utf-8").count("#6d8fa3") == arrows
        done = export(tmp_path / "out", out=tmp_path / f"pacp{letter}", to="pacp", inspection_data=data)
        (row,) = csv.DictReader(done.files[0].read_text().splitlines())
        assert row["Direction"] == letter


def test_defects_with_times_only_are_named_by_their_missing_distance(tmp_path: Path) -> None:
    made_inspection(tmp_path / "out" / "a", "a.mp4")
    data = tmp_path / "data.csv"
    data.write_text(HEAD + "a.mp4,S1,downstream,60,600,road,general,2026-01-31,09:00\n")
    store = ReviewStore(tmp_path / "review.sqlite")
    decide(store, tmp_path / "out" / "a", "CK@41000", status="accepted", grade=2)
    finish(store, tmp_path / "out" / "a")
    store.close()
    report(tmp_path / "out", out=tmp_path / "r.html", store=store.path, inspection_data=data)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "Distances are not known: stations are times in the video." in page
    assert "a.mp4, CK at 00:41.0, distance is empty; expected metres from the start of the inspection" in page
