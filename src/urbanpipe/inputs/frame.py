"""Single frames at an interval: each with its video's labels (the report's frame-based method), or all as one bag."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from urbanpipe.inputs.augment import apply, augmentations, frames_tensor
from urbanpipe.inputs.config import AugmentConfig, BagConfig, FrameConfig
from urbanpipe.inputs.footage import Draw, Footage, Indices, Selection, select
from urbanpipe.video import sampling


class BagOfFrames:
    """All frames at an interval, as they are, in training as in a test. See `inputs.view.View`.

    Args:
        config: interval and size.
    """

    def __init__(self, config: BagConfig | FrameConfig) -> None:
        self.frame_size = config.frame_size
        self._every_seconds = config.every_seconds

    def kept(self, footage: Footage) -> Indices:
        """The frames at the interval."""
        return sampling.interval(footage.edges_seconds[:-1], self._every_seconds)

    def drawn(self, footage: Footage, draw: Draw) -> Selection:
        """All of them."""
        del draw
        return self.judged(footage)

    def judged(self, footage: Footage) -> Selection:
        """All of them."""
        return select(self.kept(footage)[:, None])

    def train_view(self, frames: NDArray[np.uint8]) -> Tensor:
        """The frame itself, of `frames` (1, height, width, 3): uint8 (3, height, width)."""
        return self.test_view(frames)

    def test_view(self, frames: NDArray[np.uint8]) -> Tensor:
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

    def drawn(self, footage: Footage, draw: Draw) -> Selection:
        """`train_frames` of them, one from each of as many equal parts of the video."""
        kept = self.kept(footage)
        rows = sampling.jittered(len(kept), self.config.train_frames, draw.rng)
        return select(kept[rows][:, None], rows)

    def train_view(self, frames: NDArray[np.uint8]) -> Tensor:
        """An augmented frame of `frames` (1, height, width, 3): uint8 (3, height, width)."""
        return apply(self._transforms, frames_tensor(frames)[0])
