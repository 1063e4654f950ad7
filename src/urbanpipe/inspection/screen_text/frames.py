"""The frames of a video whose text is read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from urbanpipe.inspection.screen_text.reader import TextLine, TextReader
from urbanpipe.video.index import FrameIndex
from urbanpipe.video.isolated import stream_pictures
from urbanpipe.video.resizing import Pixels, resized

OPENING_SECONDS = (0.2, 1.0, 2.0, 3.5, 5.0)
"""Times at which title pages are looked for."""
SPREAD = 8
"""Frames that are spread evenly over the video besides those of the opening."""
WIDTH = 1280
"""Largest width in pixels of a frame that is read; larger ones are resized."""


@dataclass(frozen=True, eq=False)
class ReadFrame:
    """A frame whose text was read.

    Attributes:
        seconds: its time.
        picture: the frame, at most `WIDTH` wide.
        lines: its lines of text.
    """

    seconds: float
    picture: Pixels
    lines: tuple[TextLine, ...]


def read_text_of(index: FrameIndex, reader: TextReader, opening: Sequence[float] = OPENING_SECONDS) -> list[ReadFrame]:
    """Read the text of a few frames of a video, in order of time; frames that cannot be decoded are left out.

    Args:
        index: frame index of the video.
        reader: what reads text.
        opening: times in seconds at the begin of the video; those after its middle are left out.

    Raises:
        VideoError: the video cannot be read.
    """
    return list(_read(index, reader, opening))


def _read(index: FrameIndex, reader: TextReader, opening: Sequence[float]) -> Iterator[ReadFrame]:
    spread = np.linspace(0, index.duration_seconds, SPREAD + 2)[1:-1]
    early = [seconds for seconds in opening if seconds < index.duration_seconds / 2]
    frames = index.frame_at(np.array([*early, *spread]))
    for decoded in stream_pictures(index, frames, "conceal"):
        if decoded.pixels is not None:
            picture = _shown(decoded.pixels, index)
            lines = tuple(line for line in reader.read(picture) if line.text.strip())
            yield ReadFrame(float(index.times_seconds[decoded.number]), picture, lines)


def _shown(pixels: Pixels, index: FrameIndex) -> Pixels:
    """Return a frame with the shape of the video, at most `WIDTH` wide."""
    width = min(WIDTH, index.width)
    return resized(pixels, (width, max(1, round(index.height * width / index.width))))
