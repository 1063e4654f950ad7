"""Which videos show one segment: its name, and what is known of it from all of them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from types import MappingProxyType

from urbanpipe.contracts.inspection_data import InspectionData, joined
from urbanpipe.contracts.name_matching import folded
from urbanpipe.exports.cell_texts import DataValue, ReviewCell, WrongCell
from urbanpipe.exports.columns import Language, word
from urbanpipe.exports.rules import Rules

_OF_SEGMENT = (
    *("street", "from_manhole", "to_manhole", "length_m", "diameter_mm", "shape", "material"),
    *("region", "soil"),
)
"""Fields that have one value for all videos of a segment."""
_SAME = 0.01  # metres or millimetres; 126 ft are 38.4 m


@dataclass(frozen=True)
class SegmentData:
    """What is known of a segment from all of its videos.

    Attributes:
        data: of several videos, the first that knows a field counts; a field of the segment in which they differ is
            empty.
        differing: such fields, of each video that has another value than the first.
    """

    data: InspectionData
    differing: tuple[WrongCell, ...] = ()


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


def segment_data(names: Mapping[str, str], data: Mapping[str, InspectionData], rules: Rules) -> dict[str, SegmentData]:
    """Return what is known of each segment by its name.

    Args:
        names: name of the segment of each video, as `segment_names` returns them.
        data: inspection data by the name of the video.
        rules: choices of regions and soils.
    """
    known: dict[str, dict[str, InspectionData]] = {}
    for video, name in names.items():
        if video in data:
            known.setdefault(name, {})[video] = data[video]
    words = {folded(name): choice.key for choice in (*rules.regions, *rules.soils) for name in choice.names}
    return {name: _data_of(name, videos, words) for name, videos in known.items()}


def _data_of(segment: str, known: Mapping[str, InspectionData], words: Mapping[str, str]) -> SegmentData:
    cells: list[WrongCell] = []
    differing = set()
    for field in _OF_SEGMENT:
        first, *others = [video for video, one in known.items() if getattr(one, field) not in ("", None)] or [""]
        for video in others:
            if not _is_same(getattr(known[first], field), getattr(known[video], field), words):
                differing.add(field)
                values = {"found": DataValue(known[video], field), "value": DataValue(known[first], field)}
                where = ReviewCell(video, field.removesuffix("_mm").removesuffix("_m"))
                cells.append(WrongCell(where, "differs", {**values, "other": first, "segment": segment}))
    data = reduce(lambda first, later: joined(later, first), known.values())
    empty = {field: InspectionData.model_fields[field].default for field in differing}
    return SegmentData(data.model_copy(update=empty), tuple(cells))


def _is_same(value: str | float, other: str | float, words: Mapping[str, str]) -> bool:
    """Return whether two values are one: numbers to the hundredth, words in any spelling and language."""
    if isinstance(value, str) or isinstance(other, str):
        one, two = folded(str(value)), folded(str(other))
        return words.get(one, one) == words.get(two, two)
    return abs(value - other) < _SAME


def _pipe(data: InspectionData | None) -> str:
    """Return the name of a segment, or its manholes; empty if neither is known."""
    if data is None:
        return ""
    return data.segment or (f"{data.from_manhole}-{data.to_manhole}" if data.from_manhole and data.to_manhole else "")
