"""Cracks and breaks of the wall, and lines on the wall that are not cracks."""

import cv2
import numpy as np
from numpy.typing import NDArray

from urbanpipe.simulate.defects.pieces import Pieces, aggregate, in_pieces
from urbanpipe.simulate.defects.spot import Spot
from urbanpipe.simulate.defects.window import Path, Window, as_map, blurred, crack_path, line_mask, widened, window
from urbanpipe.simulate.material import lit
from urbanpipe.simulate.pipe import TEXELS_PER_RADIUS
from urbanpipe.simulate.surface import Colour, FloatMap, soft

_SOIL: tuple[Colour, ...] = ((0.36, 0.26, 0.16), (0.44, 0.33, 0.21), (0.26, 0.22, 0.18), (0.48, 0.36, 0.18))


def cracks(spot: Spot) -> None:
    """Draw a crack or break (PL).

    It is a hairline, open cracks with branches, or pieces of the wall pushed in or fallen out.
    """
    if spot.severity < 0.25:
        _hairline(spot)
    elif spot.severity < 0.6:
        _open_cracks(spot)
    else:
        _broken(spot)


def _heading(rng: np.random.Generator) -> float:
    """Draw the heading of a crack: along the pipe, around it, or oblique."""
    return float(rng.choice((0.0, np.pi / 2, rng.uniform(0.3, 1.2))) + rng.normal(0, 0.08))


def _web(spot: Spot, length: float, branches: int) -> list[Path]:
    """Return the paths of a main crack through the spot and of its branches."""
    rng, heading = spot.rng, _heading(spot.rng)
    start = -0.5 * length * np.cos(heading), -0.5 * length * np.sin(heading)
    main = crack_path(rng, start, heading, length)
    paths = [main]
    for _ in range(branches):
        fork = main[int(rng.uniform(0.15, 0.85) * len(main))]
        away = heading + rng.choice((-1, 1)) * rng.uniform(0.5, 1.3)
        paths.append(crack_path(rng, (float(fork[0]), float(fork[1])), away, length * rng.uniform(0.2, 0.45)))
    return paths


def _bare_edge(spot: Spot) -> FloatMap:
    """Return the colour of freshly broken wall: paler than the old surface."""
    base = np.asarray(spot.look.base, np.float32)
    return as_map(np.clip(0.45 * base + np.float32(0.42), 0, 1))


def _hairline(spot: Spot) -> None:
    rng = spot.rng
    place = window(spot, 1.1, 1.25)
    if place.empty:
        return
    paths = _web(spot, rng.uniform(1.2, 2.0), int(rng.integers(0, 3)))
    width = float(rng.uniform(0.019, 0.028))
    line = np.max([line_mask(place, path, width) for path in paths], axis=0)
    damp = blurred(widened(line, 0.03), 0.03) * place.noise(0.15)
    place.paint(np.asarray(spot.look.base) * 0.5, 0.5 * damp)
    place.paint((0.05, 0.045, 0.04), 0.92 * line)
    place.shade(1 + np.float32(0.35) * np.roll(line, 2, axis=1) * (1 - line))
    place.claim(widened(line, 0.03))


def _open_cracks(spot: Spot) -> None:
    rng, grade = spot.rng, (spot.severity - 0.25) / 0.35
    place = window(spot, 1.2, 1.5)
    if place.empty:
        return
    paths = _web(spot, rng.uniform(1.5, 2.3), int(rng.integers(2, 5)))
    width = (0.045 + 0.05 * grade) * rng.uniform(0.9, 1.2)
    lines = [line_mask(place, path, width * (1.0 if n == 0 else 0.5)) for n, path in enumerate(paths)]
    gap = np.max(lines, axis=0).astype(np.float32)
    gap = soft(blurred(gap, 0.008) + 0.35 * (place.noise(0.03) - 0.5), 0.35, 0.2)
    edge = soft(blurred(widened(gap, 0.02), 0.012) + 0.5 * (place.noise(0.05) - 0.5), 0.35, 0.3)
    near = blurred(widened(gap, 0.06), 0.06)
    place.paint(_bare_edge(spot), 0.75 * edge)
    # One side of the crack protrudes: a step that catches the light.
    side = np.cumsum(gap, axis=int(rng.integers(2)))
    step = near * soft(side, 0.5, 3.0) * np.float32(0.04 + 0.05 * grade)
    place.shade(lit(4 * step, 1.0))
    place.raise_by(step - np.float32(0.08 + 0.14 * grade) * gap)
    place.paint((0.035, 0.03, 0.025), 0.96 * gap)
    place.claim(widened(gap, 0.04))


def _broken(spot: Spot) -> None:
    rng, grade = spot.rng, (spot.severity - 0.6) / 0.4
    # In the oblique view from inside the pipe, an area as long as wide looks short.
    long, wide = (0.5 + 0.35 * grade) * rng.uniform(0.85, 1.25), (0.38 + 0.3 * grade) * rng.uniform(0.8, 1.3)
    place = window(spot, 2.1 * long, 2.1 * wide)
    if place.empty:
        return
    pieces = in_pieces(place, float(rng.uniform(0.24, 0.38)))
    away = np.hypot(pieces.middles[:, 0] / long, pieces.middles[:, 1] / wide) + rng.normal(0, 0.18, len(pieces.middles))
    away[np.argmin(np.hypot(*pieces.middles.T))] = 0
    fallen, loose = away < 0.55 + 0.35 * grade, away < 1.3
    hole = fallen[pieces.number].astype(np.float32)
    height = _pushed_in(place, pieces, loose & ~fallen, 0.06 + 0.12 * grade)
    web = widened(pieces.borders * (away < 1.5)[pieces.number], 0.006)
    # Of two pieces, the protruding one shows its broken side, and the other lies in its shadow.
    gap = web * (height <= blurred(height, 0.02) + 0.004) * soft(place.noise(0.2), 0.2, 0.2) * (1 - widened(hole, 0.05))
    _show_pieces(place, pieces, height, gap, hole)
    place.raise_by(blurred(height, 0.008))
    _show_soil(place, hole, float(rng.uniform(0.2, 0.4) + 0.2 * grade))
    place.claim(np.maximum(widened(hole, 0.04), np.maximum(height > 0.01, gap)))


def _pushed_in(place: Window, pieces: Pieces, loose: NDArray[np.bool_], lift: float) -> FloatMap:
    """Return the height of pieces pushed into the pipe, each moved and tilted separately, by about `lift` radii."""
    rng, number, count = place.spot.rng, pieces.number, len(loose)
    tilt = rng.normal(0, 2.2, (count, 2)).astype(np.float32)
    each = (loose * lift * rng.uniform(0.1, 1.6, count)).astype(np.float32)
    along = place.colour.along - pieces.middles[:, 0][number]
    around = place.colour.around - pieces.middles[:, 1][number]
    plane = 1 + tilt[:, 0][number] * along + tilt[:, 1][number] * around
    raised: FloatMap = each[number] * np.clip(plane, 0, 2)
    return raised


def _show_pieces(place: Window, pieces: Pieces, height: FloatMap, gap: FloatMap, hole: FloatMap) -> None:
    """Paint broken pieces and the bare material between them."""
    tone = place.spot.rng.uniform(0.75, 1.15, len(pieces.middles)).astype(np.float32)
    place.shade(np.where(height > 0.001, tone[pieces.number], 1).astype(np.float32))
    place.shade(lit(4 * blurred(height, 0.012), 1.0))
    stands = (height > blurred(height, 0.025) + 0.006).astype(np.float32)
    bare = np.maximum(stands * soft(place.noise(0.12), 0.3, 0.2), widened(hole, 0.06))
    edge = soft(blurred(bare, 0.01) + 0.5 * (place.noise(0.05) - 0.5), 0.45, 0.2)
    place.paint(_bare_edge(place.spot) * (0.8 + 0.4 * place.noise(0.03))[..., None], 0.85 * edge)
    place.paint((0.04, 0.035, 0.03), 0.93 * gap)


def _show_soil(place: Window, hole: FloatMap, depth: float) -> None:
    """Draw a hole with soil behind, `depth` radii deep in the middle; its rim shows the wall thickness."""
    rng = place.spot.rng
    soil = np.asarray(_SOIL[int(rng.integers(len(_SOIL)))], np.float32)
    inside = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 5) / np.float32(TEXELS_PER_RADIUS)
    lumps = 0.5 * place.noise(0.13) + 0.5 * place.noise(0.045)
    stones, tint = aggregate(place, 0.09)
    ground = soil * (0.45 + 0.9 * lumps)[..., None]
    ground = np.where((stones > 0.05)[..., None] & (place.noise(0.3) > 0.5)[..., None], 0.8 * tint, ground)
    ground = ground * lit(2.5 * lumps + 0.7 * stones, 0.9)[..., None]
    place.paint((0.05, 0.04, 0.03), soft(inside, 0.02, 0.02))
    place.paint(np.clip(ground, 0, 1), soft(inside, 0.05, 0.04) * (0.6 + 0.4 * soft(inside, 0.05, 0.2)))
    slope = 0.10 * hole + np.float32(depth) * soft(inside, 0.03, 0.28) * (0.6 + 0.8 * (1 - lumps))
    place.raise_by(-slope)


def like_crack_line(spot: Spot) -> None:
    """Draw a line that is not a crack: a scratch, a drawn line or a drip."""
    rng = spot.rng
    place = window(spot, 0.9, 1.3)
    if place.empty:
        return
    kind, heading = int(rng.integers(3)), float(rng.uniform(-0.4, 0.4))
    if kind == 1:
        heading = np.pi / 2
    length, bend = rng.uniform(1.0, 1.7), rng.normal(0, 0.12)
    t = np.linspace(-0.5, 0.5, 30) * length
    bow = bend * (t / length * 2) ** 2
    path = np.stack([t * np.cos(heading) - bow * np.sin(heading), t * np.sin(heading) + bow * np.cos(heading)], axis=1)
    line = line_mask(place, path.astype(np.float32), float(rng.uniform(0.02, 0.04)), taper=False)
    if kind == 0:
        scuffed = line * soft(place.noise((0.04, 0.12)), 0.25, 0.3)
        place.paint(np.clip(np.asarray(spot.look.base) * 1.5 + 0.1, 0, 1), 0.7 * scuffed)
    elif kind == 1:
        drip = blurred(widened(line, 0.012), 0.02) * np.clip(1.1 - np.abs(place.colour.around) / 0.8, 0, 1)
        place.paint(np.asarray(spot.look.base) * 0.35, 0.8 * np.clip(drip, 0, 1))
    else:
        chalk = line * (0.5 + 0.5 * place.noise(0.02))
        place.paint(((0.92, 0.92, 0.88), (0.75, 0.16, 0.12), (0.20, 0.30, 0.62))[int(rng.integers(3))], 0.8 * chalk)
