"""Options of `export`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class ExportOptions:
    """What goes into an export.

    Attributes:
        taxonomy: TOML file of your own classes, for their crosswalks `pacp` and `en13508`; default: the 17 QV-Pipe
            classes.
        date: date of the inspections whose data has none, such as 2026-01-31, for formats that hold a date.
        unlikely: whether to add, marked as such, the unlikely findings that are kept for review only because of the
            bound on missed defects. `qvpipe` holds the scores of all classes in any case.
        pictures: whether rows name pictures. Those of an archive are copied to a folder beside the output, named like
            it and ending in `-pictures`; for pacp to `pictures` in it.
        undecided: with a store, what becomes of proposals that nobody decided about: they are marked as proposals, or
            the export is refused.
    """

    taxonomy: Path | None = None
    date: str | None = None
    unlikely: bool = False
    pictures: bool = True
    undecided: Literal["refuse", "mark"] = "mark"
