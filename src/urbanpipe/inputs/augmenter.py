"""The augmentations of a view: numpy in, numpy out, and torch only when the first training input is made."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from urbanpipe.inputs.config import AugmentationName, AugmentConfig
from urbanpipe.inputs.view import Frames

if TYPE_CHECKING:
    from urbanpipe.inputs.augment import Transform


class Augmenter:
    """Applies augmentations in order; it draws from torch's global generator.

    Args:
        names: names of the augmentations.
        config: strengths of the augmentations.
        size: width and height in pixels of the images, which every augmentation preserves.
    """

    def __init__(self, names: Sequence[AugmentationName], config: AugmentConfig, size: tuple[int, int]) -> None:
        self._names, self._config, self._size = names, config, size

    @cached_property
    def _transforms(self) -> "list[Transform]":
        from urbanpipe.inputs.augment import augmentation

        return [augmentation(name, self._config, self._size) for name in self._names]

    def __call__(self, images: Frames) -> Frames:
        """Return an augmented image, uint8 (3, height, width), or clip (frames, 3, height, width) of the same shape.

        All frames of a clip are augmented alike.
        """
        import torch

        result = torch.from_numpy(images)
        for transform in self._transforms:
            result = transform(result)
        assert result.dtype == torch.uint8
        return result.numpy()


def channels_first(frames: Frames) -> Frames:
    """Return frames (k, height, width, 3) as (k, 3, height, width), which is what augmentations take."""
    return np.ascontiguousarray(frames).transpose(0, 3, 1, 2)


def shuffled(frames: Frames) -> Frames:
    """Return frames in a random order, drawn from torch's global generator."""
    import torch

    order: NDArray[np.int64] = torch.randperm(len(frames)).numpy()
    return frames[order]
