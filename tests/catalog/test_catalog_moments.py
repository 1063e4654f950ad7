import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.catalog_material import write_video
from urbanpipe.catalog.catalog_file import Catalog, Video, read_catalog, write_catalog
from urbanpipe.catalog.labels import read_label_file
from urbanpipe.catalog.moment_cells import LabelMoment, in_order, moments_cell, parse_moments_cell
from urbanpipe.catalog.scan import scan_report
from urbanpipe.errors import LabelError
from urbanpipe.taxonomy import default_taxonomy

CLASSES = default_taxonomy()
CJ, TJ = CLASSES.index("CJ"), CLASSES.index("TJ")
MOMENTS = (LabelMoment(TJ, 0.1), LabelMoment(CJ, 0.3))


def label_file(path: Path, **annotations: object) -> Path:
    entries = {name: {"file_name": f"{name}.mp4", "annotations": found} for name, found in annotations.items()}
    path.write_text(json.dumps({"database": entries}), encoding="utf-8")
    return path


def timed(*moments: tuple[str, object]) -> list[dict[str, object]]:
    return [{"label": code, "moment": seconds} for code, seconds in moments]


@given(
    st.lists(
        st.builds(LabelMoment, st.integers(1, 16), st.floats(0, 1e9)), unique_by=lambda moment: moment.seconds
    ).map(in_order)
)
def test_a_cell_gives_back_the_same_moments(moments: tuple[LabelMoment, ...]) -> None:
    labels = [label for label, _ in moments]
    assert parse_moments_cell(moments_cell(moments, CLASSES), labels, CLASSES, "here") == moments


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("TJ", "'TJ' is not a moment; write CODE@SECONDS"),
        ("TJ@soon", "'TJ@soon' has no seconds"),
        ("TJ@-1", "'TJ@-1' has no seconds of 0 or more"),
        ("TJ@nan", "'TJ@nan' has no seconds"),
        ("CJ@1 XX@2", "unknown class 'XX'"),
        ("CK@2", "CK is not among the labels"),
        ("ZC@2", "ZC is not a defect"),
    ],
)
def test_a_bad_entry_of_a_catalog_is_named_in_one_line(tmp_path: Path, cell: str, message: str) -> None:
    path = tmp_path / "catalog.csv"
    path.write_text(f"name,path,status,group,labels,moments\na.mp4,a.mp4,ok,a,ZC CJ TJ,{cell}\n")
    with pytest.raises(LabelError, match=message) as caught:
        read_catalog(path)
    assert "line 2, video 'a.mp4'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_catalog_keeps_moments_and_reads_a_file_without_the_column(tmp_path: Path) -> None:
    video = Video("a.mp4", tmp_path / "a.mp4", group="a", labels=(CJ, TJ), moments=MOMENTS)
    write_catalog(Catalog((video, replace(video, name="b.mp4", moments=())), CLASSES), tmp_path / "catalog.csv")
    assert [row.moments for row in read_catalog(tmp_path / "catalog.csv").videos] == [MOMENTS, ()]
    assert [row.moments for row in read_catalog(tmp_path / "catalog.csv", labels=False).videos] == [(), ()]
    (tmp_path / "old.csv").write_text("name,path,status,group,labels\na.mp4,a.mp4,ok,a,CJ TJ\n")
    assert read_catalog(tmp_path / "old.csv").videos[0].moments == ()


def test_a_label_file_gives_moments_by_time_each_once(tmp_path: Path) -> None:
    many = timed(("CJ", 0.3), ("tj", 0.1), ("CJ", 0.3))
    normal = timed(("ZC", 0.1))  # shows at no moment in particular that nothing is wrong
    file = read_label_file(label_file(tmp_path / "m.json", a=many, b=[{"label": "CJ"}], c=[], d=normal))
    assert file.labels == {"a.mp4": (CJ, TJ), "b.mp4": (CJ,), "c.mp4": (), "d.mp4": (0,)}
    assert file.moments == {"a.mp4": MOMENTS}


TABLES = {
    "a row per observation": "video,label,Moment\na.mp4,TJ,0.1\na.mp4,CJ,0.3\na.mp4,TJ,\nb.mp4,-,\n",
    "a row per video": "video,labels,moments\na.mp4,CJ TJ,CJ@0.3 TJ@0.1\nb.mp4,-,\n",
    "a column per class": "video,moments,{}\na.mp4,CJ@0.3 TJ@0.1,{}\nb.mp4,,{}\n".format(
        ",".join(CLASSES.codes),
        ",".join(str(int(index in (CJ, TJ))) for index in range(17)),
        ",".join("0" * 17),
    ),
}


@pytest.mark.parametrize("form", TABLES)
def test_tables_give_moments_too(tmp_path: Path, form: str) -> None:
    (tmp_path / "labels.csv").write_text(TABLES[form], encoding="utf-8")
    found = read_label_file(tmp_path / "labels.csv")
    assert found.labels == {"a.mp4": (CJ, TJ), "b.mp4": ()}
    assert found.moments == {"a.mp4": MOMENTS}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("video,label,moment\na.mp4,CJ,soon\n", "line 2, video 'a.mp4': moment 'soon' has no seconds of 0 or more"),
        ("video,label,moment\na.mp4,-,3\n", "moment has '3', but the row has no class; give it one, or empty the cell"),
        ("video,labels,moments\na.mp4,CJ,TJ@3\n", "TJ is not among the labels; add it there"),
    ],
)
def test_a_moment_of_a_table_that_cannot_be_used_is_named(tmp_path: Path, table: str, message: str) -> None:
    (tmp_path / "labels.csv").write_text(table, encoding="utf-8")
    with pytest.raises(LabelError, match=message):
        read_label_file(tmp_path / "labels.csv")


@pytest.mark.parametrize("seconds", [-1, "12", None, True, float("nan"), 10**400])
def test_a_moment_that_is_no_time_is_refused(tmp_path: Path, seconds: object) -> None:
    with pytest.raises(LabelError, match=r"'a': CJ has the moment .*; expected seconds, 0 or more"):
        read_label_file(label_file(tmp_path / "m.json", a=timed(("CJ", seconds))))


def test_scan_keeps_moments_under_the_names_that_labels_match(tmp_path: Path) -> None:
    for name in ("a.mp4", "B.mp4"):
        write_video(tmp_path / "videos" / name, level=ord(name[0]))
    labels = label_file(tmp_path / "m.json", a=timed(("TJ", 0.1), ("CJ", 0.3)), b=timed(("CJ", 0.2)))
    scan_report(tmp_path / "videos", tmp_path / "catalog.csv", labels)
    again = scan_report(tmp_path / "videos", tmp_path / "catalog.csv")
    assert {video.name: video.moments for video in again.catalog.videos} == {
        "a.mp4": MOMENTS,
        "B.mp4": (LabelMoment(CJ, 0.2),),
    }
    weak = tmp_path / "weak.json"
    weak.write_text('{"a.mp4": ["CJ"], "B.mp4": []}')
    given_again = scan_report(tmp_path / "videos", tmp_path / "catalog.csv", weak)
    assert [video.moments for video in given_again.catalog.videos] == [(), ()]


def test_moments_after_the_end_are_reported_and_cost_only_their_video_its_moments(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_video(tmp_path / "videos" / f"{name}.mp4", level=ord(name))
    last = timed(("CJ", 1.5))  # videos of 0.6 s; people and containers disagree by up to a second
    labels = label_file(tmp_path / "m.json", a=timed(("CJ", 0.3), ("TJ", 40)), b=timed(("CJ", 0.3)), c=last)
    report = scan_report(tmp_path / "videos", tmp_path / "catalog.csv", labels)
    assert report.late == ["a.mp4: TJ at 40 s, but it ends after 0.6 s"]
    assert [video.labels for video in report.catalog.videos] == [(CJ, TJ), (CJ,), (CJ,)]
    assert [video.moments for video in report.catalog.videos] == [
        (),
        (LabelMoment(CJ, 0.3),),
        (LabelMoment(CJ, 1.5),),
    ]
