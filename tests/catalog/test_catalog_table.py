from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from urbanpipe.catalog.catalog_file import (
    Catalog,
    Source,
    Video,
    column_values,
    group_of,
    read_catalog,
    read_source,
    write_catalog,
)
from urbanpipe.catalog.catalog_taxonomy import catalog_taxonomy
from urbanpipe.errors import CatalogError, LabelError
from urbanpipe.evaluation.audit import audit
from urbanpipe.taxonomy import DefectClass, Taxonomy, default_taxonomy

GOOD = Video(
    name="a b_1.mp4",
    path=Path("videos/a b_1.mp4"),
    duration_seconds=2.48,
    frame_count=62,
    frame_rate=25.0,
    width=640,
    height=480,
    codec="h264",
    bit_rate=1e6 / 3,
    size_bytes=103333,
    modified_ns=1700000000123456789,
    digest="ab12",
    group="a b",
    labels=(1, 14),
    damage="3 of 62 frames are broken",
    extra={"site": "north, 2"},
)
BAD = Video("bad.mp4", Path("videos/bad.mp4"), "empty file", group="bad", labels=(2,))
NOTHING = replace(GOOD, name="c.mp4", group="c", labels=(), damage="", extra={})
UNKNOWN = replace(GOOD, name="管.mp4", group="管", labels=None, extra={"site": ""})


def placed(videos: tuple[Video, ...], folder: Path) -> Catalog:
    return Catalog(tuple(replace(video, path=folder / video.path) for video in videos), default_taxonomy())


def test_what_is_written_is_read(tmp_path: Path) -> None:
    catalog = placed((GOOD, BAD, NOTHING, UNKNOWN), tmp_path)
    write_catalog(catalog, tmp_path / "catalog.csv")
    found = read_catalog(tmp_path / "catalog.csv")
    assert found.videos[0] == replace(catalog.videos[0], bit_rate=333333.333333)
    assert [video.labels for video in found.videos] == [(1, 14), (2,), (), None]
    assert [video.name for video in found.ok] == ["a b_1.mp4", "c.mp4", "管.mp4"]
    assert [video.name for video in found.labelled] == ["a b_1.mp4", "c.mp4"]
    assert column_values(found.videos, "site") == ["north, 2", "", "", ""]
    assert column_values(found.videos, "width") == ["640", "0", "640", "640"]
    assert column_values(found.videos, "street") is None
    before = (tmp_path / "catalog.csv").read_bytes()
    write_catalog(found, tmp_path / "catalog.csv")
    assert (tmp_path / "catalog.csv").read_bytes() == before


def test_catalog_and_videos_move_together(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    write_catalog(placed((GOOD,), tmp_path / "here"), tmp_path / "here" / "catalog.csv")
    (tmp_path / "here").rename(tmp_path / "there")
    assert read_catalog(tmp_path / "there" / "catalog.csv").videos[0].path == tmp_path / "there" / GOOD.path


def test_videos_elsewhere_keep_their_path(tmp_path: Path) -> None:
    write_catalog(placed((GOOD,), tmp_path), tmp_path / "results" / "catalog.csv")
    assert read_catalog(tmp_path / "results" / "catalog.csv").videos[0].path == tmp_path / GOOD.path


def test_a_catalog_is_a_source(tmp_path: Path) -> None:
    write_catalog(placed((GOOD, BAD, NOTHING, UNKNOWN), tmp_path), tmp_path / "catalog.csv")
    source = read_source(tmp_path / "catalog.csv")
    assert (source.names, source.groups) == (["a b_1.mp4", "c.mp4"], ["a b", "c"])
    assert source.labels == {"a b_1.mp4": (1, 14), "c.mp4": ()}
    assert source.catalog is not None
    assert (source.unlabelled, source.unreadable, source.others) == (1, 1, ("bad.mp4", "管.mp4"))
    assert len(source.catalog.videos) == 4


def test_a_label_file_is_a_source(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("video,labels\nd1_1.mp4,CJ\nd1_2.mp4,CK\nd1_3.mp4,\n")
    assert read_source(tmp_path / "l.csv") == Source(
        ["d1_1.mp4", "d1_2.mp4"],
        {"d1_1.mp4": (1,), "d1_2.mp4": (2,)},
        ["d1", "d1"],
        None,
        1,
        0,
        ("d1_3.mp4",),
    )
    (tmp_path / "l.csv").write_text("video,labels\nd1_1.mp4,CJ\nD1_1.MP4 ,CK\n")
    with pytest.raises(LabelError, match=r"'d1_1.mp4' and 'D1_1.MP4 ' differ only in spelling"):
        read_source(tmp_path / "l.csv")


def test_a_source_without_labelled_videos(tmp_path: Path) -> None:
    write_catalog(placed((BAD, UNKNOWN), tmp_path), tmp_path / "catalog.csv")
    with pytest.raises(CatalogError, match=r"no labelled video.*--labels"):
        read_source(tmp_path / "catalog.csv")


OWN = Taxonomy("mine", (DefectClass(0, "OK", "fine", kind="normal"), DefectClass(1, "ROOT", "roots")), exclusive="OK")


def test_a_catalog_remembers_its_classes_also_where_it_is_moved(tmp_path: Path) -> None:
    catalog = replace(placed((replace(GOOD, labels=(1,)),), tmp_path / "here"), taxonomy=OWN)
    write_catalog(catalog, tmp_path / "here" / "c.csv")
    (tmp_path / "here").rename(tmp_path / "there")
    path = tmp_path / "there" / "c.csv"
    for classes in (None, OWN):
        found = read_catalog(path, classes)
        assert (found.taxonomy, found.videos[0].labels) == (OWN, (1,))
    assert read_source(path).taxonomy == OWN
    assert audit(path).counts.tolist() == [0, 1]
    assert catalog_taxonomy(path).codes == OWN.codes
    with pytest.raises(
        CatalogError, match=r"c\.csv has the classes OK ROOT of c-taxonomy.toml, not ZC.*leave --taxonomy out"
    ):
        read_catalog(path, default_taxonomy())
    (tmp_path / "there" / "c-taxonomy.toml").unlink()
    with pytest.raises(LabelError, match=r"unknown class 'ROOT'.*give --taxonomy FILE or copy c-taxonomy.toml here"):
        read_catalog(path)
    assert read_catalog(path, OWN).taxonomy == OWN


def test_a_catalog_of_the_default_classes_has_no_file_of_them(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    write_catalog(replace(placed((GOOD,), tmp_path), taxonomy=replace(default_taxonomy(), name="like it")), path)
    write_catalog(placed((GOOD,), tmp_path), path)
    assert [file.name for file in tmp_path.iterdir()] == ["c.csv"]


def edited(catalog: Path, old: str, new: str) -> Path:
    text = catalog.read_text(encoding="utf-8")
    assert old in text
    catalog.write_text(text.replace(old, new, 1), encoding="utf-8")
    return catalog


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ("name,path", "title,path", CatalogError, "not a catalog.*no column 'name'"),
        ("status", "state", CatalogError, "no column status"),
        (",640,", ",wide,", CatalogError, "line 2, video 'a b_1.mp4': width is 'wide'"),
        (",2.48,", ",-1,", CatalogError, "duration_seconds is '-1'"),
        (",2.48,", ",nan,", CatalogError, "duration_seconds is 'nan'"),
        ("CJ QF", "CJ QX", LabelError, "line 2, video 'a b_1.mp4': unknown class 'QX'"),
        ("c.mp4", "bad.mp4", CatalogError, "'bad.mp4' occurs twice"),
        (",empty file,", ",,", CatalogError, "line 3.*status is empty"),
        ("bad.mp4", "bad.mp4,more", CatalogError, "line 3: 21 cells"),
    ],
)
def test_mistakes_in_a_catalog(tmp_path: Path, old: str, new: str, error: type[Exception], message: str) -> None:
    write_catalog(placed((GOOD, BAD, NOTHING), tmp_path), tmp_path / "catalog.csv")
    with pytest.raises(error, match=message):
        read_catalog(edited(tmp_path / "catalog.csv", old, new))


def test_missing_catalog(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="No such file"):
        read_catalog(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("d23910_17.mp4", "d23910"),
        ("d23910.mp4", "d23910"),
        ("26641_1.mp4", "26641"),
        ("pipe_a_3.mp4", "pipe_a"),
        ("pipe_a.mp4", "pipe_a"),
        ("_1.mp4", "_1"),
        ("no extension_2", "no extension"),
        ("north/7_1.avi", "north/7"),
        ("./7_1.avi", "7"),
        ("v1.2_3.mp4", "v1.2"),
    ],
)
def test_group_of(name: str, group: str) -> None:
    assert group_of(name) == group


@given(st.text("ab_1", min_size=1).filter(lambda root: not root.endswith("_")), st.integers(0, 99), st.integers(0, 99))
def test_segments_share_a_group(root: str, first: int, second: int) -> None:
    assert group_of(f"{root}_{first}.mp4") == group_of(f"{root}_{second}.avi")
