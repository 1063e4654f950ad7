"""Videos whose frames tell their second by their grey level, and a stand-in for the recognition of their text."""

from collections.abc import Callable, Sequence
from pathlib import Path

import av
import numpy as np

from urbanpipe.inspection.screen_text.reader import TextLine
from urbanpipe.video.resizing import Pixels

DARKEST, STEP = 30, 12
WIDTH, HEIGHT = 160, 120
Line = tuple[str, float, float]  # text, left and top
Script = Callable[[int], Sequence[Line]]
"""The lines on the screen by second."""


def grey(second: int) -> Pixels:
    return np.full((HEIGHT, WIDTH, 3), DARKEST + STEP * second, dtype=np.uint8)


def grey_video(path: Path, seconds: int = 16, rate: int = 5) -> Path:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=rate, options={"crf": "10", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(seconds * rate):
            frame = av.VideoFrame.from_ndarray(grey(number // rate), format="rgb24")
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def lines_of(lines: Sequence[Line], score: float = 0.95) -> list[TextLine]:
    return [TextLine(text, score, (left, top, 0.02 * len(text), 0.05)) for text, left, top in lines]


class ScriptedReader:
    """Reads from frames what a script says of their second, and from a region the lines of its last full frame in it.

    A region of the picture does not tell where it was cut; it gets the lines that `region` accepts.
    """

    def __init__(self, script: Script, region: Callable[[str], bool] = lambda text: text.endswith(("m", "ft", '"'))):
        self.script, self.region = script, region

    def read(self, picture: Pixels) -> list[TextLine]:
        second = round((float(picture[..., 1].mean()) - DARKEST) / STEP)
        lines = lines_of(self.script(second))
        if picture.shape[:2] == (HEIGHT, WIDTH):
            return lines
        return [line for line in lines if self.region(line.text)]
