"""Corrosion and crusts of the wall, and dirt and films that look like them."""

import numpy as np

from urbanpipe.simulate.defects.pieces import aggregate
from urbanpipe.simulate.defects.spot import Spot
from urbanpipe.simulate.defects.window import Window, as_map, blurred, widened, window
from urbanpipe.simulate.material import lit
from urbanpipe.simulate.surface import Colour, FloatMap, soft

_CRUSTS: tuple[Colour, ...] = ((0.88, 0.86, 0.80), (0.86, 0.78, 0.60), (0.76, 0.70, 0.56), (0.90, 0.88, 0.86))


def corrosion(spot: Spot) -> None:
    """Draw corrosion (FS).

    The wall is eaten away to the aggregate over a broad area, in severe cases to the reinforcement.
    """
    rng = spot.rng
    long, wide = spot.between(0.9, 1.3) * rng.uniform(0.85, 1.15), spot.between(0.7, 1.3) * rng.uniform(0.85, 1.15)
    place = window(spot, 1.35 * long, 1.35 * wide)
    if place.empty:
        return
    blob = 1 - np.hypot(place.colour.along / np.float32(long), place.colour.around / np.float32(wide))
    ragged = blob + 0.7 * (place.noise(0.28) - 0.5) + 0.25 * (place.noise(0.07) - 0.5)
    area = soft(ragged, 0.08, 0.22) * soft(ragged + 0.8 * (place.noise(0.045) - 0.5), 0.0, 0.2)
    stones, colour = aggregate(place, float(rng.uniform(0.05, 0.085)))
    tints = ((0.50, 0.40, 0.24), (0.44, 0.38, 0.28), (0.56, 0.44, 0.20), (0.46, 0.34, 0.22))
    cement = np.asarray(tints[int(rng.integers(len(tints)))], np.float32)
    pits = place.noise(0.10) - 0.5 + 0.6 * (place.noise(0.035) - 0.5)
    ground = cement * (0.75 + 0.7 * pits)[..., None]
    out = stones > 0.02
    shown = np.where(out[..., None], colour * (0.72 + 0.4 * stones)[..., None], ground)
    height = as_map(0.5 * pits + stones)
    depth = np.float32(spot.between(0.03, 0.12)) * area
    place.paint(np.clip(shown * lit(height, 0.9)[..., None], 0, 1), 0.95 * area)
    place.paint(cement * np.float32(0.55), 0.35 * soft(-np.abs(area - 0.4), -0.3, 0.3))
    place.raise_by(-depth * (0.6 + 0.8 * place.noise(0.25)) + np.float32(0.035) * area * (stones + 0.6 * pits))
    if spot.severity > 0.6 and spot.look.material == "concrete":
        _reinforcement(place, soft(ragged, 0.32, 0.12))
    place.claim(area)


def _reinforcement(place: Window, bare: FloatMap) -> None:
    """Draw a grid of rusty bars where the cover is gone."""
    rng, thick = place.spot.rng, np.float32(place.spot.rng.uniform(0.024, 0.036))
    bars = np.zeros(place.colour.shape, np.float32)
    spacings = rng.uniform(0.24, 0.4), rng.uniform(0.28, 0.42)
    wobble = 0.03 * (place.noise((0.6, 0.6)) - 0.5)
    for across, spacing in zip((place.colour.along, place.colour.around), spacings, strict=True):
        place_in = np.mod(across + wobble + np.float32(rng.uniform(0, 1)), np.float32(spacing)) - np.float32(
            spacing / 2
        )
        bars = np.maximum(bars, np.clip(1 - (place_in / thick) ** 2, 0, 1))
    bars = bars * bare * soft(place.noise(0.45), 0.3, 0.1)
    round_bar = np.sqrt(bars)
    rust = np.asarray((0.62, 0.29, 0.13), np.float32) * (0.45 + 0.8 * place.noise(0.04) * round_bar)[..., None]
    stain = blurred(np.asarray(bars > 0.1, np.float32), 0.03)
    place.paint((0.40, 0.20, 0.09), 0.5 * stain)
    place.paint((0.05, 0.03, 0.02), 0.85 * blurred(widened((bars > 0.05).astype(np.float32), 0.015), 0.006))
    place.paint(np.clip(rust * lit(2 * round_bar, 0.5)[..., None], 0, 1), soft(bars, 0.02, 0.1))
    place.raise_by(np.float32(0.04) * round_bar)


def scaling(spot: Spot) -> None:
    """Draw scaling (JG): crusts of lime or grease, in pale lumps over an area or as a ring."""
    rng = spot.rng
    ring = rng.random() < 0.3
    long = spot.between(0.4, 0.95) if not ring else spot.between(0.2, 0.4)
    wide = 3.6 if ring else spot.between(0.45, 0.95) * rng.uniform(0.8, 1.3)
    place = window(spot, 1.4 * long, 1.4 * wide)
    if place.empty:
        return
    wobble = 0.5 * (place.noise(0.5) - 0.5) * long if ring else 0
    blob = 1 - np.hypot((place.colour.along + wobble) / np.float32(long), place.colour.around / np.float32(wide))
    ragged = blob + 0.8 * (place.noise(0.25) - 0.5)
    lumps = _lumps(place, ragged)
    cover = soft(lumps, 0.06, 0.08)
    tallest = spot.between(0.06, 0.25)
    crust = np.asarray(_CRUSTS[int(rng.integers(len(_CRUSTS)))], np.float32)
    layers = 0.5 + 0.5 * np.sin(lumps * np.float32(rng.uniform(20, 34)) + 3 * place.noise(0.2))
    fine = place.noise(0.03)
    tone = (0.62 + 0.35 * lumps + 0.16 * layers + 0.3 * (fine - 0.5)) * lit(5 * lumps + 0.5 * fine, 0.9)
    dirt = np.asarray((0.46, 0.38, 0.26), np.float32)
    share = (0.65 * soft(place.noise(0.18), 0.55, 0.3) * (1 - 0.6 * lumps))[..., None]
    place.paint((0.10, 0.09, 0.07), 0.55 * blurred(widened(cover, 0.02), 0.015))
    place.paint(np.clip((crust + (dirt - crust) * share) * tone[..., None], 0, 1), 0.97 * cover)
    place.raise_by(np.float32(tallest) * np.clip(lumps, 0, 1.3) * cover)
    place.claim(cover)


def _lumps(place: Window, ragged: FloatMap) -> FloatMap:
    """Return the heights of crusts, 0..1: bumps with smaller bumps on them.

    They thin out to 0 where `ragged` falls to 0.
    """
    body = soft(ragged, 0.05, 0.7)
    total = np.zeros(place.colour.shape, np.float32)
    for pitch, share in ((0.26, 0.65), (0.12, 0.4)):
        stones, _ = aggregate(place, pitch)
        total += np.float32(share) * blurred(stones, 0.12 * pitch)
    grown = body * (0.25 + total) * (0.6 + 0.7 * place.noise(0.3))
    return as_map(np.clip(grown, 0, 1.2))


def like_rough(spot: Spot) -> None:
    """Draw flat blotches of dirt or slime: coloured like corrosion, without stones or relief."""
    rng = spot.rng
    long, wide = spot.between(0.8, 1.4), spot.between(0.6, 1.2)
    place = window(spot, 1.3 * long, 1.3 * wide)
    if place.empty:
        return
    blob = 1 - np.hypot(place.colour.along / np.float32(long), place.colour.around / np.float32(wide))
    film = soft(blob + 0.9 * (place.noise(0.22) - 0.5), 0.05, 0.4) * soft(place.noise(0.15), 0.2, 0.5)
    tints = ((0.34, 0.27, 0.15), (0.24, 0.26, 0.16), (0.38, 0.28, 0.18), (0.20, 0.18, 0.15))
    tone = 0.85 + 0.3 * place.noise(0.12)
    tint = np.asarray(tints[int(rng.integers(len(tints)))], np.float32)
    place.paint(tint * tone[..., None], np.float32(rng.uniform(0.6, 0.9)) * film)


def like_film(spot: Spot) -> None:
    """Draw a thin pale film of lime: flat, without lumps, often run down the wall."""
    rng = spot.rng
    long, wide = spot.between(0.4, 1.0), spot.between(0.5, 1.1)
    place = window(spot, 1.4 * long, 1.4 * wide)
    if place.empty:
        return
    blob = 1 - np.hypot(place.colour.along / np.float32(long), place.colour.around / np.float32(wide))
    runs = place.noise((0.7, 0.06)) if rng.random() < 0.6 else place.noise(0.2)
    film = soft(blob + 0.8 * (runs - 0.5), 0.15, 0.4) * (0.6 + 0.4 * place.noise(0.2))
    tint = np.asarray(_CRUSTS[int(rng.integers(len(_CRUSTS)))], np.float32)
    place.paint(tint, np.float32(rng.uniform(0.4, 0.7)) * film)
