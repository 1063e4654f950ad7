"""Displaced and separated joints, and wide and stained joints that look like them."""

import cv2
import numpy as np

from urbanpipe.simulate.defects.section import move_section
from urbanpipe.simulate.defects.spot import Spot
from urbanpipe.simulate.material import lit
from urbanpipe.simulate.pipe import DEEPEST, TURN, Patch
from urbanpipe.simulate.surface import Colour, FloatMap, soft

DARK: Colour = (0.06, 0.05, 0.05)


def end_colour(spot: Spot, patch: Patch) -> FloatMap:
    """Return the colour of the fresh, pale end of a pipe, with grain, (rows, columns, 3)."""
    pale = 0.45 * np.asarray(spot.look.base) * 1.35 + 0.55 * np.array((0.78, 0.76, 0.71))
    grain = 0.82 + 0.22 * patch.noise(spot.rng, (0.05, 0.03)) + 0.22 * (patch.noise(spot.rng, (0.4, 0.5)) - 0.4)
    return np.clip(pale * grain[..., None], 0, 1).astype(np.float32)


def displaced_joint(spot: Spot) -> None:
    """Draw a displaced joint (CK).

    The pipe beyond the joint is shifted aside: a crescent of its end is visible, and a dark gap opposite.
    """
    rng, pipe = spot.rng, spot.pipe
    away = spot.between(0.075, 0.33)
    face = 0.03 + 0.12 * away
    beyond = [joint - spot.s for joint in pipe.joints if joint > spot.s + 1.0]
    stop = min([float(rng.uniform(2, 4)), *beyond]) if rng.random() < 0.7 else pipe.length
    back = np.linspace(0, 1, 7)
    knots = np.concatenate([[0, face], face + stop + 1.6 * back])
    share = np.concatenate([[0, 1], 1 - back * back * (3 - 2 * back)])
    if rng.random() < 0.4:
        share[2:] *= float(rng.uniform(0.3, 0.8))
    move_section(pipe, spot.s + knots, away * np.sin(spot.clock) * share, -away * np.cos(spot.clock) * share)
    _paint_crescent(spot, away, face)
    form = pipe.of_form(spot.s + 0.04, spot.clock, 0.125)
    pipe.claim(form, np.broadcast_to(np.cos(form.around) < 0.15, form.shape), spot.owner)


def _paint_crescent(spot: Spot, away: float, face: float) -> None:
    """Paint the end of a pipe shifted by `away`, and the gap on the opposite side.

    `face` is the length of the visible end.
    """
    rng, pipe = spot.rng, spot.pipe
    patch = pipe.of_colour(spot.s, spot.clock, 0.7)
    if min(patch.shape) == 0:
        return
    inward = -np.float32(away) * np.cos(patch.around)
    ragged = np.float32(0.018) * (patch.noise(rng, (0.16, 1.5)) - 0.5)
    along = patch.along + ragged
    gap = 1 - soft(np.abs(along + 0.012), 0.014, 0.016)
    pipe.paint(patch, DARK, gap * np.clip(0.3 + 0.8 * patch.noise(rng, (0.7, 2.0)), 0, 0.9))
    reach = 0.10 - 1.3 * np.minimum(inward, 0)
    shadow = (1 - soft(along / reach, 0.0, 1.0)) * (along > 0) * soft(-inward, 0.0, 0.04)
    pipe.paint(patch, DARK, np.float32(0.85) * shadow)
    end = soft(along, -0.004, 0.012) * (1 - soft(along, face + 0.03, 0.035)) * soft(inward, 0.012, 0.03)
    dirt = 1 - np.float32(0.75 * spot.look.dirt) * soft(patch.noise(rng, (0.3, 2.0)), 0.55, 0.25)
    pipe.paint(patch, end_colour(spot, patch), np.float32(rng.uniform(0.75, 0.95)) * end * dirt)
    lip = (1 - soft(np.abs(along - face), 0.008, 0.016)) * soft(inward, 0.012, 0.03)
    pipe.paint(patch, (0.85, 0.83, 0.78), np.float32(0.4) * lip)


_GROUNDS: tuple[tuple[Colour, Colour], ...] = (
    ((0.30, 0.20, 0.11), (0.42, 0.31, 0.19)),
    ((0.24, 0.19, 0.13), (0.36, 0.30, 0.22)),
    ((0.28, 0.26, 0.23), (0.52, 0.49, 0.43)),
    ((0.05, 0.04, 0.04), (0.12, 0.10, 0.08)),
)
"""Dark and light colour of the ground behind an open joint: clay, earth, gravel, void."""


def separated_joint(spot: Spot) -> None:
    """Draw a separated joint (TJ).

    Two pipes are pulled apart: a gap all around, with their pale ends and soil or darkness between.
    """
    rng, pipe = spot.rng, spot.pipe
    wide = spot.between(0.08, 0.33)
    kind = int(rng.choice(4, p=(0.25, 0.2, 0.2, 0.35)))
    form = pipe.of_form(spot.s, spot.clock, 2.2)
    colour = pipe.of_colour(spot.s, spot.clock, wide + 0.4)
    if min(form.shape) == 0 or min(colour.shape) == 0:
        return
    tilt, filled = float(rng.uniform(0, 0.35)), kind < 3
    deep, lip = float(rng.uniform(0.17, 0.38)), float(rng.uniform(0.0, 0.03 + 0.06 * spot.severity))
    gap = np.float32(wide) * (1 + np.float32(tilt) * np.cos(form.around))
    part = np.clip(form.along / gap, 0, 1)
    rough = 0.55 + 0.9 * (form.noise(rng, (0.10, 0.07)) - 0.3)
    ground = np.float32(deep) * (1 - np.float32(0.8 if filled else 0.15) * part) * (rough if filled else 1.0)
    opened = soft(form.along, 0.0, 0.02) * (1 - soft(form.along - gap, -0.02, 0.035))
    narrower = np.float32(lip) * soft(form.along - gap, -0.02, 0.03) * (1 - soft(form.along, 0.3, 1.8))
    wall = np.asarray(form.values, np.float32)
    form.put(np.minimum(wall + opened * np.maximum(ground, 0.03) - narrower, DEEPEST))
    _paint_gap(spot, colour, wide, tilt, kind)
    if filled and rng.random() < 1.1 * spot.severity - 0.25:
        _soil_below(spot, wide, kind)
    pipe.claim(form, (form.along > -0.04) & (form.along < gap + 0.05), spot.owner)


def _paint_gap(spot: Spot, patch: Patch, wide: float, tilt: float, kind: int) -> None:
    """Paint the soil in an open joint, `wide` on average, and the ends of the pipes beside it."""
    rng, pipe = spot.rng, spot.pipe
    along = patch.along + np.float32(0.028) * (patch.noise(rng, (0.14, 1.5)) - 0.5)
    gap = np.float32(wide) * (1 + np.float32(tilt) * np.cos(patch.around))
    inside = soft(along, -0.012, 0.02) * (1 - soft(along - gap, -0.01, 0.02))
    height = patch.noise(rng, 0.09) + 0.7 * patch.noise(rng, 0.035)
    dark, light = (np.asarray(tone, np.float32) for tone in _GROUNDS[kind])
    part = np.clip(height / 1.5, 0, 1)[..., None]
    soil = (dark + (light - dark) * part) * lit(height, 2.5)[..., None] * np.float32(rng.uniform(0.8, 1.25))
    pipe.paint(patch, soil, np.float32(0.97) * inside)
    pipe.paint(patch, DARK, np.float32(0.8) * inside * (1 - soft(along / gap, 0.15, 0.35)))
    rim = float(rng.uniform(0.035, 0.07))
    far = soft(along - gap, -0.35 * rim, 0.012) * (1 - soft(along - gap, rim, 0.03))
    near = soft(along, -1.3 * rim, 0.03) * (1 - soft(along, -0.015, 0.012))
    worn = 0.5 + 0.6 * soft(patch.noise(rng, (0.35, 2.0)), 0.3, 0.3)
    cover = np.clip((far + np.float32(0.7) * near) * worn, 0, 0.95)
    pipe.paint(patch, end_colour(spot, patch), cover)


def _soil_below(spot: Spot, wide: float, kind: int) -> None:
    """Draw soil that has run in and lies on the invert at the joint."""
    rng, pipe = spot.rng, spot.pipe
    long, half = float(rng.uniform(0.25, 0.6)), float(rng.uniform(0.35, 0.8))
    middle, clock = spot.s + wide / 2 - 0.3 * long, np.pi + float(rng.normal(0, 0.2))
    for patch, is_form in (
        (pipe.of_form(middle, clock, long, half), True),
        (pipe.of_colour(middle, clock, long, half), False),
    ):
        if min(patch.shape) == 0:
            return
        heap = 1 - np.hypot(patch.along / np.float32(long), patch.around / np.float32(half))
        if is_form:
            wall = np.asarray(patch.values, np.float32)
            patch.put(wall - np.float32(rng.uniform(0.08, 0.2)) * soft(heap, 0.0, 0.7))
        else:
            height = patch.noise(rng, 0.06)
            ragged = heap + 0.35 * (patch.noise(rng, 0.1) - 0.5)
            soil = np.asarray(_GROUNDS[kind][1], np.float32) * (lit(height, 2.0) * (0.6 + 0.6 * height))[..., None]
            pipe.paint(patch, soil, np.float32(0.95) * soft(ragged, 0.05, 0.15))


def like_wide_joint(spot: Spot) -> None:
    """Draw a wide joint, even all around, filled with mortar that is smeared beside it."""
    rng, pipe = spot.rng, spot.pipe
    half = float(rng.uniform(0.05, 0.11))
    patch = pipe.of_colour(spot.s, spot.clock, half + 0.35)
    if min(patch.shape) == 0:
        return
    mortar = np.clip(np.asarray(spot.look.base) * 0.5 + 0.38 * rng.uniform(0.8, 1.2), 0, 0.85)
    shade = (0.85 + 0.3 * (patch.noise(rng, 0.06) - 0.5))[..., None]
    reach = half + np.float32(0.12) * np.clip(patch.noise(rng, (0.5, 3.0)) - 0.45, 0, 1) * patch.noise(rng, 0.08) * 3
    away = np.abs(patch.along)
    pipe.paint(patch, mortar.astype(np.float32) * shade, np.float32(0.85) * (1 - soft(away - reach, 0.0, 0.025)))
    pipe.paint(patch, mortar * 0.45, np.float32(0.6) * (1 - soft(np.abs(away - np.float32(half)), 0.004, 0.008)))


def like_stained_joint(spot: Spot) -> None:
    """Draw a joint with a run-off stain of rust or lime below it, and dark streaks flat on the wall."""
    rng, pipe = spot.rng, spot.pipe
    down = 1.0 if spot.clock % TURN < np.pi else -1.0
    long, half = float(rng.uniform(0.2, 0.5)), float(rng.uniform(0.5, 1.0))
    patch = pipe.of_colour(spot.s, spot.clock + down * 0.7 * half, 1.2 * long, half)
    if min(patch.shape) == 0:
        return
    colours: tuple[Colour, ...] = ((0.45, 0.25, 0.11), (0.72, 0.70, 0.64), (0.24, 0.19, 0.14))
    fallen = np.clip(0.7 + patch.around * np.float32(down / half), 0, 1.7)
    streaks = patch.noise(rng, (0.7, 0.025)) + 0.5 * patch.noise(rng, (0.4, 0.08)) - 0.25
    near = 1 - np.abs(patch.along) / np.float32(long) * (0.6 + 0.5 * fallen)
    run = soft(near + 0.9 * (streaks - 0.5), 0.25, 0.4) * (1 - soft(fallen + 0.4 * (streaks - 0.5), 0.7, 0.9))
    run = run * soft(fallen, 0.0, 0.15)
    pipe.paint(patch, colours[rng.integers(3)], np.float32(rng.uniform(0.55, 0.85)) * run)
    mask = np.zeros(patch.shape, np.uint8)
    for _ in range(int(rng.integers(2, 7))):
        rows = np.linspace(0, rng.uniform(0.3, 0.8), 12) * patch.shape[0]
        rows = rows if down > 0 else patch.shape[0] - 1 - rows
        columns = patch.shape[1] * (0.5 + np.cumsum(rng.normal(0, 0.035, 12)))
        line = np.round(np.stack([columns, rows], axis=-1) * 16).astype(np.int32)
        cv2.polylines(mask, [line], False, 255, int(rng.integers(1, 3)), cv2.LINE_AA, 4)
    pipe.paint(patch, (0.15, 0.11, 0.08), np.float32(0.55 / 255) * mask)
