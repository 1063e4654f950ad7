"""The distance counter on the screen: found as the number that changes as the camera moves."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from urbanpipe.contracts.remarks import reason_text
from urbanpipe.inspection.region import Region, cut
from urbanpipe.inspection.screen_text.distance import SURE, DistanceReader
from urbanpipe.inspection.screen_text.frames import ReadFrame
from urbanpipe.inspection.screen_text.lengths import LengthNumber, length_numbers
from urbanpipe.inspection.screen_text.places import Reading, TextPlace, around

MIN_READINGS = 3
ONE_WAY = 0.7  # share of the changes that must have one direction; misread digits and a reset go against it
SAME_METRES = 0.051  # counters within this distance of each other are one counter, shown twice
_CHECKED = 5  # frames in which a region is read again
_READABLE = 0.6  # share of those in which the same number must be read
_MARGINS = (1.0, 0.5, 0.2)  # left and right of the text, as shares of its height
_KEYWORDS = re.compile(r"dist|距离|距離|里程|station|meter|länge|pos\b|^\s*[ldms]\s*[:=]", re.IGNORECASE)


@dataclass(frozen=True)
class CounterSearch:
    """The result of a search for the distance counter.

    Attributes:
        region: region in which `DistanceReader` reads the distance; None if it was not found.
        place: the text of the counter; None if there is none.
        why: key of the reason why there is no region; empty if there is one.
        values: texts on the screen that the reason names.
    """

    region: Region | None = None
    place: TextPlace | None = None
    why: str = ""
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def reason(self) -> str:
        """Why there is no region, in English; empty if there is one."""
        return reason_text(self.why, self.values) if self.why else ""


@dataclass(frozen=True)
class _Candidate:
    place: TextPlace
    numbers: tuple[tuple[Reading, LengthNumber], ...]

    @property
    def metres(self) -> list[float]:
        return [number.metres for _, number in self.numbers]

    @property
    def rank(self) -> tuple[bool, bool]:
        """How much a text looks like a distance: by its unit, and by a word beside the number."""
        units = sum(bool(number.unit) for _, number in self.numbers)
        return units * 2 > len(self.numbers), bool(_KEYWORDS.search(self.place.text))


def find_counter(frames: Sequence[ReadFrame], places: Sequence[TextPlace], reader: DistanceReader) -> CounterSearch:
    """Find the place whose number changes like a distance, and a region in which it can be read.

    A distance has a unit (m, ft) or decimals, and changes mostly in one direction. Dates, clock times, numbers with
    other units and numbers that count seconds are none.

    Args:
        frames: the frames that were read.
        places: their text by place.
        reader: reads the number again, in the region alone.
    """
    if not places:
        return CounterSearch(why="no_text")
    candidates = [found for place in places if (found := _candidate(place))]
    if not candidates:
        return CounterSearch(why="no_number")
    best, *others = sorted(candidates, key=lambda one: one.rank, reverse=True)
    if rival := next((one for one in others if one.rank == best.rank and not _same_counter(one, best)), None):
        texts = {"first": repr(best.place.text), "second": repr(rival.place.text)}
        return CounterSearch(why="two_numbers", values=texts)
    region = _readable_region(best, frames, reader)
    if region is None:
        return CounterSearch(None, best.place, "unreadable", {"first": repr(best.place.text)})
    return CounterSearch(region, best.place)


def _candidate(place: TextPlace) -> _Candidate | None:
    """Return the number of a place that changes like a distance; None if there is none."""
    read = [(reading, list(length_numbers(reading.line.text))) for reading in place.readings]
    sure = [(reading, numbers[-1]) for reading, numbers in read if numbers and reading.line.score >= SURE]
    found = _Candidate(place, tuple(sure))
    is_counter = len(sure) >= MIN_READINGS and _changes_one_way(found.metres) and not _counts_seconds(found)
    return found if is_counter else None


def _changes_one_way(metres: Sequence[float]) -> bool:
    steps = [after - before for before, after in pairwise(metres) if after != before]
    up = sum(step > 0 for step in steps)
    return len(steps) >= MIN_READINGS - 1 and max(up, len(steps) - up) >= ONE_WAY * len(steps)


def _counts_seconds(found: _Candidate) -> bool:
    """Return whether numbers without a unit are the seconds of the video, or of a clock."""
    if any(number.unit for _, number in found.numbers):
        return False
    ahead = np.array([number.metres - reading.seconds for reading, number in found.numbers])
    return bool(np.ptp(ahead) < 0.1 * np.ptp([reading.seconds for reading, _ in found.numbers]))


def _same_counter(one: _Candidate, other: _Candidate) -> bool:
    values = {reading.seconds: number.metres for reading, number in other.numbers}
    pairs = [(number.metres, values[reading.seconds]) for reading, number in one.numbers if reading.seconds in values]
    near = sum(abs(first - second) <= SAME_METRES for first, second in pairs)
    return near > 0 and near * 2 > len(pairs)


def _readable_region(found: _Candidate, frames: Sequence[ReadFrame], reader: DistanceReader) -> Region | None:
    """Return the widest region around a number in which it is read again; None if it is not."""
    pictures = {frame.seconds: frame.picture for frame in frames}
    chosen = np.unique(np.linspace(0, len(found.numbers) - 1, _CHECKED).round().astype(int))
    checked = [found.numbers[number] for number in chosen]
    tight = around([_box_of(reading, number) for reading, number in found.numbers])
    for margin in _MARGINS:
        region = _widened(tight, margin, pictures[checked[0][0].seconds].shape)
        read = [reader.read(cut(pictures[reading.seconds], region)) for reading, _ in checked]
        same = sum(
            distance is not None and abs(distance.metres - number.metres) < 0.01
            for distance, (_, number) in zip(read, checked, strict=True)
        )
        if same >= _READABLE * len(checked):
            return region
    return None


def _box_of(reading: Reading, number: LengthNumber) -> Region:
    """Return the box of a number within its line: the whole line, if it ends with its only number."""
    left, top, width, height = reading.line.box
    text = reading.line.text
    if not any(mark.isdigit() for mark in text[: number.begin]) and not text[number.end :].strip():
        return reading.line.box
    return left + width * number.begin / len(text), top, width * (number.end - number.begin) / len(text), height


def _widened(box: Region, margin: float, shape: tuple[int, ...]) -> Region:
    """Return a box with margins left and right, and a quarter of its height above and below, inside the picture."""
    left, top, width, height = box
    aside = margin * height * shape[0] / shape[1]
    begin, upper = _rounded(max(0.0, left - aside)), _rounded(max(0.0, top - height / 4))
    end, lower = min(0.9999, left + width + aside), min(0.9999, top + height * 1.25)
    return begin, upper, _rounded(end - begin), _rounded(lower - upper)


def _rounded(share: float) -> float:
    """Return a share rounded down to four decimals, so that a region stays inside the picture."""
    return math.floor(share * 10_000) / 10_000
