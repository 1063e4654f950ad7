"""Maps of segments become maps of frames, with a time each and one scale for all of them."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from urbanpipe.inputs.config import InputConfig

Maps = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Heat:
    """Where and when a network saw one class.

    Attributes:
        index: of the class.
        probability: of the class in the whole video.
        frames: (n,) int64, frame numbers in order of time. A frame that two segments hold is there twice.
        seconds: (n,) float64, when they are shown.
        segments: (n,) int64, number of the segment among all that were judged.
        segment_scores: (n,) float64, probability of the class in that segment.
        maps: (n, h, w) float32 in [0, 1]: the raw maps divided by their common maximum; all zero where that is 0.
        raw_maximum: the highest value before that, in the unit of the logit; 0 where nothing spoke for the class.
    """

    index: int
    probability: float
    frames: NDArray[np.int64]
    seconds: NDArray[np.float64]
    segments: NDArray[np.int64]
    segment_scores: NDArray[np.float64]
    maps: Maps
    raw_maximum: float

    @cached_property
    def peaks(self) -> NDArray[np.float64]:
        """(n, 2): x and y of each frame's hottest point in shares of width and height; NaN where all is 0."""
        count, height, width = self.maps.shape
        places = self.maps.reshape(count, -1).argmax(1)
        points = np.stack([(places % width + 0.5) / width, (places // width + 0.5) / height], axis=1)
        points[self.heights == 0] = np.nan
        return points

    @cached_property
    def heights(self) -> NDArray[np.float64]:
        """(n,): the highest value of each frame's map, in [0, 1]."""
        highest: NDArray[np.float64] = self.maps.max(axis=(1, 2)).astype(np.float64)
        return highest

    @cached_property
    def shares(self) -> NDArray[np.float64]:
        """(n,): each frame's part of all heat, summing to 1; 0 where there is none."""
        sums: NDArray[np.float64] = self.maps.sum(axis=(1, 2), dtype=np.float64)
        return sums / sums.sum() if sums.any() else sums

    @property
    def hottest(self) -> int | None:
        """Which frame holds the hottest point of all, the first of equals; None where there is none."""
        return int(self.heights.argmax()) if self.raw_maximum > 0 else None


def scaled(raw: Maps) -> tuple[Maps, float]:
    """Maps divided by their common maximum, which is returned too; maps without any heat stay 0.

    Args:
        raw: (n, h, w), 0 or more.
    """
    highest = float(raw.max(initial=0.0))
    return (raw / np.float32(highest), highest) if highest > 0 else (raw, 0.0)


def cut(image_map: Tensor, rows: int, columns: int) -> Tensor:
    """The map (h, w) of a super-image as (rows * columns, h', w'), a map for each tile, row by row.

    Where tiles do not end between two places of the map, it is brought to the next larger size that they divide.
    """
    height, width = (math.ceil(side / parts) for side, parts in zip(image_map.shape, (rows, columns), strict=True))
    if image_map.shape != (rows * height, columns * width):
        image_map = _resized(image_map, (rows * height, columns * width))
    return image_map.reshape(rows, height, columns, width).transpose(1, 2).reshape(-1, height, width)


def over_frames(clip_map: Tensor, frames: int) -> Tensor:
    """The map (t, h, w) of a clip as (frames, h, w): between its steps of time it is interpolated."""
    return _resized(clip_map, (frames, *clip_map.shape[1:]))


def _resized(one_map: Tensor, size: tuple[int, ...]) -> Tensor:
    mode = "bilinear" if one_map.ndim == 2 else "trilinear"
    return interpolate(one_map[None, None], size=size, mode=mode, align_corners=False)[0, 0]


def of_frames(raw: Tensor, config: InputConfig) -> Tensor:
    """The maps (k, h, w) of a segment's k frames, those that are padding too.

    Args:
        raw: what `grad_cam` gives for one segment: (1, h, w), (1, t, h, w) of a clip, or (k, h, w) where an image network
            saw the frames of a clip one by one. One map of an image that several frames make together is that of each.
        config: the method's input.
    """
    if raw.ndim == 4:
        return over_frames(raw[0], config.frames)
    if config.tile_grid != (1, 1):
        return cut(raw[0], *config.tile_grid)
    return raw if len(raw) == config.frames else raw.expand(config.frames, *raw.shape[1:])
