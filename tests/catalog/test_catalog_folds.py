from collections import defaultdict
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from openpyxl import Workbook

from urbanpipe.catalog.catalog_file import Catalog, Source, Video, read_source, write_catalog
from urbanpipe.catalog.folds import FoldPlan, assign_folds, folds, plan_folds, read_folds
from urbanpipe.catalog.labels import Labels, label_matrix
from urbanpipe.errors import FoldError, OutputError
from urbanpipe.evaluation.fold_plots import plot_folds
from urbanpipe.taxonomy import DefectClass, Taxonomy, default_taxonomy

Archive = tuple[list[str], NDArray[np.bool_], list[str], int]


@st.composite
def archives(draw: st.DrawFn) -> Archive:
    """Names, labels, groups and a number of folds that the groups allow."""
    count = draw(st.integers(2, 40))
    groups = draw(
        st.lists(st.sampled_from("abcdefghijkl"), min_size=count, max_size=count).filter(lambda g: len(set(g)) > 1)
    )
    classes = draw(st.integers(1, 5))
    cells = draw(st.lists(st.booleans(), min_size=count * classes, max_size=count * classes))
    n_folds = draw(st.integers(2, min(6, len(set(groups)))))
    return [f"v{i}" for i in range(count)], np.array(cells).reshape(count, classes), groups, n_folds


@pytest.mark.slow
@given(archives(), st.integers(0, 5), st.randoms(use_true_random=False))
@settings(max_examples=150)
def test_folds_hold_whole_groups_in_any_order(archive: Archive, seed: int, random: Random) -> None:
    names, targets, groups, n_folds = archive
    found = assign_folds(names, targets, groups, n_folds, seed)
    assert found.shape == (len(names),)
    assert set(found.tolist()) == set(range(n_folds)), "no fold is empty"
    fold_of_group = defaultdict(set)
    for group, fold in zip(groups, found, strict=True):
        fold_of_group[group].add(int(fold))
    assert all(len(places) == 1 for places in fold_of_group.values()), "no group is torn"
    order = list(range(len(names)))
    random.shuffle(order)
    again = assign_folds([names[i] for i in order], targets[order], [groups[i] for i in order], n_folds, seed)
    assert again.tolist() == found[order].tolist(), "the order of the rows does not matter"


@pytest.mark.slow
@given(archives())
@settings(max_examples=50)
def test_no_single_move_would_improve_the_folds(archive: Archive) -> None:
    names, targets, groups, n_folds = archive
    found = assign_folds(names, targets, groups, n_folds, 0)
    counted = np.column_stack([targets, np.ones(len(names), np.bool_)])

    def cost(folds: NDArray[np.int64]) -> float:
        sums = np.stack([counted[folds == fold].sum(axis=0) for fold in range(n_folds)])
        return float(((sums - counted.sum(axis=0) / n_folds) ** 2).sum())

    for group in set(groups):
        for fold in range(n_folds):
            moved = np.where(np.array(groups) == group, fold, found)
            assert cost(moved) >= cost(found) - 1e-3


def test_seeds_differ() -> None:
    names = [f"v{i}" for i in range(60)]
    targets = np.random.default_rng(0).random((60, 3)) < 0.3
    assert assign_folds(names, targets, names, 3, 0).tolist() != assign_folds(names, targets, names, 3, 1).tolist()


@pytest.mark.parametrize(
    ("n_folds", "message"), [(1, "2 or more"), (0, "2 or more"), (-3, "2 or more"), (4, "at most 3")]
)
def test_impossible_numbers_of_folds(n_folds: int, message: str) -> None:
    with pytest.raises(FoldError, match=message):
        assign_folds(list("abcd"), np.ones((4, 2), np.bool_), list("xyzz"), n_folds, 0)


@pytest.fixture(scope="module")
def real(shared: Path) -> Source:
    return read_source(shared / "data" / "qv_pipe_train_labels.json")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_the_real_labels_are_split_evenly(real: Source, seed: int) -> None:
    targets = label_matrix(real.names, real.labels, 17)
    found = assign_folds(real.names, targets, real.groups, 5, seed)
    counts = np.stack([targets[found == fold].sum(axis=0) for fold in range(5)])
    assert np.abs(counts - targets.sum(axis=0) / 5).max() < 1
    assert np.abs(np.bincount(found) - len(found) / 5).max() < 0.01 * len(found) / 5
    folds_of_group: dict[str, set[int]] = defaultdict(set)
    for group, fold in zip(real.groups, found, strict=True):
        folds_of_group[group].add(int(fold))
    assert len(folds_of_group) == 6080
    assert {len(places) for places in folds_of_group.values()} == {1}


@pytest.mark.slow
def test_ungrouped_folds_of_the_real_labels_say_that_they_leak(shared: Path) -> None:
    plan = plan_folds(shared / "data" / "qv_pipe_train_labels.json", group_by="none")
    assert 400 < plan.leaks < 477
    assert f"{plan.leaks} of 6399 videos leak" in plan.warnings[0]


LABELS = "video,labels\n" + "".join(f"v{i}_{j}.mp4,{'CJ' if i % 2 else 'CK'}\n" for i in range(9) for j in range(2))


def labels_file(folder: Path) -> Path:
    path = folder / "labels.csv"
    path.write_text(LABELS)
    return path


def test_folds_are_written_and_read(tmp_path: Path) -> None:
    found = folds(labels_file(tmp_path), out=tmp_path / "folds.csv", folds=3)
    assert read_folds(tmp_path / "folds.csv") == found
    assert len(found) == 18
    assert all(found[f"v{i}_0.mp4"] == found[f"v{i}_1.mp4"] for i in range(9))


def test_rare_and_absent_classes_are_told(tmp_path: Path) -> None:
    path = labels_file(tmp_path)
    path.write_text(LABELS + "w_1.mp4,TL\nw_2.mp4,TL\n")
    plan = plan_folds(path, folds=3)
    assert any(line.startswith("no video shows ZC, ZW") for line in plan.warnings)
    assert any(line.startswith("TL occurs in 2 videos of 1 groups: too few for 3 folds") for line in plan.warnings)
    assert len(plan.warnings) == 2
    assert plan.leaks == 0


def catalog_file(folder: Path) -> Path:
    sites = ["n", "s", "e", "w"]
    videos = [
        Video(f"v{i}.mp4", folder / f"v{i}.mp4", group=f"v{i}", labels=(i % 2,), extra={"site": sites[i % 4]})
        for i in range(12)
    ]
    bad = Video("bad.mp4", folder / "bad.mp4", "empty file", labels=(1,), extra={"site": ""})
    new = Video("new.mp4", folder / "new.mp4", labels=None, extra={"site": ""})
    write_catalog(Catalog((*videos, bad, new), default_taxonomy()), folder / "catalog.csv")
    return folder / "catalog.csv"


def test_a_column_of_the_catalog_groups(tmp_path: Path) -> None:
    plan = plan_folds(catalog_file(tmp_path), folds=2, group_by="site")
    assert set(plan.folds) == {f"v{i}.mp4" for i in range(12)}
    assert (plan.unreadable, plan.unlabelled) == (1, 1)
    assert len({(site, fold) for site, fold in zip(plan.groups, plan.fold.tolist(), strict=True)}) == 4


def test_columns_that_cannot_group(tmp_path: Path) -> None:
    path = catalog_file(tmp_path)
    with pytest.raises(FoldError, match=r"no column .street..*group, codec, site"):
        plan_folds(path, 2, group_by="street")
    with pytest.raises(FoldError, match="label file"):
        plan_folds(labels_file(tmp_path), 2, group_by="site")
    path.write_text(path.read_text().replace(",s\n", ",\n", 1))
    with pytest.raises(FoldError, match=r"1 labelled videos have no site, the first is 'v1.mp4'"):
        plan_folds(path, 2, group_by="site")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video,part\na,0\n", "no column 'fold'"),
        ("name,fold\na,0\n", "no column 'video'"),
        ("video,fold\na,0\na,1\n", "line 3: video 'a' occurs twice"),
        ("video,fold\na,0\nb,one\n", "line 3, video 'b': fold 'one'"),
        ("video,fold\na,0\nb,-1\n", "fold '-1' is not"),
        ("video,fold\na,0\nb,1.0\n", "fold '1.0' is not"),
        ("video,fold\na,0\nb,2\n", "no video has fold 1"),
        ("video,fold\na,1\nb,2\n", "no video has fold 0"),
        ("video,fold\na,0\nb,0\n", "same fold"),
        ("video,fold\n", "no video has fold 0"),
        ("video,fold\na,0,1\n", "line 2: 3 cells"),
    ],
)
def test_mistakes_in_folds(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "folds.csv").write_text(text)
    with pytest.raises(FoldError, match=message):
        read_folds(tmp_path / "folds.csv")


def test_folds_in_a_workbook(tmp_path: Path) -> None:
    book = Workbook()
    for row in (["video", "fold"], ["a.mp4", 0], ["b.mp4", 1.0], [12, "1"]):
        assert book.active is not None
        book.active.append(row)
    book.save(tmp_path / "folds.xlsx")
    assert read_folds(tmp_path / "folds.xlsx") == {"a.mp4": 0, "b.mp4": 1, "12": 1}


def test_missing_folds(tmp_path: Path) -> None:
    with pytest.raises(FoldError, match="No such file"):
        read_folds(tmp_path / "folds.csv")


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_plot_is_a_picture(tmp_path: Path, suffix: str) -> None:
    plan: FoldPlan = plan_folds(labels_file(tmp_path), folds=3)
    labels = read_source(labels_file(tmp_path)).labels
    plot_folds(plan.folds, labels, plan.taxonomy, tmp_path / f"folds{suffix}")
    start = (tmp_path / f"folds{suffix}").read_bytes()[:5]
    assert start == {".png": b"\x89PNG\r", ".svg": b"<?xml", ".pdf": b"%PDF-"}[suffix]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_codes_that_are_no_plain_words_are_drawn(tmp_path: Path, suffix: str) -> None:
    codes = ["$\\frac{", "a$b$", "<b>", "裂", "\x1b[31m", "a\u202eb"]
    taxonomy = Taxonomy("mine", tuple(DefectClass(index, code, code) for index, code in enumerate(codes)))
    folds = {f"{index}.mp4": index % 2 for index in range(len(codes))}
    labels: Labels = {f"{index}.mp4": (index,) for index in range(len(codes))}
    plot_folds(folds, labels, taxonomy, tmp_path / f"folds{suffix}")
    data = (tmp_path / f"folds{suffix}").read_bytes()
    assert len(data) > 5_000
    if suffix == ".svg":
        drawing = data.decode()
        assert all(f"<!-- {label} -->" in drawing for label in ["$\\frac{", "a$b$", "&lt;b&gt;", "class 3", "class 4"])
        assert not [mark for mark in ("\x1b", "\u202e", "<b>") if mark in drawing]


def test_a_plot_of_no_known_kind(tmp_path: Path) -> None:
    with pytest.raises(FoldError, match=r"\.png"):
        plot_folds({"v0_0.mp4": 0}, {"v0_0.mp4": (1,)}, default_taxonomy(), tmp_path / "folds.doc")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        plot_folds({"v0_0.mp4": 0}, {"v0_0.mp4": (1,)}, default_taxonomy(), tmp_path / "file" / "folds.png")
