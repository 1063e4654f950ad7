import csv
import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.evaluation_sets import labelled
from helpers.fold_runs import SMALL, N, make_run, material
from urbanpipe.errors import FoldError, PredictionError, RunError
from urbanpipe.evaluation.average_precision import score
from urbanpipe.evaluation.fold_report import write_fold_tables
from urbanpipe.evaluation.plots import heat_map, save
from urbanpipe.evaluation.runs import read_out_of_fold
from urbanpipe.evaluation.tables import fold_table, markdown_table
from urbanpipe.taxonomy import DefectClass


def test_figures_are_those_of_each_fold() -> None:
    scores, targets, folds = material()
    table = fold_table(scores, labelled(targets, folds, SMALL), draws=50)
    by_fold = [score(scores[folds == k], targets[folds == k], SMALL, "skip") for k in range(3)]
    all_row, defects, _, crack, _, sag = table.rows
    assert all_row.by_fold == tuple(fold.map_all for fold in by_fold)
    assert defects.by_fold == tuple(fold.map_defects for fold in by_fold)
    assert crack.by_fold == tuple(float(fold.ap[1]) for fold in by_fold)
    assert table.map_all == all_row.mean == pytest.approx(np.mean(all_row.by_fold))
    assert table.map_defects == defects.mean
    assert crack.sd == pytest.approx(np.std(crack.by_fold, ddof=1))
    assert crack.pooled == score(scores, targets, SMALL).ap[1]
    assert crack.low < crack.pooled < crack.high
    assert (sag.positives, all_row.positives) == (1, None)
    assert np.isnan(sag.by_fold[:2]).all()
    assert sag.mean == sag.by_fold[2]
    assert np.isnan(sag.sd), "one fold has no spread"


def test_class_without_positives_in_a_fold_is_named() -> None:
    scores, targets, folds = material()
    table = fold_table(scores, labelled(targets, folds, SMALL), draws=50)
    assert "No positives in fold 0, 1: C. No AP there, and such a class is left out of its mAP." in table.notes
    line = next(line for line in table.to_markdown().splitlines() if line.startswith("| C "))
    assert [cell.strip() for cell in line.split("|")][4:6] == ["-", "-"]
    zero = fold_table(scores, labelled(targets, folds, SMALL), empty="zero", draws=0)
    assert "No positives in fold 0, 1: C. No AP there, and such a class counts as 0 in its mAP." in zero.notes
    assert zero.map_all < table.map_all
    targets[:, 3] = False
    none = fold_table(scores, labelled(targets, folds, SMALL), draws=0)
    assert any("No positives in any fold: C" in note for note in none.notes)
    assert np.isnan(none.rows[-1].mean)


def test_class_that_every_video_shows_is_named_and_left_out() -> None:
    scores, targets, folds = material()
    plain = fold_table(scores, labelled(targets, folds, SMALL), draws=0)
    full = targets.copy()
    full[:, 1] = True
    full[folds == 2, 0] = True
    table = fold_table(scores, labelled(full, folds, SMALL), draws=50)
    code = SMALL.codes[1]
    assert (
        f"Every video of every fold shows: {code}. No AP there, and such a class is left out of its mAP." in table.notes
    )
    assert any(note.startswith(f"Every video of fold 2 shows: {SMALL.codes[0]}.") for note in table.notes)
    row = table.rows[3]
    assert np.isnan([*row.by_fold, row.pooled, row.low]).all()
    others = [plain.scores[0].ap[index] for index in (0, 2, 3)]
    assert table.scores[0].map_all == pytest.approx(np.nanmean(others))


def test_no_map_where_folds_are_unfit() -> None:
    scores, targets, folds = material()
    folds = np.where(np.arange(N) < N - 2, 0, np.where(np.arange(N) == N - 1, 1, 2))
    table = fold_table(scores, labelled(targets, folds, SMALL), draws=50)
    assert table.notes[0] == f"No mAP: the folds are very uneven: {N - 2}, 1, 1 videos."
    for row in table.rows[:2]:
        assert np.isnan([*row.by_fold, row.mean, row.pooled, row.low]).all()
    assert not any(letter.isdigit() for letter in table.to_markdown().splitlines()[3].split("|")[4])
    assert np.isfinite(table.rows[3].pooled), "a class ranked over all videos still has an AP"


def test_csv_holds_fractions_and_empty_cells(tmp_path: Path) -> None:
    scores, targets, folds = material()
    table = fold_table(scores, labelled(targets, folds, SMALL), draws=50)
    table.to_csv(tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == ["mAP", "mAP defects", "OK", "A", "B", "C"]
    assert list(rows[0])[3:] == ["fold_0", "fold_1", "fold_2", "mean", "sd", "pooled", "low_95", "high_95"]
    assert float(rows[0]["mean"]) == pytest.approx(table.map_all, abs=1e-6)
    assert (rows[5]["fold_0"], rows[5]["sd"]) == ("", "")


def test_without_draws_there_is_no_interval() -> None:
    scores, targets, folds = material()
    table = fold_table(scores, labelled(targets, folds, SMALL), draws=0)
    assert table.intervals is None
    assert "interval" not in table.to_markdown()


def test_markdown_columns_are_padded_and_bars_escaped() -> None:
    text = markdown_table(["a", "b"], [["x|y", "1"], ["z", "10"]])
    assert text.splitlines() == ["| a    |   b |", "| ---- | --: |", "| x\\|y |   1 |", "| z    |  10 |"]


@pytest.mark.slow
def test_writes_tables_and_plots_of_a_run(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    table = write_fold_tables(run)
    scores, targets, folds = material()
    expected = fold_table(scores, labelled(targets, folds, SMALL, [f"g{i // 2}" for i in range(N)]))
    assert table.to_markdown() == expected.to_markdown() == (run / "table6.md").read_text(encoding="utf-8")
    assert table.intervals is not None
    assert table.intervals.units == N // 2
    assert (run / "table6.csv").exists()
    for name in ("table6.png", "folds.png"):
        with Image.open(run / name) as picture:
            assert min(picture.size) > 300


def test_heat_map_shows_every_figure(tmp_path: Path) -> None:
    scores, targets, folds = material()
    table = fold_table(scores, labelled(targets, folds, SMALL), draws=50)
    figure = heat_map(table)
    (axes,) = figure.axes
    texts = [text.get_text() for text in axes.texts]
    assert len(texts) == 6 * (3 + 2)
    assert texts.count("-") == 2, "the folds without class C"
    assert f"{100 * table.rows[3].by_fold[0]:.1f}" in texts
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels[:2] == ["mAP, all 4 classes", "mAP, the 3 defects"]
    assert labels[-1].startswith("C  n=1"), "a name that the font lacks gives way to the code"


def test_heat_map_survives_any_names(tmp_path: Path) -> None:
    odd = replace(SMALL, classes=tuple(DefectClass(i, f"管{i}", "$x^$ _{" * 2) for i in range(4)), exclusive=None)
    scores, targets, folds = material()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save(heat_map(fold_table(scores, labelled(targets, folds, odd), draws=0)), tmp_path / "map.png")
    assert (tmp_path / "map.png").stat().st_size > 10_000


def test_incomplete_runs_are_named_errors(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a folder"):
        write_fold_tables(tmp_path / "none")
    with pytest.raises(RunError, match="is not a run"):
        write_fold_tables(tmp_path)
    run = make_run(tmp_path / "run")
    (run / "groups.csv").rename(run / "aside.csv")
    with pytest.raises(RunError, match=r"has no groups\.csv"):
        read_out_of_fold(run)
    (run / "aside.csv").rename(run / "groups.csv")
    (run / "out_of_fold.json").unlink()
    with pytest.raises(RunError, match="finish `urbanpipe crossval`"):
        read_out_of_fold(run)


def test_a_run_is_read_as_if_alone_whatever_was_read_before(tmp_path: Path) -> None:
    one, same, other = (make_run(tmp_path / name) for name in ("one", "same", "other"))
    rows = json.loads((same / "out_of_fold.json").read_text())
    (same / "out_of_fold.json").write_text(json.dumps({name: row[::-1] for name, row in reversed(rows.items())}))
    labels = json.loads((other / "labels.json").read_text())
    (other / "labels.json").write_text(json.dumps({**labels, "v3.mp4": ["A", "B"]}))
    first = read_out_of_fold(one)
    for run in (same, other):
        after, alone = read_out_of_fold(run, like=first), read_out_of_fold(run)
        np.testing.assert_array_equal(after.scores, alone.scores)
        np.testing.assert_array_equal(after.targets, alone.targets)
        assert (after.run, after.names, after.groups) == (run, alone.names, alone.groups)
    assert not np.array_equal(read_out_of_fold(same, like=first).scores, first.scores)
    assert not np.array_equal(read_out_of_fold(other, like=first).targets, first.targets)


@pytest.mark.parametrize(
    ("file", "old", "new", "error", "message"),
    [
        ("groups.csv", "v3.mp4,", "w3.mp4,", RunError, r"groups\.csv lacks 1 video: v3\.mp4"),
        ("groups.csv", "v3.mp4,", "v4.mp4,", RunError, r"v4\.mp4 is listed twice"),
        ("groups.csv", "video,group", "video,site", RunError, "no column `group`"),
        ("folds.csv", "v3.mp4,", "w3.mp4,", RunError, r"folds\.csv lacks 1 video: v3\.mp4"),
        ("folds.csv", "v3.mp4,0", "v3.mp4,x", FoldError, "fold 'x'"),
        ("out_of_fold.json", '"v3.mp4"', '"w3.mp4"', PredictionError, r"lack 1 video: v3\.mp4"),
    ],
)
def test_files_of_different_data_are_named_errors(
    tmp_path: Path, file: str, old: str, new: str, error: type[Exception], message: str
) -> None:
    run = make_run(tmp_path / "run")
    text = (run / file).read_text(encoding="utf-8")
    assert old in text
    (run / file).write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(error, match=message):
        read_out_of_fold(run)
