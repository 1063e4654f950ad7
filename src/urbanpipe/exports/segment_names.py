"""Which videos show one segment: its name, and what is known of it from all of them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from urbanpipe.contracts.inspection_data import InspectionData, joined
from urbanpipe.exports.columns import Language, word


def segment_names(
    videos: Iterable[str],
    data: Mapping[str, InspectionData],
    language: Language,
    *,
    unnamed: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """Return the name of the segment of each video.

    Videos with one name of a segment, or without one between the same manholes, show one segment. Where its videos have
    both directions, each direction is one of its own, as distances count from opposite ends.

    Args:
        videos: names of the videos.
        data: inspection data by the name of the video.
        language: language of the words for directions.
        unnamed: names of segments that inspection data does not name, by video; default, and where one of them is that
            of another segment: the name of the video.
    """
    pipes = {video: _pipe(data.get(video)) for video in videos}
    directions: defaultdict[str, set[str]] = defaultdict(set)
    for video, pipe in pipes.items():
        if pipe and data[video].direction:
            directions[pipe].add(data[video].direction)
    names = {}
    for video, pipe in pipes.items():
        several = len(directions[pipe]) > 1 and data[video].direction if pipe else ""
        other = unnamed.get(video, video)
        names[video] = (f"{pipe} ({word(several, language)})" if several else pipe) or (
            video if other in pipes.values() else other
        )
    return names


def segment_data(names: Mapping[str, str], data: Mapping[str, InspectionData]) -> dict[str, InspectionData]:
    """Return what is known of each segment by its name; of several videos, the first that knows a field counts."""
    known: dict[str, InspectionData] = {}
    for video, name in names.items():
        if video in data:
            known[name] = joined(data[video], known[name]) if name in known else data[video]
    return known


def _pipe(data: InspectionData | None) -> str:
    """Return the name of a segment, or its manholes; empty if neither is known."""
    if data is None:
        return ""
    return data.segment or (f"{data.from_manhole}-{data.to_manhole}" if data.from_manhole and data.to_manhole else "")
