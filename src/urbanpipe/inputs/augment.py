"""Augmentations by name, based on torchvision's transforms.

They use torch's global generator. The caller seeds it per sample, so that a sample is the same in every worker.
"""

from collections.abc import Callable

from torch import Tensor
from torchvision.transforms import InterpolationMode, v2

from urbanpipe.inputs.config import AugmentationName, AugmentConfig

Transform = Callable[[Tensor], Tensor]


def augmentation(name: AugmentationName, config: AugmentConfig, size: tuple[int, int]) -> Transform:
    """Return an augmentation of uint8 images (3, height, width) or clips (frames, 3, height, width).

    All frames of a clip are augmented alike.

    Args:
        name: name of the augmentation in recipes.
        config: strengths of the augmentations.
        size: width and height of the images, which every augmentation preserves.
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
