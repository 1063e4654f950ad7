"""What every method's input offers, and which class makes the input of which method."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from urbanpipe.inputs.clip import Clip
from urbanpipe.inputs.config import AugmentConfig, BagConfig, DenseConfig, FrameConfig, InputConfig, VideoConfig
from urbanpipe.inputs.dense import DenseClips
from urbanpipe.inputs.frame import BagOfFrames, SingleFrames
from urbanpipe.inputs.frame_timeline import FrameTimeline, Indices, SampleSeed, Selection
from urbanpipe.inputs.super_image import SuperImage


class View(Protocol):
    """Cuts a video into segments (what the network sees at once), says which frames they need, and makes tensors of them.

    Attributes:
        frame_size: width and height in pixels at which frames are wanted.
    """

    frame_size: tuple[int, int]

    def cacheable_frames(self, timeline: FrameTimeline) -> Indices | None:
        """The frames that training and tests ever read, ascending, to be cached; None where that is any frame."""

    def training_sample(self, timeline: FrameTimeline, seed: SampleSeed) -> Selection:
        """The segments that training sees of a video in an epoch."""

    def evaluation_sample(self, timeline: FrameTimeline) -> Selection:
        """The segments that are judged, in order of time where they have one; a video is judged by all of them."""

    def training_input(self, frames: NDArray[np.uint8]) -> Tensor:
        """A segment's augmented input, uint8, of its frames (k, height, width, 3); from torch's global generator."""

    def evaluation_input(self, frames: NDArray[np.uint8]) -> Tensor:
        """A segment's plain input, of the same shape."""


def make_view(config: InputConfig, augment: AugmentConfig) -> View:
    """The input of the recipe's method."""
    if isinstance(config, FrameConfig):
        return SingleFrames(config, augment)
    if isinstance(config, VideoConfig):
        return Clip(config, augment)
    if isinstance(config, DenseConfig):
        return DenseClips(config, augment)
    if isinstance(config, BagConfig):
        return BagOfFrames(config)
    return SuperImage(config, augment)
