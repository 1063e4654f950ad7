"""The view of a video: how a method cuts it into segments and makes network inputs of them."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from urbanpipe.inputs.frame_timeline import FrameTimeline, Indices, SampleSeed, Selection

Frames = NDArray[np.uint8]


class View(Protocol):
    """Cut a video into segments (what the network sees at once), name the frames they need, make inputs of them.

    Evaluation needs numpy alone; training may use torch's transforms.

    Attributes:
        frame_size: width and height in pixels at which frames are wanted.
    """

    frame_size: tuple[int, int]

    def cacheable_frames(self, timeline: FrameTimeline) -> Indices | None:
        """Return the frames that training and evaluation ever read, ascending; None where that is any frame."""

    def training_sample(self, timeline: FrameTimeline, seed: SampleSeed) -> Selection:
        """Return the segments that training sees of a video in an epoch."""

    def evaluation_sample(self, timeline: FrameTimeline) -> Selection:
        """Return the segments that are evaluated, in order of time where they have one."""

    def training_input(self, frames: Frames) -> Frames:
        """Return a segment's augmented input of its frames (k, height, width, 3), uint8.

        It draws from torch's global generator.
        """

    def evaluation_input(self, frames: Frames) -> Frames:
        """Return a segment's plain input of its frames (k, height, width, 3): uint8, shape as `training_input`."""
