"""Numbers for surfaces: smooth noise, soft edges, and paint on a map."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FloatMap = NDArray[np.float32]
Colour = tuple[float, float, float]


def value_noise(rng: np.random.Generator, shape: tuple[int, int], pitch: float | tuple[float, float]) -> FloatMap:
    """Smooth noise of `shape` (rows, columns) in 0..1, float32.

    Args:
        rng: where the noise comes from.
        shape: rows and columns; the rows close on themselves, as the wall of a pipe does.
        pitch: pixels from one random value to the next, for both directions or (rows, columns).
    """
    row_pitch, column_pitch = pitch if isinstance(pitch, tuple) else (pitch, pitch)
    cells = (max(1, round(shape[0] / row_pitch)), max(1, int(np.ceil(shape[1] / column_pitch))) + 1)
    grid = rng.random(cells, dtype=np.float32)
    low, high, weight = _between(shape[0], cells[0] / shape[0], cells[0])
    rows = grid[low] + (grid[high] - grid[low]) * weight[:, None]
    low, high, weight = _between(shape[1], 1 / column_pitch, cells[1])
    start = rows[:, low]
    result: FloatMap = start + (rows[:, high] - start) * weight
    return result


def _between(count: int, step: float, cells: int) -> tuple[NDArray[np.intp], NDArray[np.intp], FloatMap]:
    place = np.arange(count) * step
    low = place.astype(np.intp)
    weight = (place - low).astype(np.float32)
    return low % cells, (low + 1) % cells, weight * weight * (3 - 2 * weight)


def fractal(rng: np.random.Generator, shape: tuple[int, int], pitch: float, octaves: int = 3) -> FloatMap:
    """Noise on several scales, each half as wide and half as strong as the one before; about 0..1, mean .5."""
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        total += value_noise(rng, shape, max(1.0, pitch / 2**octave)) * np.float32(0.5**octave)
    return total / np.float32(2 - 0.5 ** (octaves - 1))


def soft(values: FloatMap, edge: float, width: float) -> FloatMap:
    """0 below `edge - width`, 1 above `edge + width`, smooth between."""
    step = np.clip((values - np.float32(edge - width)) / np.float32(2 * width), 0, 1)
    result: FloatMap = step * step * (3 - 2 * step)
    return result


def paint(image: FloatMap, colour: Sequence[float] | NDArray[np.floating], alpha: FloatMap) -> None:
    """Lay `colour` over `image` (rows, columns, 3) in place, as strongly as `alpha` (rows, columns) in 0..1 says."""
    image += (np.asarray(colour, np.float32) - image) * alpha[..., None]


def stamp(shape: tuple[int, int], rows: NDArray[np.float64], columns: NDArray[np.float64], width: float) -> FloatMap:
    """Coverage 0..1 of dots `width` pixels wide at the given places; rows close on themselves, columns are cut off."""
    alpha = np.zeros(shape, np.float32)
    reach = int(np.ceil(width / 2 + 0.5))
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            row, column = np.round(rows).astype(int) + down, np.round(columns).astype(int) + right
            distance = np.hypot(row - rows, column - columns)
            inside = (column >= 0) & (column < shape[1])
            cover = np.clip(width / 2 + 0.5 - distance, 0, 1).astype(np.float32)
            np.maximum.at(alpha, (row[inside] % shape[0], column[inside]), cover[inside])
    return alpha
