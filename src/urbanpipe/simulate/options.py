"""Options of simulated videos: their format and the classes that they show."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["qv", "cctv"]


@dataclass(frozen=True, kw_only=True)
class VideoOptions:
    """Format of simulated videos.

    Attributes:
        size: width and height in pixels, even.
        fps: frames per second.
        seconds: shortest and longest duration; None: 5 to 40 for `qv`, 120 to 240 for `cctv`.
        kind: `qv` is a pole camera in the mouth of the pipe, `cctv` a crawler.
    """

    size: tuple[int, int] = (640, 480)
    fps: float = 25
    seconds: tuple[float, float] | None = None
    kind: Kind = "qv"


@dataclass(frozen=True, kw_only=True)
class ClassMix:
    """The classes that simulated videos show.

    Attributes:
        classes: class codes; None: all.
        brief: share of the `qv` videos with a defect that nine uniform frames should miss.
        balance: 0 for the class frequencies of QV-Pipe, 1 for about equal frequencies.
    """

    classes: Sequence[str] | None = None
    brief: float = 0.15
    balance: float = 0.0
