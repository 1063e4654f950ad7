"""Pools of a video's frames: by the network, by the table, and by hand."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from helpers.fold_runs import SMALL, N, make_run, material
from urbanpipe.contracts.segment_scores import SegmentScores, write_segment_scores
from urbanpipe.errors import PredictionError
from urbanpipe.evaluation.average_precision import score
from urbanpipe.evaluation.pooling import POOLS, pool_scores, write_pooling
from urbanpipe.models import classifier
from urbanpipe.outputs import write_json

NAMES = tuple(f"v{number}.mp4" for number in range(N))
LENGTHS = 1 + np.arange(N) * 7 % 6  # one frame, even and odd numbers of frames


def frame_scores() -> tuple[SegmentScores, list[NDArray[np.float64]]]:
    """Scores of the frames of the videos of `make_run`, as segments and as a list of arrays (frames, 4)."""
    _, targets, _ = material()
    rng = np.random.default_rng(5)
    parts = [np.clip(rng.random((n, 4)) ** 2 + row / 4, 0, 1) for n, row in zip(LENGTHS, targets, strict=True)]
    times = np.concatenate([np.arange(n, dtype=np.float64) for n in LENGTHS])
    starts = np.concatenate([[0], np.cumsum(LENGTHS)]).astype(np.int64)
    return SegmentScores(NAMES, starts, np.stack([times, times], axis=1), np.concatenate(parts)), parts


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = make_run(tmp_path / "run")
    segments, _ = frame_scores()
    write_segment_scores(segments, folder / "out_of_fold_segments.npz", SMALL)
    return folder


def by_hand(frames: NDArray[np.float64], pool: str) -> float:
    """The pool of one class's frames, without numpy's own."""
    values = sorted(frames.tolist())
    middle = len(values) // 2
    if pool == "max":
        return float(values[-1])
    if pool == "mean":
        return float(sum(values) / len(values))
    return float(values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2)


@pytest.mark.parametrize("pool", POOLS)
def test_the_pools_are_those_worked_out_by_hand(pool: str) -> None:
    segments, parts = frame_scores()
    asked = NAMES[::-1]
    expected = [[by_hand(part[:, column], pool) for column in range(4)] for part in reversed(parts)]
    np.testing.assert_allclose(pool_scores(segments, asked, pool), expected, rtol=1e-12)


@given(pool=st.sampled_from(["mean", "max", "median"]), frames=st.integers(1, 9), seed=st.integers(0, 99))
def test_the_network_pools_as_the_table_does(pool: classifier.Pooling, frames: int, seed: int) -> None:
    scores = np.random.default_rng(seed).random((2, frames, 3))
    found = classifier.pooled(torch.from_numpy(scores), pool)
    assert found.shape == (2, 3)
    np.testing.assert_allclose(found.numpy(), POOLS[pool](scores, axis=1), rtol=1e-12)


def test_the_median_of_an_even_number_is_between_the_middle_two() -> None:
    scores = torch.tensor([[0.9], [0.1], [0.4], [0.6]], dtype=torch.float64)
    assert classifier.pooled(scores, "median").item() == pytest.approx(0.5)


def test_each_pool_is_evaluated_fold_by_fold(run: Path) -> None:
    _, targets, folds = material()
    segments, _ = frame_scores()
    tables = write_pooling(run)
    assert list(tables) == ["mean", "max", "median"]
    for pool, table in tables.items():
        scores = pool_scores(segments, NAMES, pool)
        by_fold = [score(scores[folds == k], targets[folds == k], SMALL, "skip") for k in range(3)]
        assert table.rows[0].by_fold == tuple(fold.map_all for fold in by_fold)
        assert table.rows[1].by_fold == tuple(fold.map_defects for fold in by_fold)
    assert len({table.map_all for table in tables.values()}) == 3, "the pools differ"


def test_the_table_holds_what_was_evaluated(run: Path) -> None:
    tables = write_pooling(run)
    with (run / "pooling.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["pooling", "figure", "fold_0", "fold_1", "fold_2", "mean", "sd"]
    assert [(row["pooling"], row["figure"]) for row in rows] == [
        (pool, figure) for pool in ("mean", "max", "median") for figure in ("mAP", "mAP defects")
    ]
    for row in rows:
        figures = tables[row["pooling"]].rows[0 if row["figure"] == "mAP" else 1].by_fold
        assert [float(row[f"fold_{k}"]) for k in range(3)] == pytest.approx(figures, abs=1e-6)
        assert float(row["mean"]) == pytest.approx(np.mean(figures), abs=1e-6)
        assert float(row["sd"]) == pytest.approx(np.std(figures, ddof=1), abs=1e-6)
    lines = (run / "pooling.md").read_text(encoding="utf-8").splitlines()
    assert [cell.strip() for cell in lines[0].split("|")[1:-1]] == [
        *("pooling", "figure", "over", "fold 0", "fold 1", "fold 2", "mean (sd)")
    ]
    first = [cell.strip() for cell in lines[2].split("|")[1:-1]]
    mean = tables["mean"].rows[0]
    assert first[:4] == ["mean", "mAP", "all 4 classes", f"{100 * mean.by_fold[0]:.1f}"]
    assert first[-1] == f"{100 * mean.mean:.1f} ({100 * mean.sd:.1f})"
    assert len(lines) == 2 + 6


def test_a_fold_without_a_figure_leaves_its_cell_empty(run: Path) -> None:
    """No video of fold 0 has any class: there is nothing to rank in it."""
    _, targets, folds = material()
    labels = {
        name: [] if fold == 0 else np.flatnonzero(row).tolist()
        for name, fold, row in zip(NAMES, folds, targets, strict=True)
    }
    write_json(run / "labels.json", labels)
    write_pooling(run)
    with (run / "pooling.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["fold_0"] for row in rows} == {""}
    assert all(row["mean"] for row in rows)


def test_segments_that_are_missing_are_named(run: Path) -> None:
    segments, _ = frame_scores()
    last = int(segments.starts[-2])
    fewer = SegmentScores(NAMES[:-1], segments.starts[:-1], segments.seconds[:last], segments.scores[:last])
    write_segment_scores(fewer, run / "out_of_fold_segments.npz", SMALL)
    with pytest.raises(PredictionError, match=r"no segments of video 'v89\.mp4'"):
        write_pooling(run)
    (run / "out_of_fold_segments.npz").unlink()
    with pytest.raises(PredictionError, match=r"out_of_fold_segments\.npz: no such file"):
        write_pooling(run)
