"""Defects of the section and of the alignment of the pipe, and details that look like them."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from urbanpipe.simulate.defects.spot import Spot
from urbanpipe.simulate.material import lit
from urbanpipe.simulate.pipe import DEEPEST, FORM_ROWS, Patch, Pipe, Water, shifted
from urbanpipe.simulate.scene import ragged_line
from urbanpipe.simulate.surface import Colour, FloatMap, soft

_NARROWEST = 0.22
"""Minimum distance of a deformed section from the axis, radii."""


def move_section(pipe: Pipe, s: ArrayLike, dx: ArrayLike, dy: ArrayLike) -> None:
    """Shift the wall sideways, with the details on it.

    Args:
        pipe: pipe whose form is changed.
        s: (knots,), increasing, radii; nothing changes outside them.
        dx: (knots,), shift to the right at the knots, linear between them, radii.
        dy: (knots,), shift down at the knots, linear between them, radii.
    """
    knots = np.asarray(s, np.float32)
    patch = pipe.of_form(float(knots[0] + knots[-1]) / 2, 0.0, float(knots[-1] - knots[0]) / 2)
    if min(patch.shape) == 0:
        return
    change = (shifted(pipe.section, dx, dy) - pipe.section[:, None])[patch.rows]
    place = np.interp(patch.s[0], knots, np.arange(len(knots)))
    before = np.clip(place.astype(int), 0, len(knots) - 2)
    part = (place - before).astype(np.float32)
    moved = change[:, before] * (1 - part) + change[:, before + 1] * part
    patch.put(np.clip(np.asarray(patch.values, np.float32) + moved, 0.05, DEEPEST))


@dataclass(frozen=True)
class _Dent:
    """A dent in a section, relative to the middle of the dent.

    Attributes:
        wall: distance to the original wall, (rows, columns), radii.
        around: angle from the middle, (rows, 1).
        depth: depth at every column, (1, columns), radii.
        width: half the angle of the dent.
        skew: angle of the crest from the middle, radians.
    """

    wall: FloatMap
    around: FloatMap
    depth: FloatMap
    width: float
    skew: float

    @property
    def from_crest(self) -> FloatMap:
        """Angle from the crest, which shifts with the skew along the dent, (rows, columns)."""
        lean = np.float32(self.skew) * self.depth / max(1e-6, float(self.depth.max()))
        return self.around - lean


def _ovalised(dent: _Dent) -> tuple[FloatMap, list[FloatMap]]:
    """Flatten the section: lower above, wider at the sides."""
    toward, across = np.cos(dent.around), np.sin(dent.around)
    upper = 1 - dent.depth
    lower = 1 - np.float32(0.25) * dent.depth
    high = np.where(toward > 0, upper, lower)
    wide = 1 + np.float32(0.45) * dent.depth
    factor = 1 / np.sqrt((toward / high) ** 2 + (across / wide) ** 2)
    side = np.full_like(dent.depth, 1.5)
    return dent.wall * factor, [np.zeros_like(dent.depth), side, -side]


def _heart(dent: _Dent) -> tuple[FloatMap, list[FloatMap]]:
    """Press in a round dent with shoulders beside it."""
    away = dent.from_crest / np.float32(dent.width)
    shoulder = np.exp(-(((np.abs(away) - np.float32(1.9)) / np.float32(0.7)) ** 2))
    new = dent.wall - dent.depth * (np.exp(-(away**2)) - np.float32(0.22) * shoulder)
    edge = np.full_like(dent.depth, 1.35 * dent.width)
    return new, [np.zeros_like(dent.depth), edge, -edge]


def _panel(dent: _Dent) -> tuple[FloatMap, list[FloatMap]]:
    """Press in a flat panel with a corner on either side."""
    toward = np.cos(dent.from_crest)
    plane = np.where(toward > 0.12, (1 - dent.depth) / np.maximum(toward, np.float32(0.12)), np.float32(9))
    sharp = np.float32(16)
    new = -np.log(np.exp(-sharp * (dent.wall - 1)) + np.exp(-sharp * (plane - 1))) / sharp + 1
    new = np.where(dent.depth > 0.01, np.minimum(new, dent.wall), dent.wall)
    corner = np.arccos(np.clip(1 - dent.depth, 0.1, 1))
    return new, [corner, -corner]


def _ridge(dent: _Dent) -> tuple[FloatMap, list[FloatMap]]:
    """Press in a fold that protrudes into the pipe like a corner."""
    away = np.sqrt((dent.from_crest / np.float32(1.5 * dent.width)) ** 2 + np.float32(0.004))
    new = dent.wall - dent.depth * np.clip(np.float32(1.06) - away, 0, 1) ** np.float32(1.15)
    edge = np.full_like(dent.depth, 1.5 * dent.width)
    return new, [np.zeros_like(dent.depth), edge, -edge]


def _buckled(dent: _Dent) -> tuple[FloatMap, list[FloatMap]]:
    """Buckle a thin wall in a wide wave: one deep lobe and a smaller one beside it."""
    away = dent.from_crest / np.float32(dent.width)
    second = np.exp(-(((away - np.float32(2.2)) / np.float32(0.8)) ** 2))
    between = np.exp(-(((away - np.float32(1.15)) / np.float32(0.5)) ** 2))
    new = dent.wall - dent.depth * (
        np.exp(-((away / np.float32(0.9)) ** 2)) + np.float32(0.5) * second - np.float32(0.3) * between
    )
    side = np.full_like(dent.depth, 1.15 * dent.width)
    return new, [np.zeros_like(dent.depth), side]


_SHAPES = (_heart, _panel, _ridge, _buckled, _ovalised)


def deformation(spot: Spot) -> None:
    """Draw a deformation (BX): a flattened crown, a dent, a fold or a buckle."""
    rng, pipe = spot.rng, spot.pipe
    half, depth = float(rng.uniform(0.7, 1.5)), spot.between(0.2, 0.58)
    patch = pipe.of_form(spot.s, spot.clock, half)
    if min(patch.shape) == 0:
        return
    thin = spot.look.material in ("plastic", "corrugated")
    shape = _SHAPES[int(rng.choice(5, p=(0.3, 0.2, 0.15, 0.25, 0.1) if thin else (0.3, 0.25, 0.2, 0.05, 0.2)))]
    profile = _profile(rng, patch, half)
    wall = np.asarray(patch.values, np.float32)
    dent = _Dent(wall, patch.around, np.float32(depth) * profile, float(rng.uniform(0.38, 0.72)), rng.normal(0, 0.2))
    new, folds = shape(dent)
    bumps = np.float32(0.05 * depth) * profile * (patch.noise(rng, 0.35) - 0.5)
    new = np.maximum(new + bumps, np.minimum(wall, np.float32(_NARROWEST)))
    patch.put(new)
    pipe.claim(patch, (wall - new > max(0.025, 0.2 * depth)) & (np.cos(patch.around) > -0.1), spot.owner)
    _shade(spot, half, wall - new)
    for line in folds:
        if rng.random() < 0.35 + 0.6 * spot.severity:
            _crease(spot, half, line[0], profile[0], thin)


def _profile(rng: np.random.Generator, patch: Patch, half: float) -> FloatMap:
    """Return the strength of a dent along the pipe, (1, columns), 0 at both ends, 1 at the peak."""
    peak, flat = float(rng.uniform(-0.3, 0.3)) * half, float(rng.uniform(0.05, 0.35)) * half
    near = 1 - soft(peak - patch.along, flat, half + peak - flat)
    far = 1 - soft(patch.along - peak, flat, half - peak - flat)
    return near * far


def _shade(spot: Spot, half: float, pressed: FloatMap) -> None:
    """Draw relief and wear on a dent.

    `pressed` is the inward shift of the wall on the grid of the form, radii.
    """
    patch = spot.pipe.of_colour(spot.s, spot.clock, half)
    fine = cv2.resize(pressed, patch.shape[::-1], interpolation=cv2.INTER_LINEAR)
    around = np.gradient(fine, axis=0) * np.float32(122)
    strength = np.float32(0.28)
    shade = (
        np.minimum(lit(fine, 11.0), 1.3)
        * np.clip(1 - strength * np.abs(around), 0.6, 1)
        * (1 + np.float32(0.35) * fine)
    )
    patch.put(patch.values * shade[..., None])


def _crease(spot: Spot, half: float, line: FloatMap, profile: FloatMap, thin: bool) -> None:
    """Draw the line of a fold: a crack with a bright lip, or whitened plastic.

    `line` is its angle at the columns of the form.
    """
    rng = spot.rng
    reach = min(np.pi, float(np.abs(line).max()) + 0.15)
    patch = spot.pipe.of_colour(spot.s, spot.clock, half, reach)
    if min(patch.shape) == 0:
        return
    columns = patch.shape[1]
    path = np.interp(np.linspace(0, 1, columns), np.linspace(0, 1, len(line)), line)
    strong = np.interp(np.linspace(0, 1, columns), np.linspace(0, 1, len(profile)), profile).astype(np.float32)
    away = patch.around - (path + ragged_line(rng, columns, 0.07))[None].astype(np.float32)
    broken = soft(patch.noise(rng, (3.0, 0.25)), 0.1, 0.25)
    width = float(rng.uniform(0.008, 0.016)) * (0.6 + 0.7 * spot.severity)
    core = (1 - soft(np.abs(away), 0.3 * width, width)) * soft(strong, 0.12, 0.4) * broken
    lip = (1 - soft(np.abs(away - 1.8 * width), width, 1.5 * width)) * soft(strong, 0.2, 0.4)
    pale = np.clip(np.asarray(spot.look.base) * 1.1 + (0.16 if thin else 0.08), 0, 1)
    spot.pipe.paint(patch, pale, np.float32(0.4) * lip)
    dark: Colour = (0.12, 0.10, 0.09)
    spot.pipe.paint(patch, dark, np.float32(0.3 + 0.6 * spot.severity) * core * np.float32(0.6 if thin else 1.0))


_MURKY: tuple[Colour, ...] = ((0.46, 0.43, 0.34), (0.38, 0.41, 0.33), (0.52, 0.44, 0.31), (0.36, 0.38, 0.38))
"""Colours of standing water."""


def sag(spot: Spot) -> None:
    """Draw a sag (QF).

    The alignment of the pipe dips: water stands in the low part, and the pipe beyond appears cut off.
    """
    rng, pipe = spot.rng, spot.pipe
    half, depth = float(rng.uniform(1.6, 2.5)), spot.between(0.3, 0.66)
    knots = np.linspace(-1, 1, 21)
    lean = float(rng.uniform(-0.25, 0.25))
    down = depth * 0.5 * (1 + np.cos(np.pi * np.clip(knots - lean * (1 - knots**2), -1, 1)))
    aside = np.sin(np.pi * (knots + 1) / 2) ** 2 * rng.uniform(-0.06, 0.06)
    move_section(pipe, spot.s + half * knots, aside, down)
    invert = float(pipe.section[FORM_ROWS // 2])
    level = invert + float(rng.uniform(-0.10, 0.06)) * depth
    if pipe.water is None:
        clearness, ripple = float(rng.uniform(0, 0.15)), float(rng.uniform(0.02, 0.06))
        pipe.water = Water(level, _MURKY[rng.integers(len(_MURKY))], clearness, 0.03, ripple)
    pipe.water.level = min(level, pipe.water.level)
    deep = knots[down + invert > pipe.water.level + 0.35 * depth]
    start, stop = spot.s + half * float(deep.min()), spot.s + half * float(deep.max())
    if spot.owner:
        pipe.pools.append((start, stop, spot.owner))
    _tide(spot, half, pipe.water.level, (start, stop))


def _tide(spot: Spot, half: float, level: float, pool: tuple[float, float]) -> None:
    """Draw dirt and lines that the water in a dip has left, and claim the wall above it.

    `level` is the y of the water.
    """
    rng, pipe = spot.rng, spot.pipe
    form = pipe.of_form(spot.s, np.pi, half, 1.9)
    colour = pipe.of_colour(spot.s, np.pi, half, 1.9)
    if min(form.shape) == 0:
        return
    above = np.float32(level) + np.asarray(form.values, np.float32) * np.cos(form.clock)
    inside = (form.s > pool[0]) & (form.s < pool[1])
    pipe.claim(form, inside & (above > -0.02) & (above < 0.10), spot.owner)
    fine = cv2.resize(above.astype(np.float32), colour.shape[::-1], interpolation=cv2.INTER_LINEAR)
    fine += np.float32(0.05) * (colour.noise(rng, (0.15, 0.5)) - 0.5)
    ends = soft(np.float32(half) - np.abs(colour.along), 0.25 * half, 0.3 * half)
    high = float(rng.uniform(0.06, 0.22))
    film = (1 - soft(fine, high, 0.06)) * (0.55 + 0.45 * colour.noise(rng, 0.2))
    pipe.paint(colour, (0.24, 0.20, 0.14), np.float32(0.5) * film * ends)
    line = 1 - soft(np.abs(fine - np.float32(high + 0.03)), 0.012, 0.03)
    line = np.maximum(line, 1 - soft(np.abs(fine - np.float32(0.015)), 0.008, 0.02))
    pipe.paint(
        colour, (0.55, 0.52, 0.44), np.float32(0.7) * line * ends * np.clip(colour.noise(rng, (0.3, 0.3)) + 0.2, 0, 1)
    )


def like_narrow_ring(spot: Spot) -> None:
    """Draw a repair sleeve: a thin, even, clean ring in the pipe."""
    rng, pipe = spot.rng, spot.pipe
    half, thick = float(rng.uniform(0.18, 0.5)), float(rng.uniform(0.015, 0.04))
    form = pipe.of_form(spot.s, 0.0, half + 0.1)
    if min(form.shape) == 0:
        return
    wall = np.asarray(form.values, np.float32)
    form.put(wall - np.float32(thick) * (1 - soft(np.abs(form.along), half - 0.02, 0.04)))
    patch = pipe.of_colour(spot.s, 0.0, half + 0.1)
    colours: tuple[Colour, ...] = ((0.66, 0.67, 0.68), (0.74, 0.72, 0.64), (0.46, 0.50, 0.47), (0.40, 0.42, 0.46))
    cover = 1 - soft(np.abs(patch.along), half, 0.012)
    fine = patch.noise(rng, (0.9, 0.015)) * np.float32(0.12) + patch.noise(rng, 0.4) * np.float32(0.10)
    sleeve = np.asarray(colours[rng.integers(4)], np.float32) * (0.88 + fine)[..., None]
    pipe.paint(patch, sleeve, np.float32(rng.uniform(0.8, 0.95)) * cover * np.ones_like(fine))
    rims = 1 - soft(np.abs(np.abs(patch.along) - np.float32(half)), 0.006, 0.01)
    pipe.paint(patch, (0.12, 0.11, 0.10), np.float32(0.7) * rims * (0.6 + fine * 3))
    foot = 1 - soft(np.pi - np.abs(patch.around) + 0.3 * (patch.noise(rng, 0.3) - 0.5), 0.5, 0.3)
    pipe.paint(patch, (0.27, 0.23, 0.17), np.float32(0.7 * spot.look.dirt) * foot * cover)


def like_puddle(spot: Spot) -> None:
    """Draw a wet, dark, flat patch on the invert of a pipe without a dip."""
    rng, pipe = spot.rng, spot.pipe
    long, wide = float(rng.uniform(0.6, 1.4)), float(rng.uniform(0.25, 0.5))
    if pipe.water is not None:
        wide += float(np.arccos(np.clip(pipe.water.level, 0.3, 1)))
    patch = pipe.of_colour(spot.s, np.pi, 1.3 * long, 1.3 * wide)
    if min(patch.shape) == 0:
        return
    ragged = 1 - np.hypot(patch.along / np.float32(long), patch.around / np.float32(wide))
    ragged = ragged + np.float32(0.5) * (patch.noise(rng, (0.22, 0.4)) - 0.5)
    pipe.paint(patch, np.asarray(spot.look.base) * 0.35, np.float32(rng.uniform(0.55, 0.85)) * soft(ragged, 0.1, 0.2))
    gleam: NDArray[np.float32] = soft(ragged, 0.3, 0.3) * soft(patch.noise(rng, (0.04, 0.5)), 0.72, 0.2)
    pipe.paint(patch, (0.75, 0.75, 0.72), np.float32(0.2) * gleam)
