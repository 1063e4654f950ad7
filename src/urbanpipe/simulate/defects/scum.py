"""Scum that floats on the water: foam, grease, litter; and harmless glints."""

from dataclasses import replace

import cv2
import numpy as np

from urbanpipe.simulate.defects.spot import Spot
from urbanpipe.simulate.pipe import RAFT_PER_RADIUS, Raft, Strand, Water
from urbanpipe.simulate.surface import Colour, FloatMap, fractal, soft


def scum(spot: Spot) -> None:
    """Draw floating scum (FZ): foam, grease and litter that float and drift on the water."""
    rng, pipe = spot.rng, spot.pipe
    water = _deep_enough(spot)
    drift = float(np.sign(water.drift) or 1.0) * float(np.clip(abs(water.drift), 0.05, 0.15))
    pipe.water = replace(water, drift=drift)
    half = float(rng.uniform(2.0, 3.5))
    tile = _scum_tile(spot, 2 * half, _half_width(spot))
    pipe.rafts.append(Raft(spot.s - half, spot.s + half, tile, drift, spot.owner))


def _half_width(spot: Spot) -> float:
    """Return half the width of the water in a round pipe, radii."""
    if spot.pipe.water is None:
        return 0.0
    depth = min(1.0, spot.pipe.wall_at(spot.s, np.pi) - spot.pipe.water.level)
    return float(np.sqrt(max(0.0, 2 * depth - depth**2)))


def _deep_enough(spot: Spot) -> Water:
    """Return the water of the pipe, raised if it is too shallow for floating objects."""
    rng, invert = spot.rng, spot.pipe.wall_at(spot.s, np.pi)
    highest = invert - float(rng.uniform(0.16, 0.42))
    if spot.pipe.water is None:
        return Water(highest, spot.look.water_colour, 0.1, float(rng.uniform(-0.3, 0.3)), 0.05)
    if spot.pipe.water.level > invert - 0.12:
        return replace(spot.pipe.water, level=highest)
    return spot.pipe.water


_SCUMS: tuple[tuple[Colour, float], ...] = (
    ((0.86, 0.84, 0.76), 2.0),
    ((0.72, 0.64, 0.48), 1.7),
    ((0.66, 0.66, 0.62), 1.0),
    ((0.82, 0.74, 0.50), 0.4),
    ((0.46, 0.38, 0.28), 1.2),
)
"""Colour and bubbles per column of white and brown foam, grey skin, yellow grease, brown scum."""


def _scum_tile(spot: Spot, length: float, half_width: float) -> FloatMap:
    """Return the colours of a raft, (rows, columns, 4): islands, bubbles and litter.

    The tile repeats along the pipe.
    """
    rng, columns = spot.rng, int(min(length, 6.0) * RAFT_PER_RADIUS)
    shape, wide = (columns, 2 * RAFT_PER_RADIUS), max(8, int(half_width * RAFT_PER_RADIUS))
    islands = fractal(rng, shape, (float(rng.uniform(20, 44)), float(rng.uniform(14, 28))), 4).T
    fine = fractal(rng, shape, 5, 2).T
    seen = islands[RAFT_PER_RADIUS - wide : RAFT_PER_RADIUS + wide]
    edge = np.quantile(seen, 1 - np.clip(spot.between(0.25, 0.8), 0.1, 0.85))
    skin = soft(islands + 0.10 * (fine - 0.5), float(edge), 0.03)
    colour, bubbly = _SCUMS[int(rng.integers(len(_SCUMS)))]
    thick = soft(islands, float(edge), 0.2)
    shade = (0.55 + 0.35 * thick + 0.6 * (fine - 0.5)) * _embossed(islands + 0.15 * fine)
    tile = np.empty((*skin.shape, 4), np.float32)
    tile[..., :3] = np.clip(shade[..., None] * np.asarray(colour, np.float32) * rng.uniform(0.85, 1.15), 0, 1)
    tile[..., 3] = np.clip(skin * rng.uniform(0.8, 1.0), 0, 1)
    _blow_bubbles(rng, tile, skin, int(bubbly * rng.uniform(0.6, 1.4) * columns))
    for _ in range(int(rng.poisson(1 + 5 * spot.severity))):
        _litter(rng, tile)
    return tile


def _embossed(height: FloatMap) -> FloatMap:
    """Return the brightness of a relief, lit from one side in both directions."""
    rise = np.gradient(height, axis=0) - np.gradient(height, axis=1)
    made: FloatMap = np.clip(1 + 5 * rise, 0.6, 1.4).astype(np.float32)
    return made


def _stamp(tile: FloatMap, place: tuple[float, float], reach: float) -> tuple[FloatMap, FloatMap, FloatMap]:
    """Return a window on the tile around `place` (row, column).

    The offsets of its pixels from the place, down and right, are returned too.
    """
    top, left = max(0, int(place[0] - reach)), max(0, int(place[1] - reach))
    part = tile[top : int(place[0] + reach) + 2, left : int(place[1] + reach) + 2]
    down = np.arange(top, top + part.shape[0], dtype=np.float32)[:, None] - np.float32(place[0])
    right = np.arange(left, left + part.shape[1], dtype=np.float32)[None] - np.float32(place[1])
    return part, down, right


def _blow_bubbles(rng: np.random.Generator, tile: FloatMap, skin: FloatMap, count: int) -> None:
    """Draw bubbles with bright rims and dark middles, on the skin and around it."""
    near = cv2.GaussianBlur(skin, (0, 0), 4)
    for _ in range(count):
        place = float(rng.uniform(0, tile.shape[0] - 1)), float(rng.uniform(0, tile.shape[1] - 1))
        if near[int(place[0]), int(place[1])] < 0.2:
            continue
        size, pale = float(np.clip(rng.lognormal(0.3, 0.5), 0.7, 4.5)), float(rng.uniform(0.7, 1.0))
        part, down, right = _stamp(tile, place, size + 2)
        away = np.hypot(down, right)
        rim = np.exp(-(((away - size) / 0.8) ** 2))[..., None]
        middle = 0.45 * np.clip(size - away, 0, 1)[..., None]
        part += (np.array([0.3, 0.3, 0.27, 0.7], np.float32) - part) * middle
        gleam = 0.75 + 0.25 * np.clip(-(down + right) / (size + 1), -1, 1)[..., None]
        part += (np.array([0.95 * pale, 0.95 * pale, 0.9 * pale, 1.0], np.float32) * gleam - part) * rim * 0.85


_LITTER: tuple[tuple[float, float, float, tuple[Colour, ...]], ...] = (
    (11, 3.6, 0.25, ((0.30, 0.55, 0.36), (0.75, 0.82, 0.85), (0.30, 0.45, 0.70))),
    (4, 1.8, 0.40, ((0.45, 0.33, 0.12), (0.30, 0.18, 0.09), (0.36, 0.42, 0.15))),
    (14, 1.1, 0.20, ((0.35, 0.26, 0.16), (0.50, 0.42, 0.30))),
    (7, 5, 0.15, ((0.80, 0.80, 0.80), (0.60, 0.24, 0.20), (0.20, 0.22, 0.24))),
)
"""Half length and half width in pixels, share, and colours of bottles, leaves, sticks and scraps of plastic."""


def _litter(rng: np.random.Generator, tile: FloatMap) -> None:
    """Draw a bottle, a leaf, a stick or a scrap of plastic on the water."""
    long, wide, _, colours = _LITTER[int(rng.choice(len(_LITTER), p=[share for _, _, share, _ in _LITTER]))]
    long, angle = long * float(rng.uniform(0.7, 1.2)), float(rng.uniform(0, np.pi))
    place = float(rng.uniform(24, tile.shape[0] - 24)), float(rng.uniform(16, tile.shape[1] - 16))
    part, down, right = _stamp(tile, place, long + 4)
    along = right * np.float32(np.cos(angle)) + down * np.float32(np.sin(angle))
    across = down * np.float32(np.cos(angle)) - right * np.float32(np.sin(angle))
    neck = 1 - 0.5 * soft(along / np.float32(long), 0.4, 0.3)
    edge = np.minimum(wide * neck - np.abs(across), long - np.abs(along))
    colour = np.asarray(colours[rng.integers(len(colours))], np.float32)
    round_ = 0.65 + 0.7 * np.clip(1 - np.abs(across / wide + 0.3), 0, 1)[..., None]
    dark = 0.6 * np.clip(edge + 2.5, 0, 1)[..., None]
    part += (np.array([0.05, 0.05, 0.05, 1.0], np.float32) - part) * dark
    cover = np.clip(edge + 0.5, 0, 1)
    part[..., :3] += (np.clip(colour * round_, 0, 1) - part[..., :3]) * cover[..., None]
    part[..., 3] = np.maximum(part[..., 3], cover)


def like_glints(spot: Spot) -> None:
    """Draw light on the water: livelier ripples, and a few glints and bubbles; nothing in a dry pipe."""
    rng, pipe = spot.rng, spot.pipe
    if pipe.water is None:
        return
    pipe.water = replace(pipe.water, ripple=min(0.2, 1.5 * pipe.water.ripple))
    wide = 0.8 * _half_width(spot)
    for _ in range(int(rng.integers(3, 10))):
        long = float(rng.uniform(0.04, 0.1))
        x = rng.uniform(-wide, wide) + np.linspace(0, long, 4)
        s = np.full(4, np.clip(spot.s + rng.uniform(-0.7, 0.7), 0, pipe.length))
        points = np.stack([x, np.full(4, pipe.water.level - 0.004), s], axis=1).astype(np.float32)
        pale = float(rng.uniform(0.6, 0.95))
        pipe.strands.append(Strand(points, float(rng.uniform(0.003, 0.008)), (pale, pale, 0.96 * pale), 0.6))
