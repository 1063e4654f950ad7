"""Which inspections a record is made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from urbanpipe.contracts.inspection_data import InspectionData, read_day
from urbanpipe.contracts.inspection_sources import Source
from urbanpipe.contracts.name_matching import match_names, near_text
from urbanpipe.errors import InspectionError
from urbanpipe.exports.record_data import inspection_data_of
from urbanpipe.exports.records import InspectionRecord, InspectionRecords

MAX_VIDEOS = {".html": 1_000, ".pdf": 300}
"""What a browser opens, and what a PDF is made of in a few minutes and 2 GB of memory."""


@dataclass(frozen=True)
class Selection:
    """Some of the inspections.

    Attributes:
        videos: names of their videos; empty for all.
        date: their day, such as 2026-01-31, as inspection data has it; None for any.
    """

    videos: Sequence[str] = ()
    date: str | None = None

    @property
    def is_some(self) -> bool:
        """Whether it may leave out inspections."""
        return bool(self.videos) or self.date is not None


class Chosen(NamedTuple):
    """The inspections of a record, their inspection data by name, and names in the data without a video."""

    inspected: list[InspectionRecord]
    data: dict[str, InspectionData]
    unmatched: tuple[str, ...]


def chosen_inspections(
    opened: InspectionRecords,
    select: Selection,
    root: str | Path,
    *,
    sources: Source | Sequence[Source] | None,
    suffix: str,
) -> Chosen:
    """Return the inspections of a record with their inspection data.

    Args:
        opened: all inspections.
        select: which of them are wanted.
        root: where they are, for messages.
        sources: files of inspection data and rules for paths; None if there are none.
        suffix: suffix of the record, which says how many videos it may have.

    Raises:
        InspectionError: there are too many, none has a given name or is of the day, or a source cannot be read.
    """
    day = None if select.date is None else read_day(select.date)
    names = _named(opened, select.videos)
    data, unmatched = inspection_data_of((one for one in opened if one.name in names), sources)
    if day:
        dates = sorted({data[name].date for name in names if name in data and data[name].date})
        names = {name for name in names if name in data and data[name].date == day}
        if not names:
            raise InspectionError(f"{root} has no inspection of {day}; {_dates_text(dates)}")
    refuse_more(root, len(names), MAX_VIDEOS[suffix], "videos", suffix)
    return Chosen([one for one in opened if one.name in names], data, unmatched)


def _named(inspected: InspectionRecords, videos: Sequence[str]) -> set[str]:
    """Return the names of the wanted videos; all of them if none is named.

    Raises:
        InspectionError: no inspected video has a given name.
    """
    if not videos:
        return set(inspected.names)
    matches = match_names(videos, inspected.names)
    for name, near in matches.near.items():
        raise InspectionError(f"no inspected video is called {name}{near_text(near)}")
    return set(matches.matched.values())


def _dates_text(dates: Sequence[str]) -> str:
    if not dates:
        return "none has a date; give it with --inspection-data or enter it in the review"
    span = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    return f"the inspection data has {len(dates)} date{'' if len(dates) == 1 else 's'}, {span}"


def refuse_more(root: str | Path, number: int, most: int, what: str, suffix: str) -> None:
    """Refuse what no browser opens and no PDF is made of.

    Raises:
        InspectionError: the number is above the greatest.
    """
    if number > most:
        raise InspectionError(
            f"{root} has {number:,} {what}; a {suffix} record may have {most:,}; select some with --video or --date"
        )
