"""Options that several commands share, as annotated types, and which process prints."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer


def recipe_names(incomplete: str) -> list[str]:
    """Return the names of the shipped recipes that start with a text, for completion in a shell."""
    from importlib.resources import files

    shipped = (item.name for item in (files("urbanpipe.methods") / "recipes").iterdir())
    names = sorted(name.removesuffix(".toml") for name in shipped if name.endswith(".toml"))
    return [name for name in names if name.startswith(incomplete) and not name.startswith("_")]


TaxonomyFile = Annotated[
    Path | None, typer.Option(help="Your own classes (TOML); default: those of the catalog, or the 17 QV-Pipe classes.")
]
FoldsOrFile = Annotated[str, typer.Option(help="Number of folds, or a CSV file with columns video,fold.")]
Device = Annotated[str, typer.Option(help="Device: auto, cpu, cuda or cuda:N.")]
FrameCacheFolder = Annotated[
    Path | None, typer.Option(help="Folder of the frame cache; default: one shared by all runs.")
]
FrameCacheGB = Annotated[float, typer.Option(help="Maximum size of the frame cache in GB; 0 disables it.")]
LoggerName = Annotated[
    str, typer.Option("--logger", help="Where metrics go besides metrics.csv: tensorboard, mlflow or wandb.")
]
Inspections = Annotated[
    str, typer.Argument(help="Output folder of `inspect`, one video's folder in it, or an archive (s3://... too).")
]
InspectionSources = Annotated[
    list[str] | None,
    typer.Option(
        "--inspection-data",
        help="CSV or XLSX `video,segment,length_m,diameter_mm,...`, or a rule for the paths of videos, such as "
        "'{street}/{from_manhole}-{to_manhole}*'; of several, the first that knows a field counts.",
    ),
]
SegmentsPerBatch = Annotated[int, typer.Option(min=1, help="Frames or clips per batch.")]


class GraphRuntime(StrEnum):
    """A runtime of graphs; typer takes lists of enumerations, and none of literals."""

    onnx = "onnx"
    openvino = "openvino"


Runtime = Annotated[
    Literal["auto", "torch", "onnx", "openvino"],
    typer.Option(help="What runs the networks; auto takes the fastest that is installed and that the bundle has."),
]


def folds_given(folds: str) -> int | Path:
    """Return the number or the file given as --folds.

    Raises:
        FoldError: it is neither.
    """
    from urbanpipe.errors import FoldError

    if folds.lstrip("-").isdecimal():
        return int(folds)
    if not Path(folds).is_file():
        raise FoldError(f"--folds {folds} is neither a number nor a file; give the number of folds or a CSV video,fold")
    return Path(folds)


def prints() -> bool:
    """Return whether this process prints the results: the main one of those that `torchrun` starts."""
    return int(os.environ.get("RANK", 0)) == 0
