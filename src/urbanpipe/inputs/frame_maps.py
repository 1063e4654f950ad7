"""Maps of the frames of a segment, such as heat maps, from the maps of the backbone's inputs."""

import math

import numpy as np
from numpy.typing import NDArray

from urbanpipe.inputs.config import InputConfig

Maps = NDArray[np.float32]


def of_frames(raw: Maps, config: InputConfig) -> Maps:
    """Return the maps (k, h, w) of the k frames of a segment, including padding.

    Args:
        raw: maps of one segment: (1, h, w), (1, t, h, w) for a clip, or (k, h, w) where an image network encodes the
            frames of a clip one by one. A single map of several frames is repeated for each.
        config: the input config of the method.
    """
    if raw.ndim == 4:
        return over_frames(raw[0], config.frames)
    if config.tile_grid != (1, 1):
        return cut(raw[0], *config.tile_grid)
    return raw if len(raw) == config.frames else np.broadcast_to(raw, (config.frames, *raw.shape[1:]))


def cut(image_map: Maps, rows: int, columns: int) -> Maps:
    """Cut the map (h, w) of a super-image into one map per tile, (rows * columns, h', w'), row by row.

    If the tiles do not divide the map evenly, it is first resized to the next larger size that they divide.
    """
    height, width = (math.ceil(side / parts) for side, parts in zip(image_map.shape, (rows, columns), strict=True))
    image_map = _along(_along(image_map, 0, rows * height), 1, columns * width)
    return image_map.reshape(rows, height, columns, width).transpose(0, 2, 1, 3).reshape(-1, height, width)


def over_frames(clip_map: Maps, frames: int) -> Maps:
    """Interpolate the map (t, h, w) of a clip over time to (frames, h, w)."""
    return _along(clip_map, 0, frames)


def _along(array: Maps, axis: int, size: int) -> Maps:
    """Resize one axis by linear interpolation between the middles of its positions, as torch's `interpolate` does."""
    length = array.shape[axis]
    if length == size:
        return array
    places = np.clip((np.arange(size) + 0.5) * length / size - 0.5, 0, length - 1)
    before = np.floor(places).astype(int)
    share = np.expand_dims((places - before).astype(np.float32), [n for n in range(array.ndim) if n != axis])
    first, second = (np.take(array, rows, axis) for rows in (before, np.minimum(before + 1, length - 1)))
    between: Maps = first * (1 - share) + second * share
    return between
