"""Groups that are no inspections: running numbers and times at the end of names, and one group for most videos."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from urbanpipe.catalog.catalog_file import Catalog, Video, group_of, read_source, source_of, write_catalog
from urbanpipe.catalog.fold_checks import fold_faults
from urbanpipe.catalog.folds import plan_folds
from urbanpipe.catalog.grouping import group_warnings, grouping_advice, plausible_groups, suspicious_groups
from urbanpipe.errors import FoldError
from urbanpipe.taxonomy import default_taxonomy

CLIPS = [f"clip_{number:02d}.mp4" for number in range(28)] + ["other.mp4", "last.mp4"]


def reasons(names: list[str]) -> dict[str, str]:
    return suspicious_groups(names, [group_of(name) for name in names])


def catalog_of(names: list[str], folder: Path, column: str = "") -> Path:
    videos = [
        Video(Path(name).name, folder / name, group=group_of(Path(name).name), labels=(number % 3,),
              extra={column: f"site {number % 6}"} if column else {})
        for number, name in enumerate(names)
    ]  # fmt: skip
    write_catalog(Catalog(tuple(videos), default_taxonomy()), folder / "catalog.csv")
    return folder / "catalog.csv"


def labels_of(names: list[str], folder: Path) -> Path:
    lines = [f"{name},{('CJ', 'CK', 'ZW')[number % 3]}\n" for number, name in enumerate(names)]
    (folder / "labels.csv").write_text("video,labels\n" + "".join(lines), encoding="utf-8")
    return folder / "labels.csv"


def test_a_group_of_nearly_all_videos_is_suspicious() -> None:
    assert reasons(CLIPS) == {"clip": "it holds 28 of 30 videos"}


@pytest.mark.parametrize("pattern", ["IMG_{:04d}", "DJI_{:04d}", "a_{:05d}", "cam 1_{:d}00", "PXL_20240101_{:09d}"])
def test_running_numbers_of_several_cameras_are_suspicious(pattern: str) -> None:
    names = [f"{folder}-{pattern.format(number)}.mp4" for folder in "abcdefgh" for number in (11, 12, 13)]
    assert set(reasons(names).values()) == {"its names differ only in a running number"}


@pytest.mark.parametrize("date", ["20240{}12", "2024-0{}-12", "240{}12", "VID_20240{}12"])
@pytest.mark.parametrize("times", [("093000", "101501"), ("0930", "1015")])
def test_a_date_and_a_time_are_no_inspection(date: str, times: tuple[str, str]) -> None:
    names = [f"{date.format(month)}_{time}.mp4" for month in range(1, 9) for time in times]
    assert set(reasons(names).values()) == {"its names differ only in the time of day"}


@pytest.mark.parametrize("pattern", ["{:04d}", "clip{:d}", "clip {:02d}", "clip ({:d})", "GOPR{:04d}", "MVI-{:04d}"])
def test_names_that_make_no_groups_are_not_suspicious(pattern: str) -> None:
    assert reasons([pattern.format(number) + ".mp4" for number in range(40)]) == {}


def test_the_same_pipe_on_several_dates_is_one_group() -> None:
    assert reasons([f"m{pipe}_{date}.mp4" for pipe in range(9) for date in ("20230105", "20240317")]) == {}


@given(
    st.lists(st.integers(1, 8), min_size=9, max_size=30),
    st.sampled_from(["k", "d", "", "pipe 7-", "Main Street ", "管道"]),
    st.integers(0, 1),
    st.integers(1, 2),
)
def test_segments_of_inspections_keep_their_groups(sizes: list[int], prefix: str, first: int, width: int) -> None:
    names = [
        f"{prefix}{13500 + number}_{segment:0{width}d}.mp4"
        for number, size in enumerate(sizes)
        for segment in range(first, first + size)
    ]
    expected = {f"{prefix}{13500 + n}" for n, size in enumerate(sizes) if size >= 4 and size > len(names) / 4}
    assert set(reasons(names)) == expected
    groups = [group_of(name) for name in names]
    assert plausible_groups(names, groups) == [n if g in expected else g for n, g in zip(names, groups, strict=True)]


@given(st.integers(4, 200), st.integers(0, 3), st.integers(1, 6), st.sampled_from(["clip", "IMG", "20240101", "管道"]))
def test_one_counter_over_all_videos_is_always_suspicious(count: int, others: int, width: int, prefix: str) -> None:
    names = [f"{prefix}_{number:0{width}d}.mp4" for number in range(count)] + [f"x{n}.mp4" for n in range(others)]
    assert set(reasons(names)) == {prefix}


def test_the_real_names_keep_their_groups(shared: Path) -> None:
    data = read_source(shared / "data" / "qv_pipe_train_labels.json")
    assert suspicious_groups(data.names, data.groups) == {}
    assert plausible_groups(data.names, data.groups) == data.groups


def test_a_label_file_is_told_what_it_can_be_grouped_by(tmp_path: Path) -> None:
    plan = plan_folds(labels_of(CLIPS, tmp_path), folds=3)
    assert plan.sizes.tolist() != [10, 10, 10]
    first, second = plan.warnings[:2]
    assert first.startswith(
        "group 'clip' is probably not one inspection: it holds 28 of 30 videos; use --group-by COLUMN"
    )
    assert first.endswith("or --group-by none if every video is an inspection of its own")
    assert "a catalog from `urbanpipe scan`" in first
    assert "folder" not in first, "there is only one"
    assert second.startswith("the folds are very uneven: ")
    with pytest.raises(FoldError, match=r"folds would have .* videos.*--group-by none.*--folds FILE"):
        plan.check_even()


def test_the_advice_is_no_circle(tmp_path: Path) -> None:
    path = labels_of(CLIPS, tmp_path)
    with pytest.raises(FoldError, match=r"5 folds of 3 groups leave folds empty; use --group-by") as caught:
        plan_folds(path, folds=5)
    assert "at most 3" not in str(caught.value), "three folds would be refused in turn"
    plan = plan_folds(path, folds=5, group_by="none")
    plan.check_even()
    assert plan.leaks == 0
    assert not any("root" in line for line in plan.warnings)


@pytest.mark.parametrize("videos", range(2, 8))
def test_what_is_proposed_for_one_group_works(tmp_path: Path, videos: int) -> None:
    path = labels_of(CLIPS[:videos], tmp_path)
    with pytest.raises(FoldError, match=r"5 folds of 1 group leaves folds empty; use .*--group-by none") as caught:
        plan_folds(path, folds=5)
    folds = min(5, videos)
    assert (f"with at most {folds} folds" in str(caught.value)) == (folds < 5)
    plan_folds(path, folds=folds, group_by="none").check_even()


def test_folders_and_own_columns_are_proposed_where_they_help(tmp_path: Path) -> None:
    in_folders = [f"inspection {number % 6}/{name}" for number, name in enumerate(CLIPS)]
    path = catalog_of(in_folders, tmp_path, "site")
    line = plan_folds(path, folds=3).warnings[0]
    assert "use --group-by folder if each folder is an inspection, --group-by site or --group-by none" in line
    for way in ("folder", "site"):
        plan = plan_folds(path, folds=3, group_by=way)
        plan.check_even()
        assert len(set(plan.groups)) == 6
        assert plan.notes == ()
    for folder in ("one", "one/two"):
        flat = catalog_of([f"{folder}/{name}" for name in CLIPS], tmp_path)
        assert "--group-by folder" not in plan_folds(flat, folds=3).warnings[0]


def test_folders_in_the_names_of_a_label_file_group(tmp_path: Path) -> None:
    path = labels_of([f"n{number % 4}\\clip_{number}.mp4" for number in range(12)], tmp_path)
    assert sorted(set(plan_folds(path, folds=2, group_by="folder").groups)) == ["n0", "n1", "n2", "n3"]


def test_advice_needs_no_catalog() -> None:
    data = source_of(Catalog((), default_taxonomy()))
    assert group_warnings([], [], grouping_advice(data)) == []


def rows(*classes: str) -> "np.ndarray[tuple[int, int], np.dtype[np.bool_]]":
    return np.array([[letter in shown for letter in "abcd"] for shown in classes])


def test_faults_of_folds() -> None:
    even = np.array([0, 0, 1, 1])
    assert fold_faults(rows("ab", "cd", "ac", "bd"), even) == []
    assert fold_faults(rows("ab", "cd", "a", "a"), even) == ["most of the 4 classes do not occur in fold 1"]
    assert fold_faults(rows("a", "a", "b", "b"), even) == []
    uneven = np.array([0] * 28 + [1, 2])
    assert fold_faults(rows(*["ab"] * 30), uneven) == ["the folds are very uneven: 28, 1, 1 videos"]
    assert fold_faults(rows(*["ab"] * 5), np.array([0, 0, 0, 0, 1])) == [], "small, not uneven"
