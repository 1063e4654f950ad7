"""Places of the picture that show text: what was read in each, over the sampled frames."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from urbanpipe.inspection.region import Region
from urbanpipe.inspection.screen_text.reader import TextLine

SAME_ROW = 0.5  # overlap in height, as a share of the lower box, of boxes in one row
SAME_PLACE = 0.3  # overlap in width, as a share of both boxes together, of one place in two frames


@dataclass(frozen=True)
class Reading:
    """A line of text at a time in seconds."""

    seconds: float
    line: TextLine


@dataclass(frozen=True)
class TextPlace:
    """A place that shows text.

    Attributes:
        readings: what was read there, in order of time; at most one line per frame.
    """

    readings: tuple[Reading, ...]

    @property
    def box(self) -> Region:
        """The box around all readings."""
        return around([reading.line.box for reading in self.readings])

    @property
    def text(self) -> str:
        """The text that was read with the highest confidence."""
        return max(self.readings, key=lambda reading: reading.line.score).line.text


def text_places(frames: Iterable[tuple[float, Sequence[TextLine]]]) -> list[TextPlace]:
    """Join lines of text that appear at the same place.

    Args:
        frames: time in seconds and lines of each frame, in order of time.

    Returns:
        The places, from top to bottom and from left to right.
    """
    places: list[list[Reading]] = []
    for seconds, lines in frames:
        before = list(places)
        for line in lines:
            same = [place for place in before if is_same_place(place[-1].line.box, line.box)]
            if same:
                best = max(same, key=lambda place: _shared_width(place[-1].line.box, line.box))
                before = [place for place in before if place is not best]
                best.append(Reading(seconds, line))
            else:
                places.append([Reading(seconds, line)])
    found = [TextPlace(tuple(readings)) for readings in places]
    return sorted(found, key=lambda place: (round(place.box[1], 2), place.box[0]))


def is_same_place(one: Region, other: Region) -> bool:
    """Return whether two boxes are in one row and share the larger part of their width."""
    return in_one_row(one, other) and _shared_width(one, other) >= SAME_PLACE


def in_one_row(one: Region, other: Region) -> bool:
    """Return whether two boxes are beside each other, or one over the other."""
    shared = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    return shared > 0 and shared >= SAME_ROW * min(one[3], other[3])


def around(boxes: Sequence[Region]) -> Region:
    """Return the smallest box around others."""
    left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right, bottom = max(box[0] + box[2] for box in boxes), max(box[1] + box[3] for box in boxes)
    return left, top, right - left, bottom - top


def _shared_width(one: Region, other: Region) -> float:
    shared = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    together = max(one[0] + one[2], other[0] + other[2]) - min(one[0], other[0])
    return shared / together if together > 0 else 0.0
