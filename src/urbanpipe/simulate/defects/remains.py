"""Remains of walls built across the pipe, of bricks, concrete or sandbags."""

import numpy as np

from urbanpipe.simulate.defects.relief import FEWEST, depth_of_water, finer, mix, raised, sampled, shadow, varied
from urbanpipe.simulate.defects.spot import Spot
from urbanpipe.simulate.pipe import Patch
from urbanpipe.simulate.surface import FloatMap, fractal, soft


def wall_remains(spot: Spot) -> None:
    """Draw a residual wall or dam root (CQ).

    It is what remains of a wall of bricks, concrete or sandbags built across the pipe.
    """
    rng = spot.rng
    thick, lean = float(rng.uniform(0.15, 0.4)), float(rng.uniform(0.18, 0.28))
    half = 0.5 * thick + lean
    form = spot.pipe.of_form(spot.s, np.pi, half)
    paint = spot.pipe.of_colour(spot.s, np.pi, half)
    if min(form.shape) < FEWEST or min(paint.shape) < FEWEST:
        return
    kind, stuff = int(rng.choice(3, p=(0.5, 0.3, 0.2))), int(rng.choice(3, p=(0.5, 0.3, 0.2)))
    course = float(rng.uniform(0.10, 0.17)) * (1.5 if stuff == 2 else 1.0)
    front = np.clip((form.along + half + 0.03 * (form.noise(rng, 0.1) - 0.5)) / lean, 0, 1)
    back = np.clip((half - form.along) / (0.4 * lean), 0, 1)
    surface = (_low_wall, _stumps, _ring)[kind](spot, form, np.minimum(front, back).astype(np.float32), course)
    uneven = (0.02, 0.06, 0.05)[stuff] * (form.noise(rng, 0.07) - 0.5)
    rise = raised(spot, form, (surface + uneven).astype(np.float32), 0.025)
    height = finer(form, rise, paint)
    away = finer(form, form.values.astype(np.float32), paint)
    x, y = away * np.sin(paint.clock), -away * np.cos(paint.clock)
    up = 1.3 - y + np.maximum(paint.along + np.float32(half - lean), 0)
    skin = (_masonry, _cast, _sacks)[stuff](spot, x, up if kind != 2 else height + 0.3 * paint.along, course)
    cover = soft(height + 0.03 * (paint.noise(rng, 0.05) - 0.5), 0.012, 0.02)
    shadow(spot, paint, cover, 0.05, 0.6)
    grime = 0.65 + 0.35 * soft(height + 0.1 * (paint.noise(rng, 0.15) - 0.5), 0.0, 0.2)
    spot.pipe.paint(paint, skin * grime[..., None], cover)


def _low_wall(spot: Spot, form: Patch, ramp: FloatMap, course: float) -> FloatMap:
    """Return the distance to the remains of the lower part of a wall.

    `ramp` is its height over the thickness, 0..1.
    """
    invert = spot.pipe.wall_at(spot.s, np.pi)
    height = max(spot.between(0.28, 0.72), depth_of_water(spot) + 0.12)
    away = form.clock - np.float32(np.pi)
    cos = np.maximum(np.cos(away), 0.02)
    steps = fractal(spot.rng, (64, 64), 9, 2)[int(spot.rng.integers(64))] - np.float32(0.5)
    slant, grain = spot.rng.uniform(-0.2, 0.2), 0.25 * course * (form.noise(spot.rng, 0.1) - 0.5)
    top = np.full(form.shape, height, np.float32)
    least = min(0.12 + depth_of_water(spot), 0.85 * invert)
    for _ in range(3):  # the point where a ray meets the top depends on the height of the top there
        x = np.clip((invert - top) * np.sin(away) / cos, -1.0, 1.0)
        teeth = np.interp(x, np.linspace(-1, 1, 64), steps) * 0.9 * height + slant * x
        new = height + np.round(teeth / course) * course + grain
        top = 0.4 * top + 0.6 * np.clip(new, least, max(least, 0.85 * invert))
    return np.where(ramp > 0, (invert - top * ramp) / cos, 9).astype(np.float32)


def _stumps(spot: Spot, form: Patch, ramp: FloatMap, course: float) -> FloatMap:
    """Return the distance to the stumps of a wall on both sides, of different heights, on a low sill."""
    rng = spot.rng
    sill = _low_wall(Spot(spot.pipe, spot.look, rng, spot.s, spot.clock, 0.0, 0), form, ramp, course)
    right = np.sin(form.clock) > 0
    wide = np.where(right, spot.between(0.25, 0.6), spot.between(0.2, 0.55))
    tall = np.where(right, rng.uniform(-0.3, 0.7), rng.uniform(-0.3, 0.7))
    sin = np.maximum(np.abs(np.sin(form.clock)), 0.05)
    wall = form.values.astype(np.float32)
    up = wall * np.cos(form.clock)
    teeth = course * np.round(2.2 * (form.noise(rng, (0.14, 1.0)) - 0.5))
    inner = (1 - (wide + teeth) * ramp) / sin
    above = soft(up - tall, -0.05, 0.1)
    made: FloatMap = np.minimum(sill, inner + 2 * above).astype(np.float32)
    return made


def _ring(spot: Spot, form: Patch, ramp: FloatMap, course: float) -> FloatMap:
    """Return the distance to a ring of old masonry or mortar on the wall, broken in places."""
    depth = spot.between(0.12, 0.3)
    ragged = 0.35 + 0.9 * form.noise(spot.rng, (0.45, 2.0)) + 0.4 * (form.noise(spot.rng, (course, 0.3)) - 0.5)
    low = 0.5 * (1 - np.cos(form.clock))
    thick = depth * np.clip(ragged, 0, 1.4) * (0.6 + 0.7 * low)
    made: FloatMap = (form.values - thick * ramp).astype(np.float32)
    return made


def _masonry(spot: Spot, x: FloatMap, up: FloatMap, course: float) -> FloatMap:
    """Return the colour of brick courses over (x, up)."""
    row = up / np.float32(course)
    long = 2.3 * course
    column = x / np.float32(long) + 0.5 * (np.floor(row) % 2) + 40
    u, v = column - np.floor(column), row - np.floor(row)
    tones = spot.rng.uniform(0.6, 1.2, (64, 128)).astype(np.float32)
    shade = tones[np.floor(row).astype(int) % 64, np.floor(column).astype(int) % 128]
    shade = shade * (0.75 + 0.5 * sampled(spot, x, up, (0.03, 0.03)))
    brick = varied(spot, ((0.62, 0.31, 0.21), (0.58, 0.40, 0.30), (0.54, 0.53, 0.50))[spot.rng.integers(3)])
    edge = np.minimum(np.minimum(u, 1 - u) * long, np.minimum(v, 1 - v) * course)
    mortar = np.asarray(((0.66, 0.64, 0.58), (0.20, 0.18, 0.16))[spot.rng.integers(2)], np.float32)
    skin = mix(brick, shade)
    return skin + (mortar - skin) * (1 - soft(edge, 0.006, 0.012))[..., None]


def _cast(spot: Spot, x: FloatMap, up: FloatMap, course: float) -> FloatMap:
    """Return the colour of broken concrete: pale, with gravel."""
    fine, broad = sampled(spot, x, up, (0.03, 0.03)), sampled(spot, x, up, (course, course))
    grey = varied(spot, ((0.66, 0.65, 0.62), (0.56, 0.53, 0.47))[spot.rng.integers(2)])
    return mix(grey, np.clip(0.55 + 0.5 * broad + 0.7 * (fine - 0.5), 0.15, 1.5))


def _sacks(spot: Spot, x: FloatMap, up: FloatMap, course: float) -> FloatMap:
    """Return the colour of sandbags in courses: round, with dark gaps between and a woven surface."""
    row = up / np.float32(course) + 0.15 * sampled(spot, x, up, (0.3, 0.3))
    column = x / np.float32(2.6 * course) + 0.5 * (np.floor(row) % 2) + 40
    u, v = column - np.floor(column), row - np.floor(row)
    bulge = (4 * v * (1 - v)) ** 0.6 * (4 * u * (1 - u)) ** 0.3
    tones = spot.rng.uniform(0.8, 1.2, (64, 128)).astype(np.float32)
    shade = tones[np.floor(row).astype(int) % 64, np.floor(column).astype(int) % 128] * (0.15 + 0.95 * bulge)
    cloth = varied(spot, ((0.66, 0.62, 0.52), (0.50, 0.46, 0.36), (0.72, 0.72, 0.70))[spot.rng.integers(3)])
    return mix(cloth, shade * (0.85 + 0.3 * sampled(spot, x, up, (0.02, 0.02))))
