"""Cells of a `moments` column: class codes with their seconds, such as `TJ@12.5 CJ@30.0`."""

import math
from collections.abc import Collection, Iterable
from typing import NamedTuple

from urbanpipe.catalog.label_cells import short
from urbanpipe.errors import LabelError, TaxonomyError
from urbanpipe.taxonomy import Taxonomy

LATE_SECONDS = 1.0  # label files and containers disagree about where a video ends
_FORM = "write CODE@SECONDS, such as TJ@12.5"


class LabelMoment(NamedTuple):
    """A time at which a video shows a class.

    Attributes:
        label: class index.
        seconds: time from the first frame, 0 or more.
    """

    label: int
    seconds: float


LabelMoments = tuple[LabelMoment, ...]


def in_order(moments: Iterable[LabelMoment]) -> LabelMoments:
    """Return moments by time, then class, each once."""
    return tuple(sorted(set(moments), key=lambda moment: (moment.seconds, moment.label)))


def moments_cell(moments: LabelMoments, taxonomy: Taxonomy) -> str:
    """Return the cell of a `moments` column; empty if there are none. `parse_moments_cell` gives the same moments."""
    return " ".join(f"{taxonomy.codes[label]}@{seconds!r}" for label, seconds in moments)


def parse_moments_cell(cell: str, labels: Collection[int] | None, taxonomy: Taxonomy, where: str) -> LabelMoments:
    """Return the moments of a cell, by time.

    Args:
        cell: the text.
        labels: class indices of the video; None if it is not labelled.
        taxonomy: the classes.
        where: beginning of error messages.

    Raises:
        LabelError: an entry is not a defect and a time, or its class is not among the labels.
    """
    moments = []
    for entry in cell.split():
        code, mark, text = entry.rpartition("@")
        if not mark:
            raise LabelError(f"{where}: {short(entry)} is not a moment; {_FORM}")
        try:
            moment = LabelMoment(taxonomy.index(code), moment_seconds(text, entry, where))
        except TaxonomyError as error:
            raise LabelError(f"{where}: moment {short(entry)}: {error}") from error
        if moment.label not in (labels or ()):
            raise LabelError(
                f"{where}: moment {short(entry)}, but {taxonomy.codes[moment.label]} is not among the labels; "
                "add it there, or remove the moment"
            )
        if moment.label not in taxonomy.defects:
            raise LabelError(f"{where}: moment {short(entry)}, but {taxonomy.exclusive} is not a defect; remove it")
        moments.append(moment)
    return in_order(moments)


def moment_seconds(text: str, entry: str, where: str) -> float:
    """Return the seconds that a text says.

    Args:
        text: the text.
        entry: what contains it, for messages.
        where: beginning of error messages.

    Raises:
        LabelError: it is not a number of 0 or more.
    """
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise LabelError(f"{where}: moment {short(entry)} has no seconds of 0 or more; {_FORM}")
    return seconds


def late_moment(moments: LabelMoments, duration_seconds: float) -> LabelMoment | None:
    """Return the last moment if it is more than a second after the end of the video; None if all are inside.

    Args:
        moments: moments by time.
        duration_seconds: duration of the video; 0 if unknown, where no moment is late.
    """
    is_late = bool(moments) and 0 < duration_seconds < moments[-1].seconds - LATE_SECONDS
    return moments[-1] if is_late else None
