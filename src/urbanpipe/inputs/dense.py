"""The dense clip grid: every moment of a video belongs to a clip, of which a step takes a share."""

import math

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from urbanpipe.inputs.augment import apply, augmentations, frames_tensor
from urbanpipe.inputs.config import AugmentConfig, DenseConfig
from urbanpipe.inputs.frame_timeline import FrameTimeline, Indices, SampleSeed, Selection
from urbanpipe.inputs.super_image import lay_out
from urbanpipe.video import sampling


def visits(clips: int, config: DenseConfig) -> int:
    """Epochs in which every one of a video's clips is visited once."""
    share = math.ceil(1 / config.fraction)
    return max(share, math.ceil(clips / config.max_clips)) if config.max_clips else share


def visited(clips: int, config: DenseConfig, seed: SampleSeed) -> Indices:
    """The clips of a video that an epoch encodes with gradient, ascending; never none.

    A permutation of the clips, the same in all epochs, is dealt to `visits` of them in turn: whichever the first, every
    clip comes in as many epochs in a row. A video of fewer clips than that repeats them.
    """
    count = visits(clips, config)
    turn = seed.epoch % count
    order = np.random.default_rng([seed.seed, seed.index]).permutation(clips)
    dealt = np.array_split(order, count)[turn] if clips >= count else order[turn % clips : turn % clips + 1]
    return np.sort(dealt)


class DenseClips:
    """All clips of a video. See `inputs.view.View`.

    Args:
        config: length and stride of a clip, size, encoder, and the share that a step takes.
        augment: what is done in training, to all frames of a clip alike.
    """

    def __init__(self, config: DenseConfig, augment: AugmentConfig) -> None:
        self.config = config
        self.frame_size = config.frame_size
        of_tiles = config.encoder == "super-image"
        of_frames = augment.tile if of_tiles else (*augment.tile, *augment.image)
        self._clip_transforms = augmentations(of_frames, augment, config.frame_size)
        self._image_transforms = augmentations(augment.image if of_tiles else (), augment, config.image_size)

    def cacheable_frames(self, timeline: FrameTimeline) -> Indices:
        """The frames of the whole grid."""
        return np.unique(self.evaluation_sample(timeline).frames)

    def training_sample(self, timeline: FrameTimeline, seed: SampleSeed) -> Selection:
        """The clips of this epoch's turn; in the exact modes all."""
        whole = self.evaluation_sample(timeline)
        return whole[visited(len(whole), self.config, seed)] if self.config.mode == "stale" else whole

    def evaluation_sample(self, timeline: FrameTimeline) -> Selection:
        """All clips."""
        frames, real = sampling.clip_grid(timeline.frame_count, self.config.frames, self.config.stride)
        return Selection(np.arange(len(frames)), frames, real.sum(axis=1))

    def training_input(self, frames: NDArray[np.uint8]) -> Tensor:
        """An augmented clip of `frames` (L, height, width, 3): uint8, as `test_view`."""
        return apply(self._image_transforms, self._put_together(apply(self._clip_transforms, frames_tensor(frames))))

    def evaluation_input(self, frames: NDArray[np.uint8]) -> Tensor:
        """The clip: uint8 (3, L, height, width), or the image (3, rows * height, columns * width) of its tiles."""
        return self._put_together(frames_tensor(frames))

    def _put_together(self, frames: Tensor) -> Tensor:
        if self.config.encoder == "super-image":
            return lay_out(frames, self.config.rows, self.config.frames // self.config.rows)
        return frames.transpose(0, 1)
