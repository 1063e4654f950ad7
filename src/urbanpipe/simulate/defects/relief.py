"""Raise, shade and colour the ground, for all objects that lie on it."""

import cv2
import numpy as np
from numpy.typing import NDArray

from urbanpipe.simulate.defects.spot import Spot
from urbanpipe.simulate.pipe import FORM_PER_RADIUS, FORM_ROWS, TURN, Patch
from urbanpipe.simulate.surface import Colour, FloatMap, value_noise

_NEAREST = np.float32(0.12)
"""Minimum distance of objects from the axis, radii."""

FEWEST = 3
"""Minimum number of columns of a window; smaller ones, cut off at the end of the pipe, have no slopes."""


def mix(colour: Colour, shade: NDArray[np.floating]) -> FloatMap:
    """Return a colour at every brightness of `shade`, (rows, columns, 3)."""
    return shade[..., None] * np.asarray(colour, np.float32)


def varied(spot: Spot, colour: Colour, spread: float = 0.12) -> Colour:
    """Return a colour close to the given one."""
    tint = np.asarray(colour) * spot.rng.uniform(1 - spread, 1 + spread) + spot.rng.normal(0, 0.008, 3)
    red, green, blue = (float(value) for value in np.clip(tint, 0.03, 0.95))
    return red, green, blue


def finer(coarse: Patch, values: FloatMap, fine: Patch) -> FloatMap:
    """Resample values on a window of the form, (rows, columns), to a window of the colour around the same place."""
    row = (fine.around - coarse.around[0, 0]) * np.float32(FORM_ROWS / TURN)
    column = (fine.s - coarse.s[0, 0]) * np.float32(FORM_PER_RADIUS)
    rows, columns = (np.ascontiguousarray(np.broadcast_to(axis, fine.shape)) for axis in (row, column))
    made: FloatMap = cv2.remap(values, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return made


def raised(spot: Spot, form: Patch, surface: FloatMap, least: float) -> FloatMap:
    """Raise the form to `surface`; return by how much, radii.

    Points that rise by at least `least` above the water are claimed.
    """
    old = form.values.astype(np.float32)
    rise = np.maximum(old - np.maximum(surface, _NEAREST), 0).astype(np.float32)
    form.put(old - rise)
    seen = rise > least
    if spot.pipe.water is not None:
        seen &= -(old - rise) * np.cos(form.clock) < spot.pipe.water.level + 0.02
    spot.pipe.claim(form, seen, spot.owner)
    made: FloatMap = rise
    return made


def depth_of_water(spot: Spot) -> float:
    """Return the water level over the invert, radii."""
    invert = spot.pipe.wall_at(spot.s, np.pi)
    return 0.0 if spot.pipe.water is None else max(0.0, invert - spot.pipe.water.level)


def shadow(spot: Spot, paint: Patch, cover: FloatMap, reach: float, strength: float) -> None:
    """Darken the ground around the area that `cover` (0..1) shows; `reach` is in radii."""
    near = cv2.GaussianBlur(cover, (0, 0), max(1.0, reach * paint.pitch))
    spot.pipe.paint(paint, (0.03, 0.03, 0.03), np.clip(np.float32(strength) * 1.6 * near, 0, strength))


def sampled(spot: Spot, across: FloatMap, along: FloatMap, pitch: tuple[float, float]) -> FloatMap:
    """Return noise 0..1 on the surface of a body; `pitch` is the distance of the random values, radii."""
    tile = value_noise(spot.rng, (128, 128), 4.0)
    column, row = along * np.float32(4 / pitch[1]) + 64, across * np.float32(4 / pitch[0]) + 64
    made: FloatMap = cv2.remap(
        tile, column.astype(np.float32), row.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    return made
