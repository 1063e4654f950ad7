"""The result of a writer that may leave inspections out."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Written:
    """What a writer wrote.

    Attributes:
        files: the files.
        rows: number of rows written.
        reviewed: number of these that a person decided about.
        incomplete: whether an inspection or a defect was left out.
        lines: what was left out and why, and what a person has to complete.
    """

    files: tuple[Path, ...]
    rows: int
    reviewed: int
    incomplete: bool
    lines: tuple[str, ...] = ()
