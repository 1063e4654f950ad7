"""The bare pipe that the videos of a site share, with harmless details: joints, dirt, stains, shallow water."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from urbanpipe.simulate.material import MATERIALS, wall_colour
from urbanpipe.simulate.pipe import (
    FORM_PER_RADIUS,
    FORM_ROWS,
    Pipe,
    Water,
    box_section,
    egg_section,
    round_section,
)
from urbanpipe.simulate.surface import Colour, FloatMap, soft

_LAMPS: tuple[Colour, ...] = ((1.0, 0.98, 0.93), (1.0, 0.93, 0.80), (0.90, 0.97, 1.0), (1.0, 0.96, 0.86))
_WATERS: tuple[Colour, ...] = ((0.20, 0.20, 0.16), (0.26, 0.24, 0.18), (0.14, 0.16, 0.16), (0.34, 0.31, 0.22))


@dataclass(frozen=True)
class Look:
    """Properties shared by the videos of a site.

    Attributes:
        material: key of `MATERIALS`.
        section: `round`, `egg` or `box`.
        base: colour of the material.
        diameter_mm: diameter of the pipe, mm.
        joint_gap: distance of the joints, radii.
        joint_dark: darkness of their gaps, 0..1.
        dirt: dirt on the lower wall, 0..1.
        water: water level over the invert, radii; None if dry.
        water_colour: colour of the water.
        lamp: colour of the light.
        reach: distance at which the light falls to half, radii.
        exposure: brightness factor of the picture.
        noise: standard deviation of the sensor noise, grey levels (of 255).
        blur: defocus, pixels at a height of 480.
        vignette: loss of light in the corners of the picture.
        bend: barrel distortion of the lens.
        drops: number of water drops on the lens.
        text: style of the on-screen text; 0 for none.
        seed: seed of details.
    """

    material: str
    section: str
    base: Colour
    diameter_mm: int
    joint_gap: float
    joint_dark: float
    dirt: float
    water: float | None
    water_colour: Colour
    lamp: Colour
    reach: float
    exposure: float
    noise: float
    blur: float
    vignette: float
    bend: float
    drops: int
    text: int
    seed: int


def draw_look(rng: np.random.Generator) -> Look:
    """Draw the look of a site."""
    material = str(rng.choice(("concrete", "clay", "plastic", "corrugated", "brick"), p=(0.42, 0.12, 0.14, 0.22, 0.10)))
    section = {"brick": ("egg", "round", "box"), "concrete": ("round", "round", "round", "box", "egg")}.get(
        material, ("round",)
    )
    _, bases, gaps = MATERIALS[material]
    base = np.array(bases[rng.integers(len(bases))]) * rng.uniform(0.85, 1.12) + rng.normal(0, 0.015, 3)
    red, green, blue = (float(value) for value in np.clip(base, 0.12, 0.85))
    return Look(
        material=material,
        section=section[rng.integers(len(section))],
        base=(red, green, blue),
        diameter_mm=int(rng.choice((300, 400, 500, 600, 800, 1000, 1200))),
        joint_gap=float(rng.uniform(*gaps)),
        joint_dark=float(rng.uniform(0.3, 0.8)),
        dirt=float(rng.uniform(0.1, 0.8)),
        water=float(rng.uniform(0.03, 0.22)) if rng.random() < 0.6 else None,
        water_colour=_WATERS[rng.integers(len(_WATERS))],
        lamp=_LAMPS[rng.integers(len(_LAMPS))],
        reach=float(rng.uniform(2.0, 4.5)),
        exposure=float(rng.uniform(0.85, 1.2)),
        noise=float(rng.uniform(2.0, 6.0)),
        blur=float(rng.uniform(0.4, 1.5)),
        vignette=float(rng.uniform(0.1, 0.45)),
        bend=float(rng.uniform(0.0, 0.10)),
        drops=int(rng.integers(1, 5)) if rng.random() < 0.15 else 0,
        text=int(rng.integers(0, 4)),
        seed=int(rng.integers(2**31)),
    )


SECTIONS: dict[str, Callable[[], FloatMap]] = {
    "round": round_section,
    "egg": egg_section,
    "box": lambda: box_section(1.0, 0.85),
}


def bare_pipe(rng: np.random.Generator, look: Look, length: float) -> Pipe:
    """Return a pipe without defects, `length` radii long."""
    section = SECTIONS[look.section]()
    columns = round(length * FORM_PER_RADIUS)
    form = np.repeat(section[:, None], columns, axis=1)
    joints = np.arange(rng.uniform(0.4, 0.9) * min(look.joint_gap, 4.0), length, look.joint_gap)
    pipe = Pipe(section, form, wall_colour(rng, look.material, length, look.base), joints)
    _lay_dirt(pipe, rng, look)
    _draw_joints(pipe, rng, look)
    for _ in range(int(rng.poisson(0.22 * length))):
        _stain(pipe, rng, look)
    if look.water is not None:
        invert = float(section[FORM_ROWS // 2])
        pipe.water = Water(
            level=invert - look.water,
            colour=look.water_colour,
            clearness=float(rng.uniform(0.0, 0.45)),
            drift=float(rng.uniform(-0.9, 0.9)),
            ripple=float(rng.uniform(0.02, 0.10)),
        )
    return pipe


def _lay_dirt(pipe: Pipe, rng: np.random.Generator, look: Look) -> None:
    """Draw a dark film on the lower wall, with a line at an old water level."""
    whole = pipe.of_colour(0.5 * pipe.length, np.pi, pipe.length)
    away = np.abs(whole.around)
    line = float(rng.uniform(0.5, 1.3))
    low = 1 - soft(away + 0.5 * (whole.noise(rng, (0.5, 0.9)) - 0.5), line, 0.25)
    pipe.paint(whole, (0.25, 0.21, 0.16), np.float32(0.75 * look.dirt) * low * (0.6 + 0.4 * whole.noise(rng, 0.3)))


def _draw_joints(pipe: Pipe, rng: np.random.Generator, look: Look) -> None:
    for joint in pipe.joints:
        near = pipe.of_colour(float(joint), 0.0, 0.14)
        if min(near.shape) == 0:
            continue
        wobble = 0.008 * np.sin(near.around * int(rng.integers(1, 4)) + rng.uniform(0, 6))
        away = np.abs(near.along + wobble.astype(np.float32))
        collar, gap = 1 - soft(away, 0.05, 0.03), 1 - soft(away, 0.010, 0.012)
        pipe.paint(near, np.asarray(look.base) * rng.uniform(1.0, 1.25), 0.4 * collar)
        pipe.paint(near, (0.08, 0.07, 0.06), np.float32(look.joint_dark) * gap)
        band = pipe.of_form(float(joint), 0.0, 0.03)
        band.put(band.values + np.float32(0.015))


def _stain(pipe: Pipe, rng: np.random.Generator, look: Look) -> None:
    """Draw a harmless mark, flat and with soft edges: a rust run, a wet patch, a film of lime, a scrape."""
    s, clock = rng.uniform(0.2, pipe.length), rng.uniform(-2.4, 2.4)
    kind = int(rng.integers(4))
    long, wide = ((0.12, 0.8), (0.6, 0.5), (0.5, 0.4), (0.7, 0.03))[kind]
    long, wide = long * rng.uniform(0.6, 1.6), wide * rng.uniform(0.7, 1.4)
    patch = pipe.of_colour(s, clock, 1.5 * long, 1.5 * wide)
    if min(patch.shape) == 0:
        return
    blob = 1 - np.hypot(patch.along / np.float32(long), patch.around / np.float32(wide))
    ragged = blob + 0.6 * (patch.noise(rng, 0.18) - 0.5)
    colour = ((0.42, 0.25, 0.13), np.asarray(look.base) * 0.5, np.asarray(look.base) * 1.2, (0.25, 0.24, 0.22))[kind]
    pipe.paint(patch, colour, np.float32(rng.uniform(0.3, 0.7)) * soft(ragged, 0.2, 0.35))


def ragged_line(rng: np.random.Generator, count: int, strength: float) -> FloatMap:
    """Return a random walk without trend, (count,): the edge of a broken surface."""
    walk = np.cumsum(rng.normal(0, 1, count))
    walk -= np.linspace(walk[0], walk[-1], count)
    return (strength * walk / max(1e-6, np.abs(walk).max())).astype(np.float32)
