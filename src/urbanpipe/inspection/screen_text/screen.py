"""What the screen of a video says: its text by place, proposals for inspection data, and the distance counter."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from urbanpipe.inspection.screen_text.counter import CounterSearch, find_counter
from urbanpipe.inspection.screen_text.distance import DistanceReader
from urbanpipe.inspection.screen_text.fields import Proposal, proposals_of
from urbanpipe.inspection.screen_text.frames import ReadFrame, read_text_of
from urbanpipe.inspection.screen_text.places import TextPlace, text_places
from urbanpipe.inspection.screen_text.reader import TextReader
from urbanpipe.video.index import FrameIndex
from urbanpipe.video.isolated import index_frames


@dataclass(frozen=True, eq=False)
class Screen:
    """The text on the screen of a video.

    Attributes:
        places: the text by place, from top to bottom.
        proposals: values for inspection data, at most one per field.
        counter: the distance counter.
        frame: the frame for a preview: with the distance counter, if there is one, and the most lines of text.
    """

    places: tuple[TextPlace, ...]
    proposals: tuple[Proposal, ...]
    counter: CounterSearch
    frame: ReadFrame | None


def read_screen(video: Path, reader: TextReader) -> Screen:
    """Read the screen of a video.

    Raises:
        VideoError: the video cannot be read.
    """
    frames = read_text_of(index_frames(video), reader)
    places = _places(frames)
    counter = find_counter(frames, places, DistanceReader(reader))
    counted = {reading.seconds for reading in counter.place.readings} if counter.place else set()
    return Screen(
        places=tuple(places),
        proposals=tuple(proposals_of(frames)),
        counter=counter,
        frame=max(frames, key=lambda frame: (frame.seconds in counted, len(frame.lines)), default=None),
    )


def find_distance_region(index: FrameIndex, reader: DistanceReader) -> CounterSearch:
    """Look for the region of the distance counter of a video; title pages are not read.

    Raises:
        VideoError: the video cannot be read.
    """
    frames = read_text_of(index, reader.reader, opening=())
    return find_counter(frames, _places(frames), reader)


def _places(frames: Sequence[ReadFrame]) -> list[TextPlace]:
    return text_places((frame.seconds, frame.lines) for frame in frames)
