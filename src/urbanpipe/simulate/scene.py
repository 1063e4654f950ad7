"""A scene: one stretch of pipe, what is on its wall, what lies in it, and how the camera goes through.

Lengths are in pipe radii. `s` runs along the pipe from where the camera starts; the clock angle is 0 at the crown and
grows clockwise; in the section x points right and y down, so the invert is at y = 1.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from urbanpipe.simulate.surface import Colour, FloatMap, fractal, paint, soft, value_noise

WALL_ROWS = 512
PIXELS_PER_RADIUS = 80
SECTION_PIXELS = 160
FAR = 9.0


@dataclass(frozen=True)
class Camera:
    """Where the camera is and looks at each time.

    Attributes:
        duration_seconds: length of the video.
        travel: distance driven in all, radii.
        offset: place of the camera in the section, (x, y).
        focal: focal length over half the picture's height.
        sway: amplitude of panning and tilting, in half heights.
        phases: six numbers in 0..1 that make the movements of this video its own.
    """

    duration_seconds: float
    travel: float
    offset: tuple[float, float]
    focal: float
    zoom: float
    sway: float
    exposure: float
    phases: tuple[float, ...]

    def distance(self, seconds: float) -> float:
        """How far it has driven at a time, radii: forward only, with uneven speed."""
        part = seconds / self.duration_seconds
        wave = np.sin(2 * np.pi * (part + self.phases[0])) - np.sin(2 * np.pi * self.phases[0])
        return self.travel * float(part + 0.13 * wave)

    def focal_at(self, seconds: float) -> float:
        """Focal length at a time."""
        return self.focal * (1 + self.zoom * float(np.sin(2 * np.pi * (0.09 * seconds + self.phases[1]))))

    def pan(self, seconds: float) -> tuple[float, float]:
        """Shift of the picture, (right, down), in half heights."""
        right = np.sin(2 * np.pi * (0.17 * seconds + self.phases[2]))
        down = np.sin(2 * np.pi * (0.13 * seconds + self.phases[3]))
        return self.sway * float(right), self.sway * float(down)

    def gain(self, seconds: float) -> float:
        """Exposure at a time."""
        drift = np.sin(2 * np.pi * (0.07 * seconds + self.phases[4])) + 0.4 * np.sin(
            2 * np.pi * (0.31 * seconds + self.phases[5])
        )
        return 1 + self.exposure * float(drift)


@dataclass
class Floor:
    """A level surface in the pipe: water, or the top of a deposit.

    Attributes:
        height: its y; 1 is the invert, 0 the axis.
        rgba: (SECTION_PIXELS rows over x -1..1, columns over s, 4), float32 0..1.
        drift: how fast it moves along the pipe, radii a second.
    """

    height: float
    rgba: FloatMap
    drift: float = 0.0


@dataclass
class Card:
    """A thin thing across the section at `s`.

    Attributes:
        s: where.
        rgba: (SECTION_PIXELS, SECTION_PIXELS, 4) over y and x -1..1, float32 0..1.
    """

    s: float
    rgba: FloatMap


@dataclass(frozen=True)
class Look:
    """What the videos of a site share: pipe, light and camera."""

    base: Colour
    lamp: Colour
    reach: float
    roughness: float
    joint_gap: float
    joint_dark: float
    noise: float
    water: float | None
    dirt: float


@dataclass
class Scene:
    """One video's pipe. `wall` is (WALL_ROWS over the clock angle, columns over s, 3), float32 0..1."""

    look: Look
    camera: Camera
    joints: NDArray[np.float64]
    wall: FloatMap
    floors: list[Floor] = field(default_factory=list)
    cards: list[Card] = field(default_factory=list)

    @property
    def columns(self) -> int:
        """Pixels along the pipe."""
        return int(self.wall.shape[1])

    def grid(self) -> tuple[FloatMap, FloatMap]:
        """Clock angle (WALL_ROWS, 1) in -pi..pi, the invert at both ends, and s (1, columns) of the wall's pixels."""
        turn = (np.arange(WALL_ROWS)[:, None] + 0.5) / WALL_ROWS * 2 * np.pi
        angle = np.where(turn > np.pi, turn - 2 * np.pi, turn).astype(np.float32)
        s = ((np.arange(self.columns)[None] + 0.5) / PIXELS_PER_RADIUS).astype(np.float32)
        return angle, s


BASES: tuple[Colour, ...] = (
    (0.62, 0.60, 0.55),
    (0.52, 0.53, 0.54),
    (0.58, 0.47, 0.38),
    (0.66, 0.62, 0.50),
    (0.50, 0.54, 0.50),
    (0.70, 0.68, 0.66),
)
LAMPS: tuple[Colour, ...] = ((1.0, 0.98, 0.92), (1.0, 0.92, 0.78), (0.90, 0.97, 1.0))


def draw_look(rng: np.random.Generator) -> Look:
    """The look of a site."""
    base = np.array(BASES[rng.integers(len(BASES))]) * rng.uniform(0.88, 1.1) + rng.normal(0, 0.015, 3)
    red, green, blue = (float(value) for value in np.clip(base, 0.2, 0.85))
    return Look(
        base=(red, green, blue),
        lamp=LAMPS[rng.integers(len(LAMPS))],
        reach=float(rng.uniform(2.2, 3.4)),
        roughness=float(rng.uniform(0.10, 0.28)),
        joint_gap=float(rng.uniform(1.8, 3.2)),
        joint_dark=float(rng.uniform(0.35, 0.75)),
        noise=float(rng.uniform(3, 6.5)),
        water=float(rng.uniform(0.86, 0.95)) if rng.random() < 0.55 else None,
        dirt=float(rng.uniform(0.1, 0.5)),
    )


def draw_camera(rng: np.random.Generator, duration_seconds: float) -> Camera:
    """The camera's way through one video."""
    return Camera(
        duration_seconds=duration_seconds,
        travel=min(float(rng.uniform(0.35, 0.95)) * duration_seconds, 18.0),
        offset=(float(rng.uniform(-0.12, 0.12)), float(rng.uniform(-0.1, 0.2))),
        focal=float(rng.uniform(0.95, 1.2)),
        zoom=float(rng.uniform(0, 0.1)),
        sway=float(rng.uniform(0.02, 0.1)),
        exposure=float(rng.uniform(0.02, 0.09)),
        phases=tuple(float(phase) for phase in rng.random(6)),
    )


def bare_scene(rng: np.random.Generator, look: Look, camera: Camera) -> Scene:
    """A pipe without defects, but with joints, dirt, stains and perhaps water."""
    columns = int((camera.travel + FAR) * PIXELS_PER_RADIUS)
    joints = np.arange(rng.uniform(0.3, 1) * look.joint_gap, camera.travel + FAR, look.joint_gap)
    shape = (WALL_ROWS, columns)
    grain = fractal(rng, shape, 40, 4) - 0.5 + 0.5 * (value_noise(rng, shape, 1.5) - 0.5)
    shade = 1 + np.float32(2 * look.roughness) * grain
    wall = np.asarray(look.base, np.float32) * shade[..., None]
    scene = Scene(look, camera, joints, wall)
    _lay_dirt(scene, rng)
    _draw_joints(scene, rng)
    for _ in range(int(rng.poisson(2.5))):
        _stain(scene, rng)
    if look.water is not None:
        scene.floors.append(water(rng, columns, look.water))
    np.clip(scene.wall, 0.02, 1, out=scene.wall)
    return scene


def _lay_dirt(scene: Scene, rng: np.random.Generator) -> None:
    angle, _ = scene.grid()
    low = soft(np.abs(angle), 2.45, 0.5) * value_noise(rng, scene.wall.shape[:2], (60, 90))
    paint(scene.wall, (0.27, 0.22, 0.17), np.float32(scene.look.dirt) * low)


def _draw_joints(scene: Scene, rng: np.random.Generator) -> None:
    angle, s = scene.grid()
    for joint in scene.joints:
        near = slice(*np.searchsorted(s[0], (joint - 0.2, joint + 0.2)))
        wobble = 0.012 * np.sin(angle + rng.uniform(0, 6)).astype(np.float32)
        away = np.abs(s[:, near] - np.float32(joint) - wobble)
        collar, gap = 1 - soft(away, 0.09, 0.03), 1 - soft(away, 0.022, 0.014)
        paint(scene.wall[:, near], np.asarray(scene.look.base) * 1.15, 0.45 * collar)
        paint(scene.wall[:, near], (0.1, 0.09, 0.08), np.float32(scene.look.joint_dark) * gap)


def _stain(scene: Scene, rng: np.random.Generator) -> None:
    """An innocent mark: a rust run, a wet patch, or a film of lime: flat, with soft edges."""
    angle, s = scene.grid()
    place, clock = rng.uniform(0.5, s.max()), rng.uniform(-2.4, 2.4)
    kind = rng.integers(3)
    long, wide = ((0.15, 0.9), (0.7, 0.5), (0.6, 0.45))[kind]
    turn = (angle - np.float32(clock) + np.pi) % (2 * np.pi) - np.pi
    blob = 1 - np.hypot((s - np.float32(place)) / (long * rng.uniform(0.7, 1.6)), turn / (wide * rng.uniform(0.7, 1.4)))
    ragged = blob.astype(np.float32) + 0.6 * (value_noise(rng, scene.wall.shape[:2], 22) - 0.5)
    colour = ((0.42, 0.25, 0.13), np.asarray(scene.look.base) * 0.5, np.asarray(scene.look.base) * 1.2)[kind]
    paint(scene.wall, colour, np.float32(rng.uniform(0.35, 0.75)) * soft(ragged, 0.25, 0.3))


def water(rng: np.random.Generator, columns: int, height: float) -> Floor:
    """Shallow water on the invert: dark, with ripples that glint."""
    shape = (SECTION_PIXELS, columns)
    ripple = value_noise(rng, shape, (10, 5))
    rgba = np.empty((*shape, 4), np.float32)
    rgba[..., :3] = np.asarray((0.20, 0.20, 0.17), np.float32) * (0.7 + 0.6 * ripple[..., None])
    paint(rgba[..., :3], (0.8, 0.82, 0.8), 0.8 * soft(ripple, 0.88, 0.08))
    rgba[..., 3] = 0.85
    return Floor(height, rgba, drift=float(rng.uniform(-0.5, -0.2)))
