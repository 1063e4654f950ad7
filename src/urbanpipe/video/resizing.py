"""Bilinear resizing with antialiasing, as Pillow does it, by the fastest library that the process has loaded."""

import sys
from functools import cache, lru_cache

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]

_SMALLEST = 16  # swscale refuses some sides of a few pixels, and is not exact when it enlarges: Pillow then
_EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT


def check_size(size: tuple[int, int] | None) -> None:
    """Check a size to resize to.

    Raises:
        ValueError: the width or height is below one.
    """
    if size is not None and min(size) < 1:
        raise ValueError(f"size is {size}; width and height must be at least 1")


def resized(rgb: Pixels, size: tuple[int, int]) -> Pixels:
    """Return the picture at `size` = (width, height), uint8, contiguous.

    The result is Pillow's `BILINEAR` within two grey levels. A process that runs its networks in torch resizes with
    torch, the others with FFmpeg's swscale. Torch takes two fifths of the time (benchmarks/decoding.md), but loading it
    takes more than a second and half a gigabyte (benchmarks/inspect_speed.md).
    """
    check_size(size)
    width, height = size
    if rgb.shape[:2] == (height, width):
        return np.ascontiguousarray(rgb)
    return resized_by_torch(rgb, size) if _has_torch() else resized_by_swscale(rgb, size)


@cache
def _has_torch() -> bool:
    """Say whether torch was loaded before the first picture; a process does not change its mind."""
    return sys.modules.get("torch") is not None


def resized_by_torch(rgb: Pixels, size: tuple[int, int]) -> Pixels:
    """Return the picture at `size` = (width, height); uint8, contiguous."""
    import torch
    from torch.nn.functional import interpolate

    # Add the batch axis before the permutation: only then does torch see channels-last strides, which are fast.
    planes = torch.from_numpy(np.ascontiguousarray(rgb))[None].permute(0, 3, 1, 2)
    small = interpolate(planes, size=size[::-1], mode="bilinear", antialias=True, align_corners=False)
    return np.ascontiguousarray(small.permute(0, 2, 3, 1)[0].numpy())


def resized_by_swscale(rgb: Pixels, size: tuple[int, int]) -> Pixels:
    """Return the picture at `size` = (width, height); uint8, contiguous.

    swscale repeats the outermost pixels beyond the picture, where Pillow takes only those that are there. This reaches
    the outermost pixels of the result, which are computed here.
    """
    width, height = size
    if min(size) < _SMALLEST or height > rgb.shape[0] or width > rgb.shape[1]:
        return np.array(Image.fromarray(rgb).resize(size, Image.Resampling.BILINEAR))
    scaler, result = VideoReformatter(), np.empty((height, width, 3), dtype=np.uint8)
    for channel, plane in enumerate(cv2.split(np.ascontiguousarray(rgb))):  # as RGB, swscale would go through YUV
        grey = VideoFrame.from_ndarray(np.asarray(plane, dtype=np.uint8), "gray")
        small = scaler.reformat(grey, width, height, "gray", interpolation=_EXACT, threads=1)
        result[..., channel] = small.to_ndarray()
    rows, columns = _weights(rgb.shape[0], height), _weights(rgb.shape[1], width)
    for edge in (0, -1):
        (used,) = np.nonzero(columns[edge])
        result[:, edge] = np.rint(rows @ (columns[edge, used] @ rgb[:, used].astype(np.float32)))
        (used,) = np.nonzero(rows[edge])
        result[edge] = np.rint(columns @ np.tensordot(rows[edge, used], rgb[used].astype(np.float32), 1))
    return result


@lru_cache(maxsize=64)
def _weights(old: int, new: int) -> NDArray[np.float32]:
    """Return the weights of the old pixels in each new one, (new, old)."""
    scale = old / new
    centres = (np.arange(new) + 0.5) * scale
    weights = np.clip(1 - np.abs(np.arange(old) + 0.5 - centres[:, None]) / scale, 0, None)
    weights /= weights.sum(axis=1, keepdims=True)
    return weights.astype(np.float32)
