"""What a run measured: one row an epoch, as CSV and for TensorBoard."""

import csv
import ctypes
import gc
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter

from urbanpipe.learners.state import EpochMetrics
from urbanpipe.outputs import write_csv


class MetricsLog:
    """The rows of one model's training, kept whole in memory (and in the checkpoint) and rewritten an epoch.

    Args:
        folder: gets `metrics.csv` and `tensorboard/`.
        rows: those of earlier epochs, when a run goes on.
    """

    def __init__(self, folder: Path, rows: list[EpochMetrics]) -> None:
        self.folder, self.rows = folder, list(rows)
        self._board: Any = SummaryWriter(str(folder / "tensorboard"), purge_step=len(rows) + 1)

    def add(self, row: EpochMetrics) -> None:
        """Append a row; its `epoch` is the step on the board."""
        self.rows.append(row)
        header = max((list(row) for row in self.rows), key=len)  # an epoch without validation has fewer
        rows = [[_short(row[key]) if key in row else "" for key in header] for row in self.rows]
        write_csv(self.folder / "metrics.csv", header, rows)
        for key, value in row.items():
            if key != "epoch":
                self._board.add_scalar(key, value, row["epoch"])
        self._board.flush()

    def close(self) -> None:
        """Close TensorBoard's file."""
        self._board.close()


def forget_peak_memory(device: torch.device) -> None:
    """Begin to measure anew, where the system can (a GPU, Linux), so that one process can train several models."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # what was freed would count as long as the C library keeps it
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory_mib(device: torch.device) -> float:
    """Largest memory so far: allocated on a GPU, resident on a CPU; MiB."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def read_costs(folder: Path) -> tuple[float, float]:
    """Seconds of training, and the largest memory in MiB, of a trained model's folder."""
    with (folder / "metrics.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return sum(float(row["train_seconds"]) for row in rows), max(float(row["peak_memory_mib"]) for row in rows)


def _short(value: float) -> float | int:
    return value if isinstance(value, int) else float(f"{value:.6g}")
