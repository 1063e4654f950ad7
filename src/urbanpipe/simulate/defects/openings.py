"""Openings in the wall and objects through it: concealed connections, foreign objects; and harmless fittings."""

import numpy as np
from numpy.typing import NDArray

from urbanpipe.simulate.defects.spot import Spot
from urbanpipe.simulate.defects.window import Window, as_map, crack_path, line_mask, window
from urbanpipe.simulate.material import lit
from urbanpipe.simulate.pipe import Strand
from urbanpipe.simulate.surface import Colour, FloatMap, soft

_DARK: Colour = (0.03, 0.028, 0.025)
_SIDE_PIPES: tuple[Colour, ...] = ((0.72, 0.38, 0.14), (0.55, 0.54, 0.52), (0.62, 0.60, 0.55), (0.52, 0.30, 0.20))
_OBJECTS: tuple[Colour, ...] = (
    (0.36, 0.21, 0.13),
    (0.11, 0.11, 0.12),
    (0.40, 0.40, 0.41),
    (0.56, 0.27, 0.09),
    (0.44, 0.42, 0.38),
    (0.46, 0.42, 0.20),
)
_RUST, _CONCRETE = 0, 4


def _away(place: Window, along: float = 0.0, around: float = 0.0) -> FloatMap:
    """Return the distance of the wall points from a point near the spot, radii, measured on the present wall."""
    wall = np.float32(min(1.0, place.spot.pipe.wall_at(place.spot.s, place.spot.clock)))
    apart = np.hypot(place.colour.along - np.float32(along), wall * (place.colour.around - np.float32(around)))
    return as_map(apart)


def _bearing(place: Window) -> FloatMap:
    return as_map(np.arctan2(*np.broadcast_arrays(place.colour.around, place.colour.along)))


def _torn(place: Window, radius: float, strength: float) -> FloatMap:
    """Return the depth of the wall points inside a ragged hole around the spot, radii; negative outside."""
    rng, bearing = place.spot.rng, _bearing(place)
    edge = np.full(place.colour.shape, radius, np.float32)
    for waves in (2, 3, 5, 7):
        edge += np.float32(strength * radius / waves) * np.cos(waves * bearing + np.float32(rng.uniform(0, 6.28)))
    chips = place.noise(0.12) - 0.5 + 0.6 * (place.noise(0.05) - 0.5)
    return as_map(edge + np.float32(0.7 * strength * radius) * chips - _away(place))


def _fresh(place: Window) -> FloatMap:
    """Return the colour of broken wall, with its grain."""
    base = np.asarray(place.spot.look.base, np.float32)
    grain = place.noise(0.03) + 0.6 * (place.noise(0.09) - 0.5)
    shown = (0.5 * base + np.float32(0.36)) * ((0.6 + 0.8 * grain) * lit(as_map(grain), 1.0))[..., None]
    return as_map(np.clip(shown, 0, 1))


def _break_open(place: Window, torn: FloatMap, depth: float, rim: float) -> None:
    """Draw a dark hole, chipped at its rim (`rim` radii wide), with cracks that start from it."""
    rng = place.spot.rng
    reach = float(torn.max())
    ragged = torn + np.float32(rim) * (0.4 + 1.2 * place.noise(0.14))
    chipped = soft(ragged, 0.0, 0.015)
    for _ in range(int(rng.integers(2, 6))):
        angle = float(rng.uniform(0, 2 * np.pi))
        start = 0.9 * reach * np.cos(angle), 0.9 * reach * np.sin(angle)
        crack = line_mask(place, crack_path(rng, start, angle, rng.uniform(0.5, 1.1) * reach), 0.02)
        place.paint(_DARK, 0.85 * crack)
    place.paint(np.asarray(place.spot.look.base) * 0.4, 0.5 * soft(ragged, -0.05, 0.06))
    place.paint(_fresh(place), 0.92 * chipped)
    hole = (torn > 0).astype(np.float32)
    place.raise_by(-0.05 * chipped * place.noise(0.1) - np.float32(depth) * hole)
    place.paint(_DARK, soft(torn, 0.012, 0.03))


def side_connection(spot: Spot) -> None:
    """Draw a concealed connection (AJ): a side pipe broken in through a ragged hole, with a gap around it."""
    rng = spot.rng
    radius = spot.between(0.32, 0.54)
    place = window(spot, 2.3 * radius, 2.6 * radius)
    if place.empty:
        return
    torn = _torn(place, radius, float(rng.uniform(0.2, 0.4)))
    _break_open(place, torn, float(rng.uniform(0.25, 0.45)), 0.16 * radius)
    sunk = float(rng.uniform(0.03, 0.12)) if rng.random() < 0.25 else -spot.between(0.08, 0.32)
    off = rng.uniform(-0.14, 0.14, 2) * radius
    _side_pipe(place, (float(off[0]), float(off[1])), radius * float(rng.uniform(0.60, 0.74)), sunk)
    place.claim((torn > -0.1 * radius).astype(np.float32))


def _side_pipe(place: Window, centre: tuple[float, float], radius: float, sunk: float) -> None:
    """Draw the end of a side pipe, `sunk` radii behind the wall (negative: protruding into the pipe)."""
    spot, rng = place.spot, place.spot.rng
    thick = max(0.06, 0.2 * radius)
    away = _away(place, *centre) + np.float32(0.03 * radius) * (place.noise(0.3) - 0.5)
    colour = np.asarray(_SIDE_PIPES[int(rng.integers(len(_SIDE_PIPES)))], np.float32) * rng.uniform(0.8, 1.15)
    slant = 1 + rng.uniform(-0.5, 0.5) * np.cos(_bearing(place) - np.float32(rng.uniform(0, 6.28)))
    grain = 0.7 + 0.4 * place.noise(0.06) + 0.3 * (place.noise(0.2) - 0.5)
    place.paint(np.clip(colour * grain[..., None], 0, 1), away < radius + 0.025)
    ends = soft(-np.abs(away - np.float32(radius - 0.5 * thick)), -0.4 * thick, 0.15 * thick)
    place.paint(np.clip(1.3 * colour * grain[..., None] + 0.06, 0, 1), 0.85 * ends)
    _bore(place, away, radius - thick, colour)
    level = np.float32(spot.pipe.wall_at(spot.s + 2.2 * radius, spot.clock))
    end = np.clip(level + np.float32(sunk) * place.on_form(slant), 0.3, 2.4)
    place.form.put(np.where(place.on_form(away < radius) > 0.5, end, place.form.values))


def _bore(place: Window, away: FloatMap, radius: float, colour: NDArray[np.floating]) -> None:
    """Paint the dark inside of a side pipe, with a glimpse of its far wall.

    It is painted because the steps of the rays are too long for the thin wall of a side pipe and would find holes in
    it.
    """
    rng = place.spot.rng
    away_from_here = place.colour.along / np.float32(radius) + 0.5 * (place.noise(0.2) - 0.5)
    lit_wall = soft(away_from_here, float(rng.uniform(0.0, 0.4)), 0.8) * np.float32(rng.uniform(0.2, 0.55))
    inside = np.asarray(_DARK) + (np.asarray(colour) * 0.8 - np.asarray(_DARK)) * lit_wall[..., None]
    place.paint(inside, soft(-away, -radius, 0.02))


def foreign_object(spot: Spot) -> None:
    """Draw a foreign object (CR).

    A bar, a pipe or ducts pierce the wall and cross the pipe, or end in it.
    """
    rng = spot.rng
    kind = int(rng.integers(len(_OBJECTS)))
    count = int(rng.choice((1, 1, 2, 3))) if kind != _CONCRETE else 1
    thick = spot.between(0.04, 0.13) * (1.0 if count == 1 else 0.65)
    through = bool(rng.random() < 0.35 + 0.5 * spot.severity)
    # Towards the axis with some slant; an object that passes through leaves the pipe on the far side.
    turn = float(rng.uniform(1.9, 3.1) * rng.choice((-1, 1)))
    tilt = float(rng.normal(0, 0.25))
    for n in range(count):
        beside = (n - (count - 1) / 2) * thick * 2.6
        clock = spot.clock + beside * float(rng.uniform(0.4, 1.0))
        s = spot.s + 0.6 * beside
        opposite = clock + turn + float(rng.normal(0, 0.08))
        leave = _inner(spot, s + tilt, opposite)
        start = _inner(spot, s, clock)
        if not through:
            leave = start + (leave - start) * rng.uniform(0.35, 0.7)
        colour = np.asarray(_OBJECTS[kind if rng.random() < 0.7 else _RUST], np.float32) * rng.uniform(0.8, 1.15)
        _pierce(spot, s, clock, thick)
        if through:
            _pierce(spot, s + tilt, opposite, thick)
        _bar(spot, np.linspace(start, leave, 40), thick, colour, kind == _RUST)


def _inner(spot: Spot, s: float, clock: float) -> NDArray[np.float64]:
    """Return (x, y, s) of a point slightly behind the wall."""
    return spot.pipe.point(s, clock, spot.pipe.wall_at(s, clock) + 0.04)


def _pierce(spot: Spot, s: float, clock: float, thick: float) -> None:
    """Draw the broken place where an object comes through the wall."""
    here = Spot(spot.pipe, spot.look, spot.rng, s, clock, spot.severity, spot.owner)
    radius = 1.5 * thick + 0.03
    place = window(here, 3.2 * radius, 3.2 * radius)
    if place.empty:
        return
    torn = _torn(place, radius, 0.35)
    _break_open(place, torn, 0.12, 0.5 * radius)
    place.claim((torn > -0.3 * radius).astype(np.float32))


def _bar(spot: Spot, line: NDArray[np.float64], thick: float, colour: NDArray[np.float32], rusty: bool) -> None:
    """Draw a straight bar through points (n, 3), round by parallel shades: dark below, bright above."""
    rng = spot.rng
    way = line[-1] - line[0]
    across = np.array([-way[1], way[0], 0.0]) / max(1e-6, float(np.hypot(way[0], way[1])))
    across *= -1 if across[1] > 0 else 1
    shades = ((0.0, 1.0, 0.22), (0.10, 0.88, 0.45), (0.20, 0.68, 0.70), (0.30, 0.44, 0.90), (0.38, 0.20, 1.05))
    for aside, share, tone in shades:
        points = (line + across * aside * thick).astype(np.float32)
        _add(spot, points, thick * share, np.clip(colour * tone, 0, 1))
    for _ in range(int(rng.integers(30, 50))):
        start = int(rng.integers(0, len(line) - 4))
        part = line[start : start + int(rng.integers(3, 14))] + across * rng.uniform(-0.75, 0.75) * thick
        stain = np.array((0.22, 0.11, 0.05)) if rusty else 0.4 * colour + np.array((0.06, 0.05, 0.035))
        _add(spot, part.astype(np.float32), thick * rng.uniform(0.05, 0.16), stain * rng.uniform(0.5, 1.4), 0.4)


def _add(
    spot: Spot, points: NDArray[np.float32], radius: float, colour: NDArray[np.floating], opacity: float = 1.0
) -> None:
    red, green, blue = (float(v) for v in colour)
    spot.pipe.strands.append(Strand(points, float(radius), (red, green, blue), opacity, owner=spot.owner))


def like_clean_lateral(spot: Spot) -> None:
    """Draw a regular lateral: a clean round opening with a smooth collar, flush with the wall."""
    rng = spot.rng
    radius = spot.between(0.28, 0.48)
    place = window(spot, 1.7 * radius, 1.9 * radius)
    if place.empty:
        return
    away = _away(place)
    base = np.asarray(spot.look.base, np.float32)
    collar = soft(-away, -1.22 * radius, 0.03) * np.float32(rng.uniform(0.5, 0.9))
    place.paint(np.clip(base * rng.uniform(0.75, 1.25) + 0.03, 0, 1), collar)
    place.paint(base * 0.35, 0.6 * soft(-np.abs(away - np.float32(1.22 * radius)), -0.02, 0.015))
    place.paint(base * 0.6, soft(-away, -radius, 0.012))
    _bore(place, away, radius - 0.02, base)
    place.raise_by(-np.float32(0.07) * soft(-away, -radius, 0.05))


def like_rung(spot: Spot) -> None:
    """Draw bolts, or a bracket on the wall: fixed to it, not through it."""
    rng = spot.rng
    place = window(spot, 0.5, 0.6)
    if place.empty:
        return
    apart, size = float(rng.uniform(0.14, 0.28)), float(rng.uniform(0.045, 0.075))
    turned = float(rng.choice((0.0, np.pi / 2)))
    steel = np.asarray(((0.50, 0.50, 0.51), (0.42, 0.28, 0.18), (0.22, 0.22, 0.23))[int(rng.integers(3))], np.float32)
    height = np.zeros(place.colour.shape, np.float32)
    for side in (-1, 1):
        away = _away(place, side * apart * np.cos(turned), side * apart * np.sin(turned))
        height = np.maximum(height, np.sqrt(np.clip(1 - (away / np.float32(size)) ** 2, 0, 1)))
    if rng.random() < 0.5:
        u = place.colour.along * np.cos(turned) + place.colour.around * np.sin(turned)
        v = place.colour.around * np.cos(turned) - place.colour.along * np.sin(turned)
        plate = (np.abs(u) < apart + 1.6 * size) & (np.abs(v) < 1.3 * size)
        height = np.maximum(height, np.float32(0.45) * plate)
    shadow = soft(np.roll(height, (4, 3), axis=(0, 1)), 0.05, 0.2)
    place.paint((0.06, 0.05, 0.05), 0.6 * shadow)
    place.paint(
        np.clip(steel * (0.6 + 0.5 * height)[..., None] * lit(height, 0.8)[..., None], 0, 1), soft(height, 0.05, 0.1)
    )
    place.raise_by(np.float32(0.05) * height)
