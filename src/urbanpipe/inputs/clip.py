"""One clip of frames from the whole video, for a video network: the report's video-based method."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from urbanpipe.inputs.augment import apply, augmentations, frames_tensor
from urbanpipe.inputs.config import AugmentConfig, VideoConfig
from urbanpipe.inputs.frame_sampling import SampledFrames


class Clip(SampledFrames):
    """Clips of a video. See `inputs.view.View`.

    Args:
        config: frames, size and sampling.
        augment: what is done in training, to all frames of a clip alike.
    """

    def __init__(self, config: VideoConfig, augment: AugmentConfig) -> None:
        super().__init__(config)
        self.config = config
        self._transforms = augmentations((*augment.tile, *augment.image), augment, config.frame_size)

    def training_input(self, frames: NDArray[np.uint8]) -> Tensor:
        """An augmented clip of `frames` (frames, height, width, 3): uint8 (3, frames, height, width)."""
        clip = apply(self._transforms, frames_tensor(frames))
        if self.config.shuffle:
            clip = clip[torch.randperm(len(clip))]
        return clip.transpose(0, 1)

    def evaluation_input(self, frames: NDArray[np.uint8]) -> Tensor:
        """The clip in order of time: uint8 (3, frames, height, width)."""
        return frames_tensor(frames).transpose(0, 1)
