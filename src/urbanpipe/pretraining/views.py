"""The augmented views of a frame: uint8 (3, height, width) to uint8 (views, 3, size, size).

They use the global generator of torch; the caller seeds it for each frame.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2

from urbanpipe.pretraining.config import MAEConfig, SimCLRConfig

Views = Callable[[Tensor], Tensor]


def make_views(config: SimCLRConfig | MAEConfig) -> Views:
    """Return the function that creates the views of the method."""
    return simclr_views(config) if isinstance(config, SimCLRConfig) else mae_views(config)


def simclr_views(config: SimCLRConfig) -> Views:
    """Return a function that creates two views by SimCLR's augmentations.

    They are crop, flip, colour, grey and blur (arXiv 2002.05709, appendix A).
    """
    s = config.colour_strength
    blur = v2.GaussianBlur(config.size // 10 // 2 * 2 + 1, (0.1, 2.0))
    augment = v2.Compose(
        [
            v2.RandomResizedCrop(config.size, (config.crop_scale, 1.0), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.RandomApply([v2.ColorJitter(0.8 * s, 0.8 * s, 0.8 * s, 0.2 * s)], 0.8),
            v2.RandomGrayscale(0.2),
            v2.RandomApply([blur], 0.5),
        ]
    )
    return lambda frame: torch.stack([augment(frame), augment(frame)])


def mae_views(config: MAEConfig) -> Views:
    """Return a function that creates one view, cropped and flipped (arXiv 2111.06377, appendix A.1)."""
    bicubic = InterpolationMode.BICUBIC
    augment = v2.Compose(
        [
            v2.RandomResizedCrop(config.size, (config.crop_scale, 1.0), interpolation=bicubic, antialias=True),
            v2.RandomHorizontalFlip(),
        ]
    )
    return lambda frame: augment(frame).unsqueeze(0)
