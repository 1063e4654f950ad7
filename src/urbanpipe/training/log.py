"""Metrics of a training run: one row per epoch, as CSV and for a logger."""

import gc
from pathlib import Path

import torch

from urbanpipe.contracts.run_folder import damaged_file
from urbanpipe.csv_cells import read_rows
from urbanpipe.learners.state import EpochMetrics
from urbanpipe.outputs import write_csv
from urbanpipe.platform_support import peak_memory_bytes, reset_peak_memory
from urbanpipe.training.loggers import Logger


class MetricsLog:
    """The metrics of one model, kept in memory (and in the checkpoint) and rewritten in every epoch.

    Args:
        folder: folder for `metrics.csv`.
        rows: rows of earlier epochs, if the run is resumed.
        logger: gets each row too.
    """

    def __init__(self, folder: Path, rows: list[EpochMetrics], logger: Logger) -> None:
        self.folder, self.rows, self._logger = folder, list(rows), logger

    def add(self, row: EpochMetrics) -> None:
        """Append a row; its `epoch` is the step in the logger."""
        self.rows.append(row)
        header = max((list(row) for row in self.rows), key=len)  # epochs without validation have fewer columns
        rows = [[_short(row[key]) if key in row else "" for key in header] for row in self.rows]
        write_csv(self.folder / "metrics.csv", header, rows)
        self._logger.add({key: value for key, value in row.items() if key != "epoch"}, int(row["epoch"]))

    def close(self) -> None:
        """Close the logger."""
        self._logger.close()


def forget_peak_memory(device: torch.device) -> None:
    """Reset the peak memory where possible (a GPU, Linux), so that one process can train several models."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    gc.collect()
    reset_peak_memory()


def peak_memory_mib(device: torch.device) -> float:
    """Return the peak memory in MiB: allocated on a GPU, resident on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return peak_memory_bytes() / 2**20


def read_costs(folder: Path) -> tuple[float, float]:
    """Read the training time in seconds and the peak memory in MiB of a trained model.

    Raises:
        RunError: the metrics are missing or damaged.
    """
    path = folder / "metrics.csv"
    try:
        rows = [[float(cell) for cell in row] for row in read_rows(path, ["train_seconds", "peak_memory_mib"])]
        return sum(row[0] for row in rows), max(row[1] for row in rows)
    except (OSError, ValueError) as error:
        raise damaged_file(path) from error


def _short(value: float) -> float | int:
    return value if isinstance(value, int) else float(f"{value:.6g}")
