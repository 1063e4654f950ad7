"""The view of a video: how a method cuts it into segments and turns them into network inputs."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from urbanpipe.inputs.frame_timeline import FrameTimeline, Indices, SampleSeed, Selection

Frames = NDArray[np.uint8]


class View(Protocol):
    """Selects the segments of a video and their frames, and turns frames into network inputs.

    Evaluation needs only numpy; training may use torch's transforms.

    Attributes:
        frame_size: width and height in pixels at which frames are decoded.
    """

    frame_size: tuple[int, int]

    def cacheable_frames(self, timeline: FrameTimeline) -> Indices | None:
        """Return all frames that training and evaluation may read, ascending; None if any frame may be read."""

    def training_sample(self, timeline: FrameTimeline, seed: SampleSeed) -> Selection:
        """Return the training segments of a video in an epoch."""

    def evaluation_sample(self, timeline: FrameTimeline) -> Selection:
        """Return the evaluated segments, ordered by time where they have an order."""

    def training_input(self, frames: Frames) -> Frames:
        """Return the augmented input of a segment, uint8, from its frames (k, height, width, 3).

        Uses torch's global generator.
        """

    def evaluation_input(self, frames: Frames) -> Frames:
        """Return the input of a segment without augmentation, uint8, from its frames (k, height, width, 3).

        The shape is that of `training_input`.
        """
