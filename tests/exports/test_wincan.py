"""Exports in the shape of a WinCan VX project: what readers of such projects select from them."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

import pytest

from helpers.exchange_material import data_file
from helpers.inspection_material import made_inspection
from helpers.review_material import decide, finish
from urbanpipe.contracts.coded.model import Code, CodedInspection, Observation
from urbanpipe.contracts.coded.reading import read_coded
from urbanpipe.contracts.coded.times import clock
from urbanpipe.errors import InspectionError
from urbanpipe.exports.exchange.wincan import wincan_project
from urbanpipe.exports.export import Exported, export
from urbanpipe.review_store.store import ReviewStore

SECTIONS = """
    SELECT pipe.OBJ_Key, upper.OBJ_Key, lower.OBJ_Key, INS_InspectionDir, INS_StartDate, INS_InspectedLength
    FROM PROJECT JOIN SECTION AS pipe ON pipe.OBJ_Project_FK = PRJ_PK AND pipe.OBJ_Deleted IS NULL
    JOIN NODE AS upper ON upper.OBJ_PK = pipe.OBJ_FromNode_REF
    JOIN NODE AS lower ON lower.OBJ_PK = pipe.OBJ_ToNode_REF
    JOIN SECINSP ON INS_Section_FK = pipe.OBJ_PK AND INS_Deleted IS NULL
    WHERE PRJ_Deleted IS NULL ORDER BY INS_SortOrder"""
OBSERVATIONS = """
    SELECT OBS_Distance, OBS_OpCode, OBS_TimeCtr, OBS_ClockPos1, OBS_ClockPos2, OBS_Observation
    FROM SECOBS JOIN SECINSP ON INS_PK = OBS_Inspection_FK AND OBS_Deleted IS NULL
    ORDER BY INS_SortOrder, OBS_SortOrder"""


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of `inspect` with two videos, the first of which was reviewed."""
    folder = tmp_path_factory.mktemp("wincan") / "out"
    first = folder / "d1_1"
    made_inspection(first)
    made_inspection(folder / "d2", "d2.mp4")
    with closing(ReviewStore(folder / "review.sqlite")) as store:
        decide(store, first, "CK@12500", status="accepted", clock_from=9, clock_to=3, distance_m=20.5, note="weit, 'ö'")
        decide(store, first, "CJ@52250", status="accepted", distance_m=30, length_m=12.5, continuous=True)
        finish(store, first)
    return folder


def written(out: Path, data: Path, **options: Any) -> Exported:
    return export(out, out=data.with_name("w.db3"), to="wincan", inspection_data=data, **options)


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def test_readers_find_what_the_text_format_holds(out: Path, tmp_path: Path) -> None:
    data = data_file(tmp_path / "data.csv", "d1_1.mp4", "d2.mp4", operator="Änne")
    store = out / "review.sqlite"
    done = written(out, data, store=store)
    export(out, out=tmp_path / "e.txt", to="en13508", inspection_data=data, store=store)
    coded = read_coded(tmp_path / "e.txt").inspections
    project, operators = done.files
    assert rows(project, SECTIONS) == [
        ("S0", "M0", "M1", 1, "2026-01-31 09:00:00.000", 60.0),
        ("S1", "M1", "M2", 1, "2026-01-31 09:01:00.000", 60.0),
    ]
    assert rows(project, OBSERVATIONS) == [
        (
            row.station,
            "".join(row.code),
            None if row.seconds is None else clock(row.seconds),
            row.clock_from,
            row.clock_to,
            row.remark,
        )
        for one in coded
        for row in one.observations
    ]
    assert rows(project, "SELECT count(*) FROM NODE") == [(3,)]
    assert rows(operators, "SELECT OP_Name1 FROM OPERATOR") == [("Änne",)]
    assert rows(project, "SELECT DISTINCT INS_Operator_REF FROM SECINSP") == rows(
        operators, "SELECT OP_PK FROM OPERATOR"
    )
    assert operators.name == "w_meta.db3"
    assert any("WinCan itself was never tried" in line for line in done.lines())


def test_continuous_defects_and_media(out: Path, tmp_path: Path) -> None:
    done = written(out, data_file(tmp_path / "data.csv", "d1_1.mp4"), store=out / "review.sqlite")
    query = (
        "SELECT OBS_CD_Code1, OBS_ContDefectLength FROM SECOBS WHERE OBS_CD_Code1 IS NOT NULL ORDER BY OBS_SortOrder"
    )
    assert rows(done.files[0], query) == [("A01", 12.5), ("B01", None)]
    query = """
        SELECT OMM_Type, OMM_FileName, OMM_FileType FROM SECOBSMM JOIN SECOBS ON OBS_PK = OMM_Observation_FK
        WHERE OBS_Distance = 20.5"""
    picture, film = rows(done.files[0], query)
    assert (picture[0], picture[2], film) == ("PI1", "JPG", ("VI1", "d1_1.mp4", "MP4"))
    assert (tmp_path / picture[1]).resolve() == out / "d1_1/CK-1.jpg"


def test_an_inspection_without_a_date_is_left_out_as_readers_fail_on_it(out: Path, tmp_path: Path) -> None:
    data = data_file(tmp_path / "data.csv", "d1_1.mp4", "d2.mp4", date="")
    with pytest.raises(InspectionError, match=r"d1_1\.mp4: not written; its inspection data lacks date"):
        written(out, data)


def test_the_same_export_is_the_same_file_and_another_is_never_replaced(out: Path, tmp_path: Path) -> None:
    data = data_file(tmp_path / "data.csv", "d1_1.mp4", "d2.mp4")
    before = [path.read_bytes() for path in written(out, data).files]
    assert [path.read_bytes() for path in written(out, data).files] == before
    with pytest.raises(InspectionError, match=r"w\.db3 exists"):
        written(out, data, store=out / "review.sqlite")


def test_an_export_on_another_day_is_the_same_file(out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Tomorrow":
            return cls(2099, 1, 2, tzinfo=tz)

    data = data_file(tmp_path / "data.csv", "d1_1.mp4", "d2.mp4")
    before = [path.read_bytes() for path in written(out, data).files]
    monkeypatch.setattr("urbanpipe.exports.exchange.writing.datetime", Tomorrow)
    assert [path.read_bytes() for path in written(out, data).files] == before
    assert rows(tmp_path / "w.db3", "SELECT PRJ_Date FROM PROJECT") == [("2026-01-31 00:00:00",)]


def keys_of(project: bytes) -> set[object]:
    """All keys of a project."""
    tables = {"PROJECT": "PRJ_PK", "NODE": "OBJ_PK", "SECTION": "OBJ_PK", "SECINSP": "INS_PK", "SECOBS": "OBS_PK"}
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(project)
        return {key for table, name in tables.items() for (key,) in connection.execute(f"SELECT {name} FROM {table}")}


@pytest.mark.parametrize("change", [{"date": "2026-02-01"}, {"job": "other"}, {"digest": "1"}])
def test_another_project_has_other_keys(change: dict[str, Any]) -> None:
    start = Observation(Code("BCD"), 0.0, 0.0)
    one = CodedInspection(
        "S", upstream="1", downstream="2", date="2026-01-31", films=("a.mp4",), digest="0", observations=(start,)
    )
    first, second = (wincan_project([each], title="t", comment="") for each in (one, replace(one, **change)))
    assert keys_of(first).isdisjoint(keys_of(second))


def test_a_time_that_is_not_known_is_said_to_be_none(out: Path, tmp_path: Path) -> None:
    data = data_file(tmp_path / "data.csv", "d2.mp4", time="")
    ((begin, memo),) = rows(written(out, data).files[0], "SELECT INS_StartDate, INS_Memo FROM SECINSP")
    assert begin == "2026-01-31 00:00:00.000"
    assert memo.endswith("the time of day is not known and stands as 00:00")


def test_a_segment_may_be_longer_than_isybau_allows(out: Path, tmp_path: Path) -> None:
    data = data_file(tmp_path / "data.csv", "d2.mp4", length_m=1200)
    assert rows(written(out, data).files[0], "SELECT INS_InspectedLength FROM SECINSP") == [(1200.0,)]
    export(out, out=tmp_path / "e.txt", to="en13508", inspection_data=data)
    assert read_coded(tmp_path / "e.txt").inspections[0].length_m == 1200


def test_unnamed_manholes_are_not_one(out: Path, tmp_path: Path) -> None:
    done = written(out, data_file(tmp_path / "data.csv", "d1_1.mp4", "d2.mp4", from_manhole="", to_manhole=""))
    assert rows(done.files[0], "SELECT count(*), count(DISTINCT OBJ_PK), max(OBJ_Key) FROM NODE") == [(4, 4, "")]
