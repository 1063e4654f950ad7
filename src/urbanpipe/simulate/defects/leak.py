"""Water that enters through the wall: drips, threads, jets; and harmless wet patches."""

import numpy as np
from numpy.typing import NDArray

from urbanpipe.simulate.defects.spot import Spot
from urbanpipe.simulate.pipe import DEEPEST, FORM_PER_RADIUS, FORM_ROWS, TURN, Film, Pipe, Strand
from urbanpipe.simulate.surface import Colour, soft

_GRAVITY = 6.0
"""Acceleration of falling water, radii per second squared; looks plausible in a pipe of any size."""

_SPACING = 0.02
"""Distance between the points of a strand, radii."""

Points = NDArray[np.float32]


def leak(spot: Spot) -> None:
    """Draw leakage (SL): water enters through the wall as drips, threads or a jet."""
    clock = (spot.clock + np.pi) % TURN - np.pi
    clock = float(np.clip(clock, -2.2, 2.2))
    start = spot.pipe.point(spot.s, clock)
    weak = max(0.0, min(1.0, (spot.severity - 0.3) / 0.7))
    _run_down(spot, clock, weak)
    if spot.severity < 0.3:
        _drips(spot, start)
    elif spot.severity < 0.65 and abs(clock) < 1.3:
        _threads(spot, clock)
    else:
        _jet(spot, clock)


def _run_down(spot: Spot, clock: float, strong: float) -> None:
    """Draw the film that runs down the wall, and the wet, dark wall below it; `strong` is 0..1."""
    rng = spot.rng
    width = float(rng.uniform(0.1, 0.2)) + 0.25 * strong
    strength = spot.between(0.22, 0.65)
    spot.pipe.films.append(Film(clock, spot.s, width, strength, float(rng.uniform(0.5, 1.2)) + strong))
    side = 1.0 if clock >= 0 else -1.0
    half = 0.5 * (np.pi - abs(clock))
    middle = side * (abs(clock) + half)
    form = spot.pipe.of_form(spot.s, middle % TURN, width, half)
    if min(form.shape):
        seen = np.abs(form.along) < (0.5 + 0.2 * strong) * width
        y = -np.cos(form.clock) * form.values.astype(np.float32)
        dry = y < (DEEPEST if spot.pipe.water is None else spot.pipe.water.level)
        spot.pipe.claim(form, seen & dry, spot.owner)
    if strong > 0:
        _wet_wall(spot, clock, 1.1 * width, float(rng.uniform(0.15, 0.3)) + 0.35 * strong)
        _mouth(spot, clock, 0.03 + 0.05 * strong)


def _wet_wall(spot: Spot, clock: float, width: float, alpha: float) -> None:
    """Darken the wall from the place down to the invert, wider below."""
    side = 1.0 if clock >= 0 else -1.0
    half = 0.5 * (np.pi - abs(clock)) + 0.1
    middle = side * (abs(clock) - 0.2 + half)
    paint = spot.pipe.of_colour(spot.s, middle % TURN, 2.2 * width + 0.1, half)
    if min(paint.shape) == 0:
        return
    down = side * paint.around + np.float32(half - 0.15)
    wander = 0.9 * width * (paint.noise(spot.rng, (0.7, 3.0)) - 0.5)
    wide = np.float32(width) * (0.55 + 0.5 * soft(down, 0.0, 1.2))
    across = 1 - np.abs(paint.along + wander) / wide + 0.35 * (paint.noise(spot.rng, (0.5, 0.14)) - 0.5)
    cover = soft(across, 0.0, 0.35) * soft(down, 0.0, 0.15) * (1 - soft(down, 2 * half - 0.45, 0.3))
    old = paint.values.astype(np.float32)
    spot.pipe.paint(paint, old * 0.45, np.float32(alpha) * cover)
    gleam = soft(paint.noise(spot.rng, (0.5, 0.08)), 0.7, 0.3) * cover
    spot.pipe.paint(paint, (0.80, 0.82, 0.82), np.float32(0.4 * alpha) * gleam)


def _mouth(spot: Spot, clock: float, size: float) -> None:
    """Paint the hole or crack that the water comes from: dark, with a rusty rim."""
    paint = spot.pipe.of_colour(spot.s, clock % TURN, 4 * size, 4 * size)
    if min(paint.shape) == 0:
        return
    away = np.hypot(paint.along, 1.6 * paint.around) + 0.8 * size * (paint.noise(spot.rng, size) - 0.5)
    spot.pipe.paint(paint, (0.36, 0.22, 0.12), 0.6 * (1 - soft(away, size, 1.5 * size)))
    spot.pipe.paint(paint, (0.05, 0.05, 0.05), 0.9 * (1 - soft(away, 0.6 * size, 0.5 * size)))


def _inside(pipe: Pipe, points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which points (n, 3) are inside the pipe, above the water and in front of the wall."""
    x, y, s = points.T
    row = (np.arctan2(x, -y) % TURN / TURN * FORM_ROWS).astype(int) % FORM_ROWS
    column = np.clip(s * FORM_PER_RADIUS, 0, pipe.form.shape[1] - 1).astype(int)
    room: NDArray[np.bool_] = np.hypot(x, y) < pipe.form[row, column]
    return room if pipe.water is None else room & (y <= pipe.water.level)


def _fall(pipe: Pipe, start: NDArray[np.float64], speed: NDArray[np.float64]) -> Points:
    """Return the path of water thrown from `start` at `speed`, until it meets wall or water, (n, 3).

    The speed is in radii per second.
    """
    fastest = float(np.linalg.norm(speed)) + 3.0
    steps = np.arange(0.0, 1.5, _SPACING / fastest)[:, None]
    way = start + steps * speed + 0.5 * _GRAVITY * steps**2 * np.array([0.0, 1.0, 0.0])
    ended = ~_inside(pipe, way)
    ended[:4] = False
    return _even(way[: int(np.argmax(ended)) if ended.any() else len(way)])


def _even(way: NDArray[np.float64]) -> Points:
    """Return evenly spaced points along a path."""
    steps = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(way, axis=0), axis=1))])
    places = np.arange(0.0, max(steps[-1], 2.5 * _SPACING), _SPACING)
    return np.stack([np.interp(places, steps, way[:, axis]) for axis in range(3)], axis=1).astype(np.float32)


def _inward(start: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the unit vector from a place on the wall towards the axis."""
    across = np.array([-start[0], -start[1], 0.0])
    return across / max(1e-6, float(np.linalg.norm(across)))


def _like_the_wall(spot: Spot, factor: float) -> Colour:
    """Return a colour close to that of the wall."""
    red, green, blue = (float(c) for c in np.clip(np.asarray(spot.look.base) * factor + 0.04, 0, 1))
    return red, green, blue


def _drips(spot: Spot, start: NDArray[np.float64]) -> None:
    """Draw one to three trains of drops that fall straight down."""
    rng = spot.rng
    for _ in range(int(rng.integers(1, 3)) + (spot.severity > 0.2)):
        from_ = start + _inward(start) * 0.03 + np.array([0.0, 0.0, rng.normal(0, 0.05)])
        points = _fall(spot.pipe, from_, _inward(start) * float(rng.uniform(0.0, 0.25)) * np.array([1.0, 0.0, 0.0]))
        spot.pipe.strands.append(
            Strand(
                points=points,
                radius=0.006 + 0.012 * spot.severity,
                colour=_like_the_wall(spot, float(rng.uniform(1.15, 1.5))),
                opacity=0.5,
                flow=float(rng.uniform(2.0, 4.0)),
                dash=(float(rng.uniform(0.06, 0.11)), float(rng.uniform(0.8, 1.8))),
                phase=float(rng.random()),
                owner=spot.owner,
            )
        )


def _threads(spot: Spot, clock: float) -> None:
    """Draw threads of water that hang from the wall and break into drops, and their splashes."""
    rng = spot.rng
    for _ in range(round(spot.between(2, 9))):
        turn = clock + rng.normal(0, 0.06)
        s = float(np.clip(spot.s + rng.normal(0, 0.08), 0.02, spot.pipe.length - 0.02))
        from_ = spot.pipe.point(s, turn)
        from_ = from_ + _inward(from_) * 0.03
        points = _fall(spot.pipe, from_, _inward(from_) * np.array([rng.uniform(0.1, 0.7), 0.1, 0.0]))
        colour, owner = _like_the_wall(spot, float(rng.uniform(1.4, 1.9))), spot.owner
        breaks = max(2, int(len(points) * rng.uniform(0.3, 0.8)))
        thick, flow = float(rng.uniform(0.003, 0.008)), float(rng.uniform(2.5, 4.0))
        whole, drops = (
            (float(rng.uniform(0.4, 0.9)), 0.04),
            (float(rng.uniform(0.04, 0.12)), float(rng.uniform(0.04, 0.1))),
        )
        for part, dash in ((points[: breaks + 1], whole), (points[breaks:], drops)):
            phase, opacity = float(rng.random()), float(rng.uniform(0.4, 0.65))
            spot.pipe.strands.append(Strand(part, thick, colour, opacity, flow, dash, phase, owner))
        if rng.random() < 0.6:
            _splash(spot, points[-1].astype(np.float64), 2, 0.8)


def _jet(spot: Spot, clock: float) -> None:
    """Draw a jet into the pipe: a spreading bundle of parabolas, with spray and splashes."""
    rng = spot.rng
    start = spot.pipe.point(spot.s, clock)
    start = start + _inward(start) * 0.02
    tangent = np.array([np.cos(clock), np.sin(clock), 0.0]) * rng.normal(0, 0.25)
    throw = float(rng.uniform(0.8, 1.25)) * spot.between(1.3, 2.4)
    aim = _inward(start) + tangent + np.array([0.0, -0.25 * abs(np.sin(clock)), rng.normal(0, 0.2)])
    end = start
    for number in range(round(spot.between(8, 46))):
        spread = 0.06 if number % 3 else 0.2
        speed = throw * (aim + rng.normal(0, spread, 3)) * float(rng.uniform(0.75, 1.05))
        points = _fall(spot.pipe, start + rng.normal(0, 0.012, 3), speed)
        spray = number % 3 == 0
        spot.pipe.strands.append(
            Strand(
                points=points,
                radius=float(rng.uniform(0.003, 0.006) if spray else rng.uniform(0.004, 0.012)),
                colour=_white(spot),
                opacity=float(rng.uniform(0.25, 0.55)),
                flow=float(rng.uniform(3.0, 5.0)),
                dash=(0.05, 0.13) if spray else (float(rng.uniform(0.2, 0.6)), float(rng.uniform(0.03, 0.1))),
                phase=float(rng.random()),
                owner=spot.owner,
            )
        )
        end = points[-1].astype(np.float64)
        if number % 4 == 0:
            _splash(spot, end, 3, 1.4)


def _white(spot: Spot) -> Colour:
    """Return the colour of aerated water, sometimes dirty."""
    shade = float(spot.rng.uniform(0.7, 1.0))
    return 0.86 * shade, 0.90 * shade, 0.91 * shade


def _splash(spot: Spot, place: NDArray[np.float64], count: int, speed: float) -> None:
    """Draw drops thrown up where water falls."""
    rng = spot.rng
    for _ in range(count):
        up = np.array([rng.normal(0, 0.5), -rng.uniform(0.6, 1.2), rng.normal(0, 0.5)]) * speed
        points = _fall(spot.pipe, place + _inward(place) * 0.05, up)
        spot.pipe.strands.append(
            Strand(points, 0.006, _white(spot), 0.55, 2.0, (0.03, 0.15), float(rng.random()), spot.owner)
        )


def like_wet_wall(spot: Spot) -> None:
    """Draw a wet patch that runs down the wall, dark with a shiny streak, but static."""
    clock = float(np.clip((spot.clock + np.pi) % TURN - np.pi, -2.2, 2.2))
    _wet_wall(spot, clock, spot.between(0.2, 0.5), float(spot.rng.uniform(0.3, 0.75)))
