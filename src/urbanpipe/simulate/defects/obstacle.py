"""Obstacles on the invert: stones, lumps of concrete, bricks, a plank, a bottle, a bag."""

import cv2
import numpy as np

from urbanpipe.simulate.defects.body import Body, lay
from urbanpipe.simulate.defects.facets import box, rock, rocky, solid
from urbanpipe.simulate.defects.relief import depth_of_water, mix, sampled, varied
from urbanpipe.simulate.defects.spot import Spot
from urbanpipe.simulate.surface import FloatMap, fractal, soft


def obstacle(spot: Spot) -> None:
    """Draw an obstacle (ZW) on the invert.

    It is made of stones or bricks, or is a bottle, a plank, a bag or a lump of concrete.
    """
    size = spot.between(0.48, 0.92)
    lift = depth_of_water(spot)
    make = (_stone, _bricks, _bottle, _plank, _bag, _lump)[spot.rng.choice(6, p=(0.22, 0.2, 0.12, 0.13, 0.17, 0.16))]
    lay(spot, make(spot, size), 0.8 * lift)


def _stone(spot: Spot, size: float) -> Body:
    """Return one big stone or a few together."""
    colour = ((0.58, 0.56, 0.52), (0.50, 0.44, 0.36), (0.66, 0.63, 0.56), (0.40, 0.41, 0.42))[spot.rng.integers(4)]
    flat = min(float(spot.rng.uniform(0.65, 1.0)), 0.62 / size)
    parts = [rock(spot, 0.5 * size, (0.0, 0.0), flat)]
    for _ in range(int(spot.rng.integers(0, 3))):
        place = (
            float(spot.rng.choice((-1, 1)) * size * spot.rng.uniform(0.5, 0.7)),
            float(spot.rng.uniform(-0.3, 0.3) * size),
        )
        parts.append(rock(spot, size * float(spot.rng.uniform(0.18, 0.3)), place, flat))
    tint = rocky(spot, parts, varied(spot, colour), (0.05, 0.35))
    return Body(solid(parts), tint, 1.1 * size, 0.9 * size, 0.02)


def _lump(spot: Spot, size: float) -> Body:
    """Return a lump of broken old concrete: grey, rough, with gravel in it."""
    parts = [rock(spot, 0.55 * size, (0.0, 0.0), float(spot.rng.uniform(0.5, 0.8)))]
    colour = ((0.60, 0.60, 0.58), (0.52, 0.50, 0.46), (0.68, 0.66, 0.60))[spot.rng.integers(3)]
    tint = rocky(spot, parts, varied(spot, colour), (0.06, 0.4))
    return Body(solid(parts), tint, 0.9 * size, 0.8 * size, 0.05)


def _bricks(spot: Spot, size: float) -> Body:
    """Return one to four bricks or blocks, tumbled over each other."""
    rng = spot.rng
    long = max(0.21, 0.5 * size * float(rng.uniform(0.7, 0.95)))
    sides = long, 0.36 * long * float(rng.uniform(0.9, 1.3)), 0.5 * long
    parts = [box(spot, sides, (0.0, 0.9 * sides[1], 0.0), 0.06)]
    for number in range(int(rng.integers(1, 4) + round(spot.severity))):
        if number == 1:
            place = 0.3 * float(rng.normal(0, long)), 2.7 * sides[1], 0.2 * float(rng.normal(0, long))
        else:
            across = float(rng.choice((-1, 1)) * long * rng.uniform(0.9, 1.8))
            bank = 1 - np.sqrt(max(0.0, 1 - across**2))
            place = across, bank + 0.8 * sides[1], 0.4 * float(rng.normal(0, long))
        parts.append(box(spot, sides, place, 0.08))
    colour = ((0.54, 0.31, 0.23), (0.50, 0.36, 0.28), (0.62, 0.60, 0.56), (0.70, 0.42, 0.28))[rng.integers(4)]
    tint = rocky(spot, parts, varied(spot, colour), (0.05, 0.25))
    return Body(solid(parts), tint, 2.3 * long + 0.2, sides[1] * 4.5, 0.0)


def _plank(spot: Spot, size: float) -> Body:
    """Return a plank or a beam, slanting over the invert."""
    rng = spot.rng
    long, thick = 0.95 * size, float(rng.uniform(0.05, 0.09))
    turn = float(rng.uniform(-1.35, 1.35))
    axis = np.array([np.sin(turn), 0, np.cos(turn)], np.float32)
    side = np.array([np.cos(turn), 0, -np.sin(turn)], np.float32)
    up = np.array([0, 1, 0], np.float32)
    wide = float(rng.uniform(0.09, 0.16))
    lift = 0.10 + thick
    planes = [(axis, long), (-axis, long), (side, wide), (-side, wide), (up, thick + lift), (-up, 0.3)]
    colour = varied(
        spot, ((0.62, 0.46, 0.28), (0.50, 0.42, 0.34), (0.36, 0.26, 0.17), (0.70, 0.60, 0.42))[rng.integers(4)]
    )

    def tint(spot: Spot, across: FloatMap, up: FloatMap, along: FloatMap) -> FloatMap:
        q, p = across * axis[0] + along * axis[2], across * side[0] + along * side[2] + up
        grain = sampled(spot, p, q, (0.018, 0.5))
        return mix(colour, 0.55 + 0.6 * grain + 0.4 * (sampled(spot, p, q, (0.1, 0.25)) - 0.4))

    return Body(solid([planes]), tint, 1.05 * long, 2 * thick + lift, 0.006)


def _bottle(spot: Spot, size: float) -> Body:
    """Return a bottle or a can: round, smooth, with a label and a highlight along it."""
    rng = spot.rng
    long = 0.5 * size + 0.08
    thick = float(rng.uniform(0.32, 0.42)) * long + 0.02
    turn = float(rng.uniform(1.05, 1.6) * rng.choice((-1, 1)))
    axis, side = (np.sin(turn), np.cos(turn)), (np.cos(turn), -np.sin(turn))
    neck = float(rng.uniform(0.3, 0.45))

    def inside(across: FloatMap, up: FloatMap, along: FloatMap) -> FloatMap:
        q = (across * axis[0] + along * axis[1]) / np.float32(long)
        p = across * side[0] + along * side[1]
        width = thick * (1 - (1 - neck) * soft(q, 0.35, 0.3))
        made: FloatMap = np.where(np.abs(q) < 1, width - np.hypot(p, up - thick), -0.05 - np.abs(np.abs(q) - 1)).astype(
            np.float32
        )
        return made

    glass = varied(
        spot,
        ((0.16, 0.42, 0.22), (0.80, 0.84, 0.86), (0.20, 0.38, 0.66), (0.60, 0.24, 0.18), (0.55, 0.72, 0.62))[
            rng.integers(5)
        ],
    )
    label = ((0.85, 0.83, 0.78), (0.75, 0.15, 0.12), (0.15, 0.30, 0.60), (0.85, 0.70, 0.20))[rng.integers(4)]

    def tint(spot: Spot, across: FloatMap, up: FloatMap, along: FloatMap) -> FloatMap:
        q = (across * axis[0] + along * axis[1]) / np.float32(long)
        p = across * side[0] + along * side[1]
        paper = soft(0.32 - np.abs(q + 0.2), 0.0, 0.04)[..., None]
        skin = mix(glass, 0.75 + 0.5 * sampled(spot, p + up, q, (0.08, 0.3)))
        skin = skin + (np.asarray(label, np.float32) - skin) * paper
        cap = soft(q, 0.84, 0.03)[..., None]
        skin = skin + (np.asarray(label, np.float32)[::-1] - skin) * cap
        shine = np.exp(-(((p + 0.25 * thick) / (0.16 * thick)) ** 2)) * soft(up, thick, thick)
        made: FloatMap = np.clip(skin + 0.45 * shine[..., None], 0, 1).astype(np.float32)
        return made

    return Body(inside, tint, 1.2 * long, 2.1 * thick, 0.0)


def _bag(spot: Spot, size: float) -> Body:
    """Return a plastic bag or a cloth: a low, irregular heap with folds."""
    rng = spot.rng
    tile = fractal(rng, (96, 96), 22, 2) - np.float32(0.5)
    ridges = 1 - np.abs(2 * fractal(rng, (96, 96), 20, 1) - 1)
    tall, long = 0.42 * size, size * float(rng.uniform(0.55, 0.8))

    def inside(across: FloatMap, up: FloatMap, along: FloatMap) -> FloatMap:
        shape = np.broadcast_shapes(across.shape, up.shape, along.shape)
        column = np.broadcast_to(along * np.float32(44 / size) + 48, shape).astype(np.float32)
        row = np.broadcast_to(across * np.float32(44 / size) + 48, shape).astype(np.float32)
        lumps, folds = (
            cv2.remap(t, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for t in (tile, ridges)
        )
        round_ = 1 - (across / np.float32(0.75 * size)) ** 2 - (along / np.float32(long)) ** 2
        heap = np.sqrt(np.clip(round_ + 1.2 * lumps, 0, 1.5)) * (0.65 + 0.5 * folds**3)
        made: FloatMap = (np.float32(tall) * heap - up - 0.01).astype(np.float32)
        return made

    colours = (
        (0.82, 0.82, 0.80),
        (0.20, 0.35, 0.62),
        (0.68, 0.16, 0.14),
        (0.10, 0.10, 0.11),
        (0.48, 0.44, 0.38),
        (0.62, 0.70, 0.40),
    )
    colour = varied(spot, colours[rng.integers(len(colours))])

    def tint(spot: Spot, across: FloatMap, up: FloatMap, along: FloatMap) -> FloatMap:
        slant = across + 0.5 * along
        folds = 1 - np.abs(2 * sampled(spot, slant, along + 0.7 * up, (0.12, 0.3)) - 1)
        cross = 1 - np.abs(2 * sampled(spot, across - along, slant + up, (0.16, 0.3)) - 1)
        shade = 0.45 + 0.4 * folds**2 + 0.4 * cross**3
        dirt = soft(sampled(spot, across, along + up, (0.2, 0.2)), 0.6, 0.25)[..., None] * 0.6
        skin = mix(colour, shade)
        return skin + (np.float32(0.8) * shade[..., None] * np.asarray((0.36, 0.29, 0.20), np.float32) - skin) * dirt

    return Body(inside, tint, 1.05 * size, 1.5 * tall, 0.0)
