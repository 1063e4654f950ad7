"""Materials of the wall: colour maps of clean pipes, and the spacing of their joints."""

from collections.abc import Callable

import numpy as np

from urbanpipe.simulate.pipe import TEXEL_ROWS, TEXELS_PER_RADIUS, TURN
from urbanpipe.simulate.surface import Colour, FloatMap, fractal, value_noise

_ARC = TEXEL_ROWS / TURN
"""Texels per radius around a round wall; nearly as many as along it."""


def _tinted(base: Colour, shade: FloatMap) -> FloatMap:
    return shade[..., None] * np.asarray(base, np.float32)


def lit(height: FloatMap, strength: float) -> FloatMap:
    """Return the brightness of a rough surface lit from beside the camera: slopes that face the camera are brighter.

    Args:
        height: height of the surface towards the axis, any unit, (rows, columns); columns run away from the camera.
        strength: strength of the relief.

    Returns:
        Factors around 1, (rows, columns).
    """
    slope = np.empty_like(height)
    slope[:, 1:-1] = height[:, 2:] - height[:, :-2]
    slope[:, 0], slope[:, -1] = slope[:, 1], slope[:, -2]
    return np.clip(1 + np.float32(strength) * slope, 0.35, 1.7)


def concrete(rng: np.random.Generator, columns: int, base: Colour) -> FloatMap:
    """Return the colour of concrete: grey, mottled on every scale, with pores."""
    shape = (TEXEL_ROWS, columns)
    broad, fine = fractal(rng, shape, 70, 3), fractal(rng, shape, 7, 2)
    shade = 0.72 + 0.4 * broad + 0.32 * (fine - 0.5)
    shade -= 0.35 * (value_noise(rng, shape, 4) > 0.93)
    return _tinted(base, shade * lit(fine, 0.9))


def clay(rng: np.random.Generator, columns: int, base: Colour) -> FloatMap:
    """Return the colour of clay: glazed and even, with streaks around the pipe."""
    shape = (TEXEL_ROWS, columns)
    streaks, broad = value_noise(rng, shape, (200, 5)), fractal(rng, shape, 120, 2)
    return _tinted(base, 0.82 + 0.16 * streaks + 0.2 * (broad - 0.5) + 0.1 * (value_noise(rng, shape, 3) - 0.5))


def plastic(rng: np.random.Generator, columns: int, base: Colour) -> FloatMap:
    """Return the colour of plastic: smooth, with faint scratches along the pipe."""
    shape = (TEXEL_ROWS, columns)
    scratches = value_noise(rng, shape, (1.6, 90))
    return _tinted(base, 0.9 + 0.12 * fractal(rng, shape, 140, 2) + 0.14 * (scratches - 0.5))


def corrugated(rng: np.random.Generator, columns: int, base: Colour) -> FloatMap:
    """Return the colour of a ribbed plastic pipe: narrowly spaced rings."""
    shape = (TEXEL_ROWS, columns)
    period = float(rng.uniform(9, 17))
    wave = np.sin(np.arange(columns, dtype=np.float32) * np.float32(TURN / period))[None]
    shade = (0.86 + 0.3 * (fractal(rng, shape, 90, 3) - 0.5)) * (1 + 0.33 * wave)
    return _tinted(base, shade.astype(np.float32))


def brick(rng: np.random.Generator, columns: int, base: Colour) -> FloatMap:
    """Return the colour of brick: courses along the sewer, with mortar between."""
    courses = int(rng.integers(30, 44))
    long = float(rng.uniform(30, 44))
    row = np.arange(TEXEL_ROWS)[:, None] * courses / TEXEL_ROWS
    column = np.arange(columns)[None] / long + 0.5 * (np.floor(row) % 2)
    u, v = column - np.floor(column), row - np.floor(row)
    tone = rng.uniform(0.62, 1.15, (courses, int(columns / long) + 3)).astype(np.float32)
    shade = tone[np.floor(row).astype(int), np.floor(column).astype(int)]
    shade = shade * (0.8 + 0.4 * fractal(rng, (TEXEL_ROWS, columns), 10, 2))
    edge = np.minimum(np.minimum(u, 1 - u) * long, np.minimum(v, 1 - v) * TEXEL_ROWS / courses)
    mortar = np.clip(1.9 - edge, 0, 1).astype(np.float32)[..., None]
    return _tinted(base, shade) * (1 - mortar) + mortar * np.asarray((0.50, 0.48, 0.44), np.float32)


Make = Callable[[np.random.Generator, int, Colour], FloatMap]
MATERIALS: dict[str, tuple[Make, tuple[Colour, ...], tuple[float, float]]] = {
    "concrete": (
        concrete,
        ((0.60, 0.58, 0.53), (0.52, 0.53, 0.53), (0.60, 0.54, 0.44), (0.50, 0.52, 0.47)),
        (3.0, 5.0),
    ),
    "clay": (clay, ((0.55, 0.36, 0.24), (0.50, 0.40, 0.30), (0.44, 0.30, 0.22)), (2.0, 4.0)),
    "plastic": (
        plastic,
        ((0.74, 0.44, 0.20), (0.66, 0.68, 0.68), (0.36, 0.52, 0.68), (0.80, 0.79, 0.74)),
        (6.0, 10.0),
    ),
    "corrugated": (
        corrugated,
        ((0.50, 0.52, 0.54), (0.40, 0.44, 0.50), (0.34, 0.46, 0.62), (0.58, 0.57, 0.54)),
        (6.0, 10.0),
    ),
    "brick": (brick, ((0.56, 0.33, 0.24), (0.48, 0.36, 0.28)), (99.0, 100.0)),
}
"""By name: function that draws the colour map, base colours, and minimum and maximum distance of joints, radii."""


def wall_colour(rng: np.random.Generator, name: str, length: float, base: Colour) -> FloatMap:
    """Return the colour of a clean wall, (TEXEL_ROWS, columns, 3), 0..1."""
    return MATERIALS[name][0](rng, round(length * TEXELS_PER_RADIUS), base)
