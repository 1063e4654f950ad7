"""A body that lies on the invert: its shape for ray casting, and its colour."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from urbanpipe.simulate.defects.relief import FEWEST, finer, raised, shadow
from urbanpipe.simulate.defects.spot import Spot
from urbanpipe.simulate.material import lit
from urbanpipe.simulate.pipe import (
    TURN,
    Patch,
)
from urbanpipe.simulate.surface import FloatMap, soft

Inside = Callable[[FloatMap, FloatMap, FloatMap], FloatMap]
"""Depth of a point in a body, from (across, height over the floor, along), all radii; negative outside."""


Tint = Callable[[Spot, FloatMap, FloatMap, FloatMap], FloatMap]
"""Colour (rows, columns, 3) of a body at points (across, height, along), radii."""

_LEAN = 0.4
"""Slope of fronts, as a share of their height: vertical ones would fall between two columns of the form."""

_STEP = np.float32(0.02)


@dataclass(frozen=True)
class Body:
    """An object that lies on the floor.

    Attributes:
        inside: depth function; the floor is at height 0, the middle at 0 across and along.
        tint: colour function.
        reach: maximum distance of its points from the middle, radii.
        tall: maximum height, radii.
        rough: roughness of its surface, radii.
    """

    inside: Inside
    tint: Tint
    reach: float
    tall: float
    rough: float


def lay(spot: Spot, body: Body, lift: float) -> None:
    """Place a body on the invert, `lift` radii above the surface below."""
    clock = np.pi + 0.6 * (spot.clock % TURN - np.pi)
    floor = np.float32(spot.pipe.wall_at(spot.s, clock) - lift)
    angle = min(1.4, 1.15 * body.reach / max(0.3, float(floor) - 0.6 * body.tall))
    form = spot.pipe.of_form(spot.s, clock, body.reach + 0.06, angle)
    paint = spot.pipe.of_colour(spot.s, clock, body.reach + 0.06, angle)
    if min(form.shape) < FEWEST or min(paint.shape) < FEWEST:
        return
    surface = _surface(form, body, floor) - np.float32(body.rough) * (form.noise(spot.rng, 0.06) - 0.5)
    surface = np.minimum(surface, form.values.astype(np.float32) + np.float32(0.5))
    rise = raised(spot, form, surface, 0.03)
    height = finer(form, rise, paint)
    away = finer(form, form.values.astype(np.float32), paint)
    cover = soft(height, 0.012, 0.025)
    shadow(spot, paint, cover, 0.06, 0.85)
    across, up = away * np.sin(paint.around), floor - away * np.cos(paint.around)
    along = (paint.along - np.float32(_LEAN) * (up - 0.5 * body.tall)).astype(np.float32)
    foot = 0.45 + 0.55 * soft(height, 0.0, 0.45 * body.tall)
    shade = foot * _relief(cv2.GaussianBlur(height, (0, 0), 1.5))
    spot.pipe.paint(paint, body.tint(spot, across, up, along) * shade[..., None], cover)


def _relief(height: FloatMap) -> FloatMap:
    """Return the brightness of the sides of a body: slopes that face the camera are lit, one flank more."""
    flank = np.gradient(height, axis=0).astype(np.float32)
    return lit(height, 3.0) * np.clip(1 + 3 * flank, 0.65, 1.3)


def _surface(form: Patch, body: Body, floor: np.float32) -> FloatMap:
    """Return the distance from the axis at which rays first meet the body, radii; 9 where they miss it."""
    sin, cos = np.sin(form.around), np.cos(form.around)
    found = np.full(form.shape, 9, np.float32)
    before = np.full(form.shape, -1, np.float32)
    along, deepest = np.broadcast_to(form.along, form.shape), float(form.values.max()) + 0.02
    for out in np.arange(max(0.08, float(floor) - body.tall - 0.05), deepest, _STEP):
        up = floor - np.float32(out) * cos
        depth = body.inside(np.float32(out) * sin, up, along - np.float32(_LEAN) * (up - 0.5 * body.tall))
        new = (depth > 0) & (found > 8)
        share = depth / np.maximum(depth - before, 1e-4)
        found = np.where(new, np.float32(out) - _STEP * np.clip(share, 0, 1), found)
        before = depth
    return found
