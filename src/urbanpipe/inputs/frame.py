"""Single frames at an interval: each with its video's labels (the report's frame-based method), or all as one bag."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from urbanpipe.inputs.augment import apply, augmentations, frames_tensor
from urbanpipe.inputs.config import AugmentConfig, BagConfig, FrameConfig
from urbanpipe.inputs.frame_timeline import FrameTimeline, Indices, SampleSeed, Selection, select
from urbanpipe.video import sampling


class BagOfFrames:
    """All frames at an interval, as they are, in training as in a test. See `inputs.view.View`.

    Args:
        config: interval and size.
    """

    def __init__(self, config: BagConfig | FrameConfig) -> None:
        self.frame_size = config.frame_size
        self._every_seconds = config.every_seconds

    def cacheable_frames(self, timeline: FrameTimeline) -> Indices:
        """The frames at the interval."""
        return sampling.interval(timeline.edges_seconds[:-1], self._every_seconds)

    def training_sample(self, timeline: FrameTimeline, seed: SampleSeed) -> Selection:
        """All of them."""
        del seed
        return self.evaluation_sample(timeline)

    def evaluation_sample(self, timeline: FrameTimeline) -> Selection:
        """All of them."""
        return select(self.cacheable_frames(timeline)[:, None])

    def training_input(self, frames: NDArray[np.uint8]) -> Tensor:
        """The frame itself, of `frames` (1, height, width, 3): uint8 (3, height, width)."""
        return self.evaluation_input(frames)

    def evaluation_input(self, frames: NDArray[np.uint8]) -> Tensor:
        """The frame itself: uint8 (3, height, width)."""
        return frames_tensor(frames)[0]


class SingleFrames(BagOfFrames):
    """Frames of a video one by one. See `inputs.view.View`.

    Args:
        config: interval, size, and how many frames of a video an epoch sees.
        augment: what is done in training.
    """

    def __init__(self, config: FrameConfig, augment: AugmentConfig) -> None:
        super().__init__(config)
        self.config = config
        self._transforms = augmentations((*augment.tile, *augment.image), augment, config.frame_size)

    def training_sample(self, timeline: FrameTimeline, seed: SampleSeed) -> Selection:
        """`train_frames` of them, one from each of as many equal parts of the video."""
        kept = self.cacheable_frames(timeline)
        rows = sampling.jittered(len(kept), self.config.train_frames, seed.rng)
        return select(kept[rows][:, None], rows)

    def training_input(self, frames: NDArray[np.uint8]) -> Tensor:
        """An augmented frame of `frames` (1, height, width, 3): uint8 (3, height, width)."""
        return apply(self._transforms, frames_tensor(frames)[0])
