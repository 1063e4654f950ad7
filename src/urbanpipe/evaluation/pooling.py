"""Compare ways of pooling frame scores into video scores (mean, maximum, median), each evaluated out of fold."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from urbanpipe.contracts.run_folder import OUT_OF_FOLD_SEGMENTS
from urbanpipe.contracts.segment_scores import SegmentScores, read_segment_scores
from urbanpipe.evaluation.runs import read_out_of_fold
from urbanpipe.evaluation.tables import FoldTable, FoldTableRow, fold_table, markdown_table, per_cent
from urbanpipe.outputs import write_csv, write_text

POOLS: dict[str, Callable[..., Any]] = {"mean": np.mean, "max": np.max, "median": np.median}


def write_pooling(run: Path) -> dict[str, FoldTable]:
    """Evaluate each way of pooling on a cross-validated run; write RUN/pooling.csv and pooling.md.

    All use the same networks. If the recipe keeps the best epoch, it was chosen with the recipe's own pooling.

    Returns:
        The fold table of each way of pooling, by name.

    Raises:
        RunError: the cross-validation is not complete.
        PredictionError: its predictions or segments cannot be used, or a video has no segments.
        OutputError: the tables cannot be written.
    """
    data = read_out_of_fold(run)
    segments = read_segment_scores(data.run / OUT_OF_FOLD_SEGMENTS, data.taxonomy)
    tables = {
        # faults of the folds are no reason not to compare the pools, which share them
        name: replace(fold_table(pool_scores(segments, data.names, name), data, draws=0), faults=())
        for name in POOLS
    }
    _write_csv(tables, data.run / "pooling.csv")
    write_text(data.run / "pooling.md", _markdown(tables))
    return tables


def pool_scores(segments: SegmentScores, names: tuple[str, ...], pool: str) -> NDArray[np.float64]:
    """Pool the segment scores of the videos `names` class by class.

    Args:
        segments: scores of the segments.
        names: the videos.
        pool: a key of `POOLS`.

    Returns:
        (videos, C) scores.

    Raises:
        PredictionError: a video has no segments.
    """
    return np.stack([POOLS[pool](segments.of(name)[1], axis=0) for name in names])


def _rows(tables: Mapping[str, FoldTable]) -> list[tuple[str, FoldTableRow]]:
    """Return the two mean rows of each pool."""
    return [(name, row) for name, table in tables.items() for row in table.rows[:2]]


def _folds(tables: Mapping[str, FoldTable]) -> tuple[int, ...]:
    return next(iter(tables.values())).folds


def _write_csv(tables: Mapping[str, FoldTable], path: Path) -> None:
    """Write values as fractions in [0, 1]; undefined ones are empty cells."""
    header = ["pooling", "figure", *(f"fold_{fold}" for fold in _folds(tables)), "mean", "sd"]
    figures = [(name, row.label, (*row.by_fold, row.mean, row.sd)) for name, row in _rows(tables)]
    cells = ([name, label, *("" if np.isnan(one) else f"{one:.6f}" for one in line)] for name, label, line in figures)
    write_csv(path, header, cells)


def _markdown(tables: Mapping[str, FoldTable]) -> str:
    """Return the table in per cent."""
    header = ["pooling", "figure", "over", *(f"fold {fold}" for fold in _folds(tables)), "mean (sd)"]
    lines = [
        [name, row.label, row.name, *map(per_cent, row.by_fold), f"{per_cent(row.mean)} ({per_cent(row.sd)})"]
        for name, row in _rows(tables)
    ]
    return markdown_table(header, lines, left=3)
