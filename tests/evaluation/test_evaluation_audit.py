import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from urbanpipe.catalog.catalog_file import Catalog, Video, write_catalog
from urbanpipe.errors import CatalogError
from urbanpipe.evaluation.audit import Audit, audit
from urbanpipe.evaluation.shortcuts import CLUE_GAIN, name_features
from urbanpipe.taxonomy import default_taxonomy


def test_the_counts(tmp_path: Path) -> None:
    rows = ["d1_1.mp4,CJ CK", "d1_2.mp4,CJ", "d2.mp4,CK", "d3.mp4,ZC", "d4.mp4,ZC CJ", "d5.mp4,-", "d6.mp4,"]
    (tmp_path / "l.csv").write_text("\n".join(["video,labels", *rows]))
    found = audit(tmp_path / "l.csv")
    assert found.videos == 6
    assert found.counts[:3].tolist() == [2, 3, 2]
    assert found.groups_with[:3].tolist() == [2, 2, 2]
    assert found.cardinality == pytest.approx(7 / 6)
    assert found.labels_per_video == {0: 1, 1: 3, 2: 2}
    assert found.group_sizes == {1: 4, 2: 1}
    assert found.co_occurrence[1, :3].tolist() == [1, 3, 1]
    assert found.likeness[0] == 0.5
    assert found.shortcuts == []
    said = "\n".join(found.warnings)
    assert "no video shows ZW" in said
    assert "1 videos have ZC, which excludes all else, and another label: d4.mp4" in said
    assert "1 videos are labelled as showing none of the classes (`-`): d5.mp4" in said
    assert found.unlabelled == 1
    assert json.loads(json.dumps(found.as_json(), allow_nan=False))["counts"]["CJ"] == 3


@pytest.fixture(scope="module")
def real(shared: Path) -> Audit:
    return audit(shared / "data" / "qv_pipe_train_labels.json")


def test_the_real_labels_have_a_shortcut_in_the_name(real: Audit) -> None:
    assert [(row.code, row.of) for row in real.shortcuts if row.level == "shortcut"] == [("ZC", "name")]
    assert next(row.ap for row in real.shortcuts if row.code == "ZC") > 0.999
    assert real.warnings[0].startswith("the name alone predicts ZC (AP 100.0, chance 26.4)")
    assert real.likeness == pytest.approx((0.66, 0.115), abs=0.01)
    assert real.cardinality == pytest.approx(1.39, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_no_false_alarm_on_labels_without_meaning(tmp_path: Path, shared: Path, seed: int) -> None:
    labels = json.loads((shared / "data" / "qv_pipe_train_labels.json").read_text())
    names = list(labels)
    dealt = np.random.default_rng(seed).permutation(len(names))
    (tmp_path / "l.json").write_text(
        json.dumps({name: labels[names[row]] for name, row in zip(names, dealt, strict=True)})
    )
    found = audit(tmp_path / "l.json")
    assert len(found.shortcuts) == 17
    assert {row.level for row in found.shortcuts} == {""}


@pytest.mark.slow
def test_what_luck_finds_among_many_tests_is_no_clue(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)  # a seed for which luck does
    videos = [
        Video(
            name=f"v{number}.mp4",
            path=tmp_path / f"v{number}.mp4",
            duration_seconds=rng.uniform(5, 60),
            frame_rate=25.0,
            bit_rate=rng.uniform(1e5, 1e6),
            size_bytes=int(rng.integers(10**5, 10**6)),
            group=f"g{number // 2}",
            labels=tuple(int(index) for index in 1 + np.flatnonzero(rng.random(8) < 0.2)),
        )
        for number in range(120)
    ]
    write_catalog(Catalog(tuple(videos), default_taxonomy()), tmp_path / "catalog.csv")
    found = audit(tmp_path / "catalog.csv").shortcuts
    lucky = [row for row in found if row.ap > row.null and row.ap - row.chance >= CLUE_GAIN * (1 - row.chance)]
    assert [(row.code, row.of) for row in lucky] == [("JG", "duration")]
    assert not any(row.level for row in found)


def catalog(folder: Path, cheat: str, count: int = 400) -> Path:
    """Videos of random properties, of two classes of which CK depends on the property `cheat` alone."""
    rng = np.random.default_rng(3)
    videos = []
    for number, (first, second) in enumerate(rng.random((count, 2)) < 0.3):
        name = f"v{rng.integers(10**9)}_{number}.mp4"
        video = Video(
            name=name,
            path=folder / ("two" if second and cheat == "folder" else "one") / name,
            duration_seconds=rng.uniform(5, 60),
            frame_rate=float(rng.choice([12.5, 25, 30])),
            bit_rate=rng.uniform(1e5, 1e6),
            size_bytes=int(rng.integers(10**5, 10**6)),
            group=f"g{number // 2}",
            labels=tuple(index for index, shown in ((1, first), (2, second)) if shown),
        )
        if second and cheat == "duration":
            video = replace(video, duration_seconds=video.duration_seconds + 60)
        if second and cheat == "bit rate":
            video = replace(video, bit_rate=video.bit_rate / 10)
        if second and cheat == "size":
            video = replace(video, size_bytes=video.size_bytes * 10)
        videos.append(video)
    write_catalog(Catalog(tuple(videos), default_taxonomy()), folder / "catalog.csv")
    return folder / "catalog.csv"


@pytest.mark.slow
@pytest.mark.parametrize("of", ["duration", "bit rate", "size", "folder"])
def test_every_kind_of_shortcut_is_found(tmp_path: Path, of: str) -> None:
    found = audit(catalog(tmp_path, of))
    assert [(row.code, row.of) for row in found.shortcuts if row.level] == [("CK", of)]
    assert any(warning.startswith(f"the {of} alone predicts CK") for warning in found.warnings)


def test_copies_are_told(tmp_path: Path) -> None:
    videos = [
        Video("a.mp4", tmp_path / "a.mp4", digest="1", group="a", labels=(1,)),
        Video("b.mp4", tmp_path / "b.mp4", digest="1", group="b", labels=(2,)),
        Video("bad.mp4", tmp_path / "bad.mp4", "empty file", labels=(2,)),
        Video("new.mp4", tmp_path / "new.mp4", digest="2"),
    ]
    write_catalog(Catalog(tuple(videos), default_taxonomy()), tmp_path / "catalog.csv")
    found = audit(tmp_path / "catalog.csv")
    assert (found.videos, found.unreadable, found.unlabelled) == (2, 1, 1)
    said = "\n".join(found.warnings)
    assert "1 recordings have copies: a.mp4 = b.mp4" in said
    assert "1 recordings have copies with different labels" in said
    assert "1 recordings have copies in different groups" in said


def test_a_catalog_without_labels(tmp_path: Path) -> None:
    write_catalog(Catalog((Video("a.mp4", tmp_path / "a.mp4"),), default_taxonomy()), tmp_path / "catalog.csv")
    with pytest.raises(CatalogError, match="no labelled video"):
        audit(tmp_path / "catalog.csv")


def test_name_features() -> None:
    assert name_features("north/d23910_17.mp4") == ("d#_#.mp#", 23910.0, 5, 17.0, 2, 9)
    assert name_features("clip.avi") == ("clip.avi", -1.0, 0, -1.0, 1, 4)
