"""What a record is about: segments in order, each with its videos, findings, inspection data and condition figures."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from urbanpipe.contracts.inspection_data import InspectionData
from urbanpipe.errors import Mistake, TableError
from urbanpipe.exports.columns import Language
from urbanpipe.exports.condition import SegmentCondition, segment_condition
from urbanpipe.exports.condition_reviewed import table_of
from urbanpipe.exports.records import InspectionRecord, RecordRow, rows_of
from urbanpipe.exports.reviewed_rows import is_undecided, reviewed_rows
from urbanpipe.exports.rules import Rules
from urbanpipe.exports.segment_names import SegmentData, segment_data, segment_names


@dataclass(frozen=True)
class RecordSegment:
    """A pipe segment of a record.

    Attributes:
        name: its name, or its manholes; that of the video where inspection data has neither.
        data: what is known of it; of several videos, the first that says something counts, and what belongs to the
            segment and in which they differ is empty.
        videos: its videos, by date and name.
        rows: kept defects, in order of the segment.
        condition: its condition figures; None where something is missing.
        missing: the cells that they lack, or the wrong ones; fields in which its videos differ are among them.
        with_decisions: whether a store of decisions was given.
    """

    name: str
    data: InspectionData
    videos: tuple[InspectionRecord, ...]
    rows: tuple[RecordRow, ...]
    condition: SegmentCondition | None
    missing: tuple[Mistake, ...]
    with_decisions: bool

    @property
    def undecided(self) -> int:
        """Number of defects about which nobody decided yes or no."""
        return sum(is_undecided(row) for row in self.rows)

    @property
    def reviewed(self) -> bool:
        """Whether people reviewed all of its videos in full."""
        return all(one.decisions is not None and one.decisions.is_reviewed for one in self.videos)

    @property
    def demonstration(self) -> str:
        """Name of a demonstration bundle among those that inspected it; else empty."""
        bundles = [one.inspection.bundle for one in self.videos]
        return next((bundle.name for bundle in bundles if bundle.demonstration), "")

    @property
    def is_metric(self) -> bool:
        """Whether most of its defects have a distance, so that the others are told from these by their time only."""
        placed = [row for row in self.rows if row.occurrence or row.metres is not None]
        return 2 * sum(row.metres is not None for row in placed) >= max(len(placed), 1)


def record_segments(
    inspected: Sequence[InspectionRecord],
    data: Mapping[str, InspectionData],
    rules: Rules,
    *,
    with_decisions: bool,
    language: Language = "en",
) -> list[RecordSegment]:
    """Return the segments of inspections, by date and name; those without a date come last.

    Args:
        inspected: the inspections.
        data: inspection data by the name of the video.
        rules: rules of the condition figures.
        with_decisions: whether the inspections have decisions; else all defects are proposals.
        language: language of the names of segments with both directions.
    """
    names = segment_names([one.name for one in inspected], data, language)
    videos: dict[str, list[InspectionRecord]] = {}
    for one in sorted(inspected, key=lambda one: natural_order(one.name)):
        videos.setdefault(names[one.name], []).append(one)
    made = [
        _segment(name, sorted(group, key=lambda one: _when(data.get(one.name))), data, rules, with_decisions)
        for name, group in videos.items()
    ]
    return sorted(made, key=lambda one: (one.data.date or "9999", natural_order(one.name)))


def natural_order(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key by which names with numbers are sorted as people do.

    >>> sorted(["S10", "S9", "10"], key=natural_order)
    ['10', 'S9', 'S10']
    """
    parts = re.findall(r"[0-9]{1,18}|[^0-9]+", name.casefold())
    return tuple((0, int(part), "") if part[0] in "0123456789" else (1, 0, part) for part in parts)


def _when(data: InspectionData | None) -> tuple[str, str]:
    return (data.date or "9999", data.time) if data else ("9999", "")


def _segment(
    name: str,
    videos: Sequence[InspectionRecord],
    data: Mapping[str, InspectionData],
    rules: Rules,
    with_decisions: bool,
) -> RecordSegment:
    known = segment_data(dict.fromkeys((one.name for one in videos), name), data, rules).get(name)
    known = known or SegmentData(InspectionData(video=videos[0].name))
    rows = reviewed_rows(videos, unlikely=False) if with_decisions else rows_of(videos, unlikely=False)
    defects = [row for row in rows if row.finding.code != row.inspected.inspection.exclusive]
    condition, missing = _condition(videos, data, rules) if with_decisions else (None, ())
    missing = (*missing, *(cell for cell in known.differing if cell not in missing))
    made = RecordSegment(name, known.data, tuple(videos), tuple(defects), condition, missing, with_decisions)
    if not made.is_metric:
        return made
    along = sorted(defects, key=lambda row: (row.metres is None, row.metres or 0.0))  # stable: equal ones by time
    return replace(made, rows=tuple(along))


def _condition(
    videos: Sequence[InspectionRecord], data: Mapping[str, InspectionData], rules: Rules
) -> tuple[SegmentCondition | None, tuple[Mistake, ...]]:
    """Return the condition figures of a segment, or what is missing for them; a mistake concerns its segment only."""
    try:
        filled = table_of(videos, data, rules, root=videos[0].folder.parent)
    except TableError as error:
        return None, error.mistakes
    missing = tuple(cell for one in filled.refused for cell in one.missing)
    return (segment_condition(filled.segments[0], rules) if filled.segments else None), missing
