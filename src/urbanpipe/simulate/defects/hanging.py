"""Objects that hang out of a joint into the pipe: rubber seals and roots."""

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from urbanpipe.simulate.defects.joints import DARK, end_colour
from urbanpipe.simulate.defects.spot import Spot
from urbanpipe.simulate.pipe import FORM_PER_RADIUS, FORM_ROWS, TURN, Pipe, Strand
from urbanpipe.simulate.surface import Colour, FloatMap, soft

_Points = NDArray[np.float64]
"""Points in the pipe, (..., 3): x, y, s."""


def _inside(pipe: Pipe, points: _Points, share: float = 0.97) -> _Points:
    """Move points (n, 3) in front of the wall, towards the axis, and above the water surface."""
    kept = points.copy()
    if pipe.water is not None:
        kept[:, 1] = np.minimum(kept[:, 1], pipe.water.level - 0.005)
    row = (np.arctan2(kept[:, 0], -kept[:, 1]) % TURN / TURN * FORM_ROWS).astype(int) % FORM_ROWS
    column = np.clip((kept[:, 2] * FORM_PER_RADIUS).astype(int), 0, pipe.form.shape[1] - 1)
    out = np.maximum(np.hypot(kept[:, 0], kept[:, 1]), 1e-6)
    kept[:, :2] *= np.minimum(1, share * pipe.form[row, column] / out)[:, None]
    return kept


def _on_ring(clock: ArrayLike, out: ArrayLike, s: ArrayLike) -> _Points:
    """Return points (n, 3) at clock angles and distances from the axis."""
    angle, away = np.asarray(clock, np.float64), np.asarray(out, np.float64)
    return np.stack(np.broadcast_arrays(away * np.sin(angle), -away * np.cos(angle), s), axis=-1)


def _smooth(points: _Points, width: int) -> _Points:
    """Average points (n, 3) over `width` neighbours, an odd number, for a line without kinks."""
    closed = np.pad(points, ((width // 2, width // 2), (0, 0)), mode="edge")
    return np.stack([np.convolve(axis, np.full(width, 1 / width), "valid") for axis in closed.T], axis=-1)


def hanging_seal(spot: Spot) -> None:
    """Draw a hanging seal (TL): the rubber ring of the joint hangs into the pipe."""
    rng, pipe = spot.rng, spot.pipe
    _paint_empty_groove(spot)
    thick = float(rng.uniform(0.018, 0.028)) + 0.012 * spot.severity
    shades: tuple[Colour, ...] = ((0.035, 0.035, 0.04), (0.05, 0.05, 0.05), (0.08, 0.08, 0.08), (0.07, 0.055, 0.045))
    shade = shades[rng.integers(len(shades))]
    span = spot.between(0.75, 2.5)
    _lay_seal(spot, _seal_loop(spot, spot.clock, span, spot.severity), thick, shade)
    if rng.random() < 0.15 + 0.35 * spot.severity:
        beside = spot.clock + float(rng.choice((-1, 1))) * 0.5 * span
        _lay_seal(spot, _seal_tail(spot, beside), thick, shade)
    form = pipe.of_form(spot.s, spot.clock, 0.05, min(np.pi, 0.5 * span))
    pipe.claim(form, np.ones(form.shape, bool), spot.owner)


def _paint_empty_groove(spot: Spot) -> None:
    """Paint the joint that the seal has left: open and dark."""
    pipe = spot.pipe
    form, colour = pipe.of_form(spot.s, spot.clock, 0.06), pipe.of_colour(spot.s, spot.clock, 0.12)
    if min(form.shape) == 0 or min(colour.shape) == 0:
        return
    form.put(np.asarray(form.values, np.float32) + np.float32(0.04) * (1 - soft(np.abs(form.along), 0.012, 0.025)))
    along = np.abs(colour.along + np.float32(0.015) * (colour.noise(spot.rng, (0.2, 1.0)) - 0.5))
    pipe.paint(colour, DARK, np.float32(0.8) * (1 - soft(along, 0.018, 0.014)))
    pipe.paint(colour, end_colour(spot, colour), np.float32(0.4) * (1 - soft(np.abs(along - 0.05), 0.01, 0.025)))


def _seal_loop(spot: Spot, clock: float, span: float, strength: float) -> _Points:
    """Return the path of a seal that stays in the joint at both ends and hangs between, (n, 3)."""
    rng = spot.rng
    tails = clock + np.array([-0.5, 0.5]) * span
    sunk = np.linspace(1.02, 0.97, 16)
    first = _on_ring(tails[0] + np.linspace(-rng.uniform(0.3, 1.1), 0, 16), sunk, spot.s)
    last = _on_ring(tails[1] + np.linspace(0, rng.uniform(0.3, 1.1), 16), sunk[::-1], spot.s)
    part = np.linspace(0, 1, 48)[:, None]
    leave, arrive = rng.uniform(0.5, 1.3, 2) * span
    before = np.array([np.cos(tails[0]), np.sin(tails[0]), 0]) * leave
    after = np.array([np.cos(tails[1]), np.sin(tails[1]), 0]) * arrive
    rest = 1 - part
    free = rest**2 * ((1 + 2 * part) * first[-1] + part * before) + part**2 * ((1 + 2 * rest) * last[0] - rest * after)
    bump = 4 * part[:, 0] * rest[:, 0]
    inward = (0.14 + 0.22 * strength) * float(rng.uniform(0.8, 1.3))
    drop = (0.14 + 0.5 * strength) * float(rng.uniform(0.7, 1.4))
    free[:, 0] -= inward * np.sin(clock) * bump
    free[:, 1] += (inward * np.cos(clock) + drop) * bump ** float(rng.uniform(1.0, 1.6))
    free[:, 2] += float(rng.uniform(-0.25, 0.12)) * bump
    for number in (2, 3, 5):
        free += rng.normal(0, 0.05 / number, 3) * (np.sin(number * np.pi * part) * bump[:, None])
    points = np.concatenate([first[:-1], free, last[1:]])
    return _smooth(_inside(spot.pipe, points, 1.0), 9)


def _seal_tail(spot: Spot, clock: float) -> _Points:
    """Return the path of the torn end of a seal, (n, 3): along the joint, then down in a curl."""
    rng = spot.rng
    held = _on_ring(clock + np.linspace(-0.6, 0, 16) * (np.sign(np.sin(clock)) or 1.0), 0.97, spot.s)
    fall, turn = np.linspace(0, 1, 32), float(rng.uniform(1.5, 5.0)) * float(rng.choice((-1, 1)))
    long, curl = float(rng.uniform(0.35, 0.6)) * (0.5 + spot.severity), float(rng.uniform(0.05, 0.12))
    aside = curl * np.sin(turn * fall) * fall - 0.25 * long * fall * np.sin(clock)
    free = held[-1] + np.stack([aside, long * fall, curl * fall * np.cos(turn * fall)], axis=-1)
    return _smooth(_inside(spot.pipe, np.concatenate([held, free[1:]])), 7)


def _lay_seal(spot: Spot, path: _Points, thick: float, shade: Colour) -> None:
    """Draw a rubber band along a path, as parallel strands that twist about each other."""
    rng = spot.rng
    turn = np.linspace(0, float(rng.uniform(1.0, 4.5)), len(path)) + rng.uniform(0, 6)
    inward = path * np.array([1.0, 1, 0]) / np.maximum(np.hypot(path[:, 0], path[:, 1]), 1e-6)[:, None]
    side = inward * np.cos(turn)[:, None] + np.array([0, 0, 1.0]) * np.sin(turn)[:, None]
    strands = ((0.0, 1.3, 1.0), (-1.1, 0.8, 0.7), (1.1, 0.8, 1.5), (0.45, 0.3, 3.2))
    for place, share, bright in strands:
        tone = tuple(float(min(1, bright * value)) for value in shade)
        points = (path + side * (place * thick)).astype(np.float32)
        spot.pipe.strands.append(Strand(points, share * thick, (tone[0], tone[1], tone[2]), owner=spot.owner))


_ROOTS: tuple[Colour, ...] = ((0.28, 0.19, 0.12), (0.40, 0.32, 0.22), (0.31, 0.18, 0.12), (0.33, 0.30, 0.25))

_ROOT_POINTS = 14


def roots(spot: Spot) -> None:
    """Draw roots (SG) that have grown through the joint: threads, a beard, or a ball."""
    rng, pipe = spot.rng, spot.pipe
    count = int(spot.between(12, 74))
    spread, long = spot.between(0.10, 0.55) * float(rng.uniform(0.7, 1.5)), spot.between(0.5, 1.25)
    ball = spot.severity > 0.55 and rng.random() < 0.65
    colour = np.asarray(_ROOTS[rng.integers(len(_ROOTS))])
    depth = 0.2 * spot.severity
    if spot.severity > 0.3:
        _root_mass(spot, spread, 1.6 if ball else 1.0, colour)
    drawn = float(rng.uniform(-0.5, 0.3))
    mains: list[_Points] = []
    for number in range(count):
        main = number < 4 + count // 3
        if main:
            clock, s = spot.clock + 0.7 * spread * rng.normal(), spot.s + depth * rng.uniform(-1, 0.3)
            start = _on_ring(clock, 0.98 * pipe.wall_at(s, clock), s)
            way = np.array([-np.sin(spot.clock), np.cos(spot.clock), 0.0]) + rng.normal(0, 0.35, 3)
        else:
            parent = mains[rng.integers(len(mains))]
            at = int(rng.integers(0, _ROOT_POINTS - 3))
            start, way = parent[at], parent[at + 1] - parent[at] + rng.normal(0, 0.05, 3)
        reach = long * float(rng.uniform(0.5, 1.2)) * (1.0 if main else 0.55)
        path = _root_path(rng, pipe, start, way=way, long=reach, drawn=drawn, wild=0.6 if ball else 0.33)
        if main:
            mains.append(path)
        thick = float(rng.uniform(0.007, 0.016) if main else rng.uniform(0.003, 0.006)) * (0.9 + 0.3 * spot.severity)
        tone = np.clip(colour * rng.uniform(0.6, 1.35) + rng.normal(0, 0.015, 3), 0.02, 1)
        red, green, blue = (float(value) for value in tone)
        pipe.strands.append(Strand(path.astype(np.float32), thick, (red, green, blue), owner=spot.owner))


def _root_path(
    rng: np.random.Generator, pipe: Pipe, start: _Points, *, way: _Points, long: float, drawn: float, wild: float
) -> _Points:
    """Return the path of a root, (n, 3).

    It starts in the direction `way`, falls, is drawn along the flow, and turns randomly by `wild`.
    """
    points, direction = [np.asarray(start, np.float64)], way / np.linalg.norm(way)
    for turn in rng.normal(0, wild, (_ROOT_POINTS - 1, 3)):
        direction = direction + turn + np.array([0.0, 0.30, 0.25 * drawn])
        direction = direction / np.linalg.norm(direction)
        points.append(points[-1] + direction * (long / (_ROOT_POINTS - 1)))
    return _inside(pipe, np.array(points))


def _root_mass(spot: Spot, spread: float, swell: float, tone: ArrayLike) -> None:
    """Draw matted roots at the joint as a fibrous lump on the wall."""
    rng, pipe = spot.rng, spot.pipe
    half, long = 1.3 * spread * swell + 0.12, 0.28 + 0.3 * spot.severity * swell
    high = 0.36 * swell * (spot.severity - 0.2) * float(rng.uniform(0.5, 0.9))
    form = pipe.of_form(spot.s, spot.clock, long, half)
    colour = pipe.of_colour(spot.s, spot.clock, long, half)
    if min(form.shape) == 0 or min(colour.shape) == 0:
        return
    heap = 1 - np.hypot(form.along / np.float32(long), form.around / np.float32(half))
    rise = soft(heap + np.float32(0.5) * (form.noise(rng, (0.10, 0.10)) - 0.5), 0.05, 0.7)
    wall = np.asarray(form.values, np.float32)
    form.put(np.maximum(wall - np.float32(high) * rise, np.minimum(wall, np.float32(0.3))))
    pipe.claim(form, rise > 0.12, spot.owner)
    core = 1 - np.hypot(colour.along / np.float32(long), colour.around / np.float32(half))
    shade, cover = _fibres(rng, colour.shape, 60 + int(240 * spot.severity))
    cover = np.maximum(cover, soft(core + 0.6 * (colour.noise(rng, 0.07) - 0.5), 0.25, 0.3))
    pipe.paint(colour, np.asarray(tone, np.float32) * (0.2 + 1.3 * shade)[..., None], np.float32(0.95) * cover)


def _fibres(rng: np.random.Generator, shape: tuple[int, int], count: int) -> tuple[FloatMap, FloatMap]:
    """Return brightness and cover, 0..1, of threads that run out from the middle of a map.

    They run mostly along the pipe.
    """
    shade, cover = np.full(shape, 30, np.uint8), np.zeros(shape, np.uint8)
    starts = (0.5 + np.clip(rng.normal(0, 0.13, (count, 2)), -0.4, 0.4)) * shape[::-1]
    heading = rng.choice((0, np.pi), (count, 1)) + rng.normal(0, 0.5, (count, 1))
    heading = heading + np.cumsum(rng.normal(0, 0.35, (count, 9)), axis=1)
    pace = rng.uniform(0.015, 0.05, (count, 1, 1)) * shape[1]
    ways = starts[:, None] + np.cumsum(np.stack([np.cos(heading), np.sin(heading)], axis=-1) * pace, axis=1)
    for way, bright in zip(np.round(ways * 16).astype(np.int32), rng.integers(40, 256, count), strict=True):
        thick = 1 + int(bright) % 2
        cv2.polylines(shade, [way], False, int(bright), thick, cv2.LINE_AA, 4)
        cv2.polylines(cover, [way], False, 255, thick, cv2.LINE_AA, 4)
    unit = np.float32(1 / 255)
    return shade.astype(np.float32) * unit, cover.astype(np.float32) * unit
