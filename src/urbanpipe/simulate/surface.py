"""Surface textures: smooth noise and soft edges."""

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatMap = NDArray[np.float32]
Colour = tuple[float, float, float]
"""Red, green, blue in 0..1."""


def value_noise(rng: np.random.Generator, shape: tuple[int, int], pitch: float | tuple[float, float]) -> FloatMap:
    """Return smooth noise of `shape` (rows, columns), around 0..1, float32.

    Args:
        rng: random numbers.
        shape: rows and columns; the rows wrap around, as the wall of a pipe does.
        pitch: distance of the random values, pixels; one number, or (rows, columns).
    """
    row_pitch, column_pitch = pitch if isinstance(pitch, tuple) else (pitch, pitch)
    cells = max(2, round(shape[0] / row_pitch)), max(2, int(np.ceil(shape[1] / column_pitch)) + 1)
    grid = rng.random(cells, dtype=np.float32)
    margin = 2
    closed = np.concatenate([grid[-margin:], grid, grid[:margin]])
    rows = round(shape[0] / cells[0] * len(closed))
    wide = cv2.resize(closed, (max(shape[1], round(cells[1] * column_pitch)), rows), interpolation=cv2.INTER_CUBIC)
    start = round(shape[0] / cells[0] * margin)
    return np.ascontiguousarray(wide[start : start + shape[0], : shape[1]])


def fractal(
    rng: np.random.Generator, shape: tuple[int, int], pitch: float | tuple[float, float], octaves: int = 3
) -> FloatMap:
    """Return noise on several scales, each half as wide and half as strong as the last; around 0..1, mean 0.5."""
    row_pitch, column_pitch = pitch if isinstance(pitch, tuple) else (pitch, pitch)
    total, weight = np.zeros(shape, np.float32), 0.0
    for octave in range(octaves):
        scale = 0.5**octave
        total += np.float32(scale) * value_noise(rng, shape, (row_pitch * scale, column_pitch * scale))
        weight += scale
    total /= np.float32(weight)
    return total


def soft(values: ArrayLike, edge: float, width: float) -> FloatMap:
    """Return 0 below `edge`, 1 above `edge + width`, smooth between: a mask without hard borders."""
    x = np.clip((np.asarray(values, np.float32) - np.float32(edge)) / np.float32(width), 0, 1)
    return x * x * (3 - 2 * x)
