"""The tables and plots of a cross-validated run."""

from pathlib import Path

import numpy as np

from urbanpipe.contracts.run_folder import FOLD_TABLE
from urbanpipe.evaluation.fold_plots import plot_folds
from urbanpipe.evaluation.plots import heat_map, save
from urbanpipe.evaluation.runs import OutOfFold, read_out_of_fold
from urbanpipe.evaluation.tables import FoldTable, fold_table
from urbanpipe.outputs import write_text


def write_fold_tables(run: Path, data: OutOfFold | None = None) -> FoldTable:
    """Evaluate the out-of-fold predictions of a run; write RUN/table6.csv, table6.png, folds.png and, last, table6.md.

    Args:
        run: its folder.
        data: what the folder has; default: read from it.

    Raises:
        RunError: the cross-validation is not complete.
        PredictionError: its predictions cannot be used.
        OutputError: the tables cannot be written.
    """
    data = read_out_of_fold(run) if data is None else data
    table = fold_table(data.scores, data)
    table.to_csv(run / "table6.csv")
    save(heat_map(table), run / "table6.png")
    labels = {name: tuple(np.flatnonzero(row).tolist()) for name, row in zip(data.names, data.targets, strict=True)}
    plot_folds(dict(zip(data.names, data.folds.tolist(), strict=True)), labels, data.taxonomy, run / "folds.png")
    write_text(run / FOLD_TABLE, table.to_markdown())
    return table
