"""Inspection data of the videos that are exported: from files, rules for paths, and the review."""

from collections.abc import Iterable, Sequence

from urbanpipe.contracts.inspection_data import InspectionData, joined, read_day
from urbanpipe.contracts.inspection_sources import Source, read_sources
from urbanpipe.contracts.stored_inspection_data import read_stored_data
from urbanpipe.exports.records import InspectionRecord


def inspection_data_of(
    inspected: Iterable[InspectionRecord], sources: Source | Sequence[Source] | None
) -> tuple[dict[str, InspectionData], tuple[str, ...]]:
    """Return inspection data by the name of the inspected video, and the names in the file without one.

    Args:
        inspected: the inspections; what people entered in the review comes first.
        sources: files of inspection data and rules for paths, see `read_sources`; None takes what `inspect` was given.

    Raises:
        InspectionError: a source cannot be read, or fits no video.
    """
    paths: dict[str, str] = {}
    entered: list[InspectionData] = []
    stored: dict[str, InspectionData] = {}
    for one in inspected:
        paths[one.name] = one.inspection.video.path
        if not sources and one.read_picture is None and (own := read_stored_data(one.folder)):
            stored[one.name] = own.model_copy(update={"video": one.name})
        if one.decisions and (known := one.decisions.data(one.name)):
            entered.append(known)
    data, unmatched = read_sources(sources, paths) if sources else (stored, ())
    for known in entered:
        data[known.video] = joined(data.get(known.video), known)
    return data, unmatched


def dated(names: Iterable[str], data: dict[str, InspectionData], day: str) -> dict[str, InspectionData]:
    """Return the data with a date for the videos that have none.

    Args:
        names: names of all inspected videos.
        data: inspection data by name.
        day: the date.

    Raises:
        InspectionError: it is not a date.
    """
    date = read_day(day)
    with_date = {name: InspectionData(video=name, date=date) for name in names}
    return {name: joined(with_date[name], data[name]) if name in data else with_date[name] for name in with_date}
