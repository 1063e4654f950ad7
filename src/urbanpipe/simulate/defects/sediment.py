"""Beds of sediment on the invert, and harmless dirt, leaves and gravel that look like them."""

import cv2
import numpy as np

from urbanpipe.simulate.defects.relief import FEWEST, depth_of_water, finer, mix, raised, sampled, shadow, varied
from urbanpipe.simulate.defects.spot import Spot
from urbanpipe.simulate.material import lit
from urbanpipe.simulate.pipe import Patch
from urbanpipe.simulate.surface import Colour, FloatMap, soft

_SOILS: tuple[tuple[Colour, float, float], ...] = (
    ((0.34, 0.25, 0.16), 0.03, 0.5),
    ((0.30, 0.28, 0.25), 0.04, 0.5),
    ((0.17, 0.15, 0.13), 0.03, 0.6),
    ((0.56, 0.46, 0.31), 0.025, 0.4),
    ((0.46, 0.42, 0.37), 0.08, 1.0),
    ((0.40, 0.33, 0.24), 0.06, 0.9),
)
"""Colour, grain size in radii and relief of silt, sand and gravel."""


def sediment(spot: Spot) -> None:
    """Draw a deposit (CJ): a bed of silt, sand or gravel on the invert."""
    rng, half = spot.rng, float(spot.rng.uniform(1.0, 2.5))
    form = spot.pipe.of_form(spot.s, np.pi, half, 1.5)
    if min(form.shape) < FEWEST:
        return
    soil, grain, relief = _SOILS[rng.integers(len(_SOILS))]
    rise = raised(spot, form, _bed(spot, form, half, grain), 0.03)
    paint = spot.pipe.of_colour(spot.s, np.pi, half, 1.5)
    height = finer(form, rise, paint)
    away = finer(form, form.values.astype(np.float32), paint)
    _paint_bed(spot, paint, (height, away), varied(spot, soil, 0.25), (grain, relief))
    _scatter(spot, half, int(rng.poisson(4 + 60 * grain + 8 * spot.severity)), varied(spot, soil))


def _bed(spot: Spot, form: Patch, half: float, grain: float) -> FloatMap:
    """Return the distance from the axis to the top of a bed, radii."""
    rng = spot.rng
    invert = spot.pipe.wall_at(spot.s, np.pi)
    height = min(max(spot.between(0.17, 0.68), depth_of_water(spot) + 0.07), invert - 0.25)
    away = form.clock - np.float32(np.pi)
    across = np.clip(np.float32(invert - height) * np.tan(away), -1, 1)
    ends = np.minimum(form.along + half, half - form.along) + 0.5 * (form.noise(rng, 0.35) - 0.5)
    low = soft(ends, 0.0, float(rng.uniform(0.35, 0.9)))
    bend = rng.uniform(-0.3, 0.3) + 0.2 * np.sin(form.along * rng.uniform(0.8, 2.0) + rng.uniform(0, 6))
    channel = np.exp(-(((across - bend) / np.float32(rng.uniform(0.12, 0.3))) ** 2))
    waves = 0.07 * (form.noise(rng, (0.7, 0.8)) - 0.5) + 0.06 * (form.noise(rng, 0.22) - 0.5)
    waves += np.float32(0.3 * grain) * (form.noise(rng, max(grain, 0.035)) - 0.5)
    waves += np.float32(rng.uniform(-0.12, 0.12)) * across
    waves -= np.float32(rng.choice((0.0, 0.5)) * rng.uniform(0.04, 0.16)) * channel
    top = np.float32(invert) - np.float32(height) * low - waves * low
    return np.where(low > 0, top / np.maximum(np.cos(away), 0.05), 9).astype(np.float32)


def _paint_bed(
    spot: Spot, paint: Patch, ground: tuple[FloatMap, FloatMap], soil: Colour, grains: tuple[float, float]
) -> None:
    """Paint the soil of a bed.

    `ground` holds its rise and its distance from the axis; `grains` the size of the grains in radii and their relief.
    """
    rng, (height, away), (grain, relief) = spot.rng, ground, grains
    x, skin = away * np.sin(paint.clock), paint.along + away * np.cos(paint.clock)
    fine = 0.7 * sampled(spot, x, skin, (grain, grain)) + 0.3 * sampled(spot, x, skin, (0.02, 0.02))
    broad = sampled(spot, x, skin, (0.3, 0.4))
    shade = (0.55 + 0.6 * broad + 0.7 * (fine - 0.5)) * lit(fine, 2.2 * relief)
    shade *= lit(cv2.GaussianBlur(height, (0, 0), 2), 5.0)
    cover = soft(height + 0.03 * (fine - 0.5), 0.018, 0.02)
    shadow(spot, paint, cover, 0.07, 0.5)
    spot.pipe.paint(paint, mix(soil, shade), cover)
    other = varied(spot, soil, 0.5)
    spot.pipe.paint(paint, mix(other, 0.7 + 0.7 * fine), 0.6 * cover * soft(paint.noise(rng, (0.2, 0.3)), 0.62, 0.2))
    wet = soft(broad + 0.25 * (paint.noise(rng, 0.12) - 0.5), 0.2, -0.12)
    spot.pipe.paint(paint, np.asarray(soil) * 0.45, np.float32(0.75) * wet * cover)
    shine = wet * soft(sampled(spot, x, skin, (0.05, 0.08)), 0.72, 0.15)
    spot.pipe.paint(paint, (0.85, 0.87, 0.85), np.float32(rng.uniform(0.2, 0.5)) * shine * cover)


def _scatter(spot: Spot, half: float, count: int, soil: Colour) -> None:
    """Draw stones and scraps that protrude from a bed."""
    rng = spot.rng
    for _ in range(count):
        s, clock = spot.s + half * rng.uniform(-0.75, 0.75), np.pi + rng.normal(0, 0.3)
        size = float(rng.choice((0.03, 0.05, 0.09), p=(0.5, 0.35, 0.15)) * rng.uniform(0.7, 1.3))
        tone = ((0.56, 0.54, 0.50), soil, (0.12, 0.11, 0.10), (0.72, 0.72, 0.70), (0.45, 0.27, 0.18))[rng.integers(5)]
        slope = spot.pipe.wall_at(float(s) - size, float(clock)) - spot.pipe.wall_at(float(s) + size, float(clock))
        if abs(slope) < 0.6 * size:
            _pebble(spot, (float(s), float(clock)), size, varied(spot, tone))


def _pebble(spot: Spot, place: tuple[float, float], size: float, colour: Colour, flat: float = 0.7) -> None:
    """Draw a small stone of half length `size` at `place` (s, clock), with `flat` of it above the ground."""
    rng, (s, clock) = spot.rng, place
    away = max(0.2, spot.pipe.wall_at(s, clock))
    wide = size * float(rng.uniform(0.7, 1.5))
    reach = 1.5 * max(size, wide)
    turn = rng.uniform(0, np.pi)
    rings = []
    for patch in (spot.pipe.of_form(s, clock, reach, reach / away), spot.pipe.of_colour(s, clock, reach, reach / away)):
        if min(patch.shape) < FEWEST:
            return
        a, b = patch.along, patch.around * np.float32(away)
        u, v = a * np.cos(turn) + b * np.sin(turn), b * np.cos(turn) - a * np.sin(turn)
        rings.append(((np.abs(u) / size) ** 2.5 + (np.abs(v) / wide) ** 2.5).astype(np.float32))
        if len(rings) == 1:
            form = patch
    dome = np.sqrt(np.maximum(1 - rings[0], 0))
    form.put(form.values.astype(np.float32) - np.float32(flat * size) * dome)
    spot.pipe.paint(patch, (0.03, 0.03, 0.03), 0.6 * (1 - soft(rings[1], 0.9, 1.2)))
    bulge = np.sqrt(np.maximum(1 - rings[1], 0)).astype(np.float32)
    shade = lit(bulge, 1.2) * (0.75 + 0.35 * patch.noise(rng, 0.03))
    spot.pipe.paint(patch, mix(colour, shade), 1 - soft(rings[1], 0.8, 0.25))


def like_thin_dirt(spot: Spot) -> None:
    """Draw a film of silt on the lower wall: colour without height."""
    rng, half = spot.rng, float(spot.rng.uniform(0.5, 1.6))
    paint = spot.pipe.of_colour(spot.s, np.pi, half, 1.3)
    if min(paint.shape) == 0:
        return
    reach = spot.between(0.3, 0.9) + 0.6 * depth_of_water(spot)
    ends = np.minimum(paint.along + half, half - paint.along)
    film = (1 - np.abs(paint.around) / np.float32(reach)) + 0.7 * (_two_scales(paint, rng) - 0.5)
    cover = soft(film, 0.1, 0.5) * soft(ends + 0.4 * (paint.noise(rng, 0.2) - 0.5), 0.05, 0.4)
    colour = varied(spot, ((0.30, 0.24, 0.17), (0.20, 0.18, 0.15), (0.46, 0.38, 0.26))[rng.integers(3)])
    spot.pipe.paint(paint, colour, np.float32(rng.uniform(0.35, 0.75)) * cover)


def _two_scales(paint: Patch, rng: np.random.Generator) -> FloatMap:
    """Return noise on two scales over a window."""
    return (0.65 * paint.noise(rng, 0.35) + 0.35 * paint.noise(rng, 0.08)).astype(np.float32)


def like_leaves(spot: Spot) -> None:
    """Draw a few small leaves or grains of gravel, harmless, scattered over the lower wall."""
    rng = spot.rng
    grains = rng.random() < 0.4
    for _ in range(int(rng.integers(2, 9))):
        side = rng.choice((-1, 1)) * (np.sqrt(2 * depth_of_water(spot)) + abs(rng.normal(0.05, 0.22)))
        place = float(spot.s + rng.uniform(-0.6, 0.6)), float(np.pi + side)
        if grains:
            _pebble(spot, place, float(rng.uniform(0.012, 0.022)), varied(spot, (0.5, 0.48, 0.44), 0.3))
        else:
            colour = ((0.45, 0.33, 0.12), (0.30, 0.17, 0.08), (0.28, 0.34, 0.12))[rng.integers(3)]
            _pebble(spot, place, float(rng.uniform(0.02, 0.045)), varied(spot, colour, 0.25), 0.05)
