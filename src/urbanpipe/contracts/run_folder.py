"""File names of a run folder, and how its JSON files are read."""

import json
from pathlib import Path
from typing import Any

from urbanpipe.csv_cells import read_rows
from urbanpipe.errors import RunError

TRAINING_STATE = "last.pt"
WEIGHTS = "weights.safetensors"
DONE = "done.json"
SEGMENTS = "segments.npz"
OUT_OF_FOLD = "out_of_fold.json"
NESTED = "out_of_fold_nested.json"  # of an ensemble whose weights were searched
FOLD_TABLE = "table6.md"  # the last file of a cross-validation
OUT_OF_FOLD_SEGMENTS = "out_of_fold_segments.npz"
INPUTS = ("taxonomy.toml", "labels.json", "folds.csv", "groups.csv")
LEFT_OUT = "left_out.csv"
ENVIRONMENT = "environment.json"
RUN_FORMAT = "urbanpipe run 2"


def damaged_file(path: Path) -> RunError:
    """Return the error of a file that a run has written and that cannot be read."""
    return RunError(f"{path} is missing or damaged; delete {path.parent} to start it again")


def read_done(folder: Path) -> dict[str, Any] | None:
    """Read what `train_model` wrote when it finished; None if it has not finished.

    Raises:
        RunError: training has finished, but the weights are missing or truncated.
    """
    if not (folder / DONE).exists():
        return None
    done, weights = read_json(folder / DONE), folder / WEIGHTS
    if not weights.exists() or weights.stat().st_size != done.get("weights_bytes"):
        raise RunError(f"{weights} is missing or damaged; delete {folder} and this model is trained again")
    return done


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object that a run has written.

    Raises:
        RunError: the file is missing or damaged.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise damaged_file(path) from error
    if not isinstance(value, dict):
        raise damaged_file(path)
    return value


def read_left_out(run: Path) -> dict[str, str]:
    """Read the videos that could not be decoded when the run began, with the reason of each.

    Raises:
        RunError: the file is missing or damaged.
    """
    return read_column(run / LEFT_OUT, "reason")


def read_column(path: Path, column: str) -> dict[str, str]:
    """Read the values of a column, by video, of a CSV that a run has written.

    Raises:
        RunError: the file is missing or damaged.
    """
    try:
        return {row[0]: row[1] for row in read_rows(path, ["video", column])}
    except (OSError, ValueError) as error:
        raise damaged_file(path) from error


def check_run_format(run: Path) -> None:
    """Refuse a run folder that another version of the package wrote.

    Raises:
        RunError: the format differs from `RUN_FORMAT`; the message says what to do.
    """
    if not (run / ENVIRONMENT).is_file():
        return
    if (recorded := read_json(run / ENVIRONMENT).get("format")) != RUN_FORMAT:
        raise RunError(
            f"{run} has the format {recorded!r} and this version reads {RUN_FORMAT!r}; train it again, or use the "
            "version that made it"
        )
