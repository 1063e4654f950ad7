"""Augmentations by name, over torchvision's transforms.

They seed from torch's global generator; the caller seeds it a sample, so that a sample looks the same whichever worker
makes it.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2

from urbanpipe.inputs.config import AugmentationName, AugmentConfig

Transform = Callable[[Tensor], Tensor]


def augmentation(name: AugmentationName, config: AugmentConfig, size: tuple[int, int]) -> Transform:
    """One augmentation of uint8 images (3, height, width), or of all frames of a clip (frames, 3, height, width) alike.

    Args:
        name: as in the recipe.
        config: its strengths.
        size: width and height of the images, which every augmentation keeps.
    """
    strength = config.colour_strength
    bilinear = InterpolationMode.BILINEAR
    makers: dict[AugmentationName, Callable[[], Transform]] = {
        "horizontal_flip": lambda: v2.RandomHorizontalFlip(config.flip_probability),
        "vertical_flip": lambda: v2.RandomVerticalFlip(config.flip_probability),
        "rotation": lambda: v2.RandomRotation(config.rotation_degrees, interpolation=bilinear),
        "crop": lambda: v2.RandomResizedCrop(size[::-1], (config.crop_scale, 1.0), antialias=True),
        "colour_jitter": lambda: v2.ColorJitter(strength, strength, strength, strength / 4),
        "rand_augment": lambda: v2.RandAugment(
            config.rand_augment_operations, config.rand_augment_magnitude, interpolation=bilinear
        ),
        "auto_augment": lambda: v2.AutoAugment(interpolation=bilinear),
    }
    return makers[name]()


def augmentations(names: Sequence[AugmentationName], config: AugmentConfig, size: tuple[int, int]) -> list[Transform]:
    """The named augmentations, in order."""
    return [augmentation(name, config, size) for name in names]


def apply(transforms: Sequence[Transform], image: Tensor) -> Tensor:
    """Run `image`, uint8 (..., 3, height, width), through all transforms."""
    for transform in transforms:
        image = transform(image)
    assert image.dtype == torch.uint8
    return image


def frames_tensor(frames: NDArray[np.uint8]) -> Tensor:
    """Frames (k, height, width, 3) as the tensor (k, 3, height, width) that the transforms take."""
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2)
