"""Each defect as a shape on the wall, on the floor, or across the section of a scene."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from urbanpipe.simulate.scene import (
    PIXELS_PER_RADIUS,
    SECTION_PIXELS,
    WALL_ROWS,
    Card,
    Floor,
    Scene,
    water,
)
from urbanpipe.simulate.surface import FloatMap, fractal, paint, soft, stamp, value_noise

Draw = Callable[[Scene, np.random.Generator, float], None]


def sediment(scene: Scene, rng: np.random.Generator, s: float) -> None:
    """CJ: a level bed of silt and gravel over a stretch of the invert."""
    shape = (SECTION_PIXELS, scene.columns)
    _, along = scene.grid()
    half = np.float32(rng.uniform(0.7, 1.6))
    body = 1 - ((along - np.float32(s)) / half) ** 2 + 0.9 * (value_noise(rng, shape, (40, 30)) - 0.5)
    grit = 0.55 * fractal(rng, shape, 24, 3) + 0.45 * value_noise(rng, shape, 2.5)
    colour = np.asarray((0.36, 0.27, 0.17), np.float32) * np.float32(rng.uniform(0.8, 1.25))
    rgba = np.empty((*shape, 4), np.float32)
    rgba[..., :3] = colour * (0.35 + 1.3 * grit[..., None])
    paint(rgba[..., :3], (0.62, 0.58, 0.5), 0.8 * soft(value_noise(rng, shape, 5), 0.86, 0.05))
    rgba[..., 3] = soft(body, 0.12, 0.1)
    scene.floors.append(Floor(float(rng.uniform(0.42, 0.66)), rgba))


def scum(scene: Scene, rng: np.random.Generator, s: float) -> None:
    """FZ: rafts of pale foam that drift on water."""
    shape = (SECTION_PIXELS, scene.columns)
    if not any(floor.drift for floor in scene.floors):
        scene.floors.append(water(rng, scene.columns, float(rng.uniform(0.80, 0.9))))
    level = next(floor for floor in scene.floors if floor.drift)
    level.height = min(level.height, 0.84)
    _, along = scene.grid()
    body = fractal(rng, shape, 34, 3) - 0.16 * np.abs(along - np.float32(s))
    bubbles = value_noise(rng, shape, 3)
    rgba = np.empty((*shape, 4), np.float32)
    rgba[..., :3] = np.asarray((0.86, 0.80, 0.62), np.float32) * (0.6 + 0.5 * bubbles[..., None])
    rgba[..., 3] = soft(body, 0.40, 0.03)
    scene.floors.append(Floor(level.height - 0.01, rgba, drift=-0.6 / max(scene.camera.duration_seconds, 4)))


def displaced_joint(scene: Scene, rng: np.random.Generator, s: float) -> None:
    """CK: the next pipe stands off centre; its end shows as a crescent, with a dark gap on the other side."""
    x, y = _section()
    shift, turn = np.float32(rng.uniform(0.19, 0.34)), np.float32(rng.uniform(-np.pi, np.pi))
    beyond = np.hypot(x - shift * np.sin(turn), y + shift * np.cos(turn))
    grain = 0.75 + 0.5 * value_noise(rng, x.shape, 4)
    rgba = np.empty((*x.shape, 4), np.float32)
    rgba[..., :3] = np.clip(np.asarray(scene.look.base) * 1.45, 0, 0.95) * grain[..., None]
    paint(rgba[..., :3], (0.04, 0.04, 0.04), 1 - soft(np.abs(beyond - 1.015), 0.02, 0.012))
    rgba[..., 3] = soft(beyond, 0.99, 0.01)
    scene.cards.append(Card(s, rgba))
    angle, along = scene.grid()
    gap = 0.06 * np.clip(-np.cos(angle - turn), 0, 1) + 0.012
    paint(scene.wall, (0.03, 0.03, 0.03), 1 - soft(np.abs(along - np.float32(s)) - gap, 0.0, 0.012))


def obstacle(scene: Scene, rng: np.random.Generator, s: float) -> None:
    """ZW: a thing that lies on the invert: a stone, a brick or a bottle."""
    x, y = _section()
    size, aside = rng.uniform(0.32, 0.48), rng.uniform(-0.3, 0.3)
    bottom = min(float(np.sqrt(1 - aside**2)), _ground(scene, s) + 0.1)
    across, up = (x - np.float32(aside)) / np.float32(size), (np.float32(bottom - 0.8 * size) - y) / np.float32(size)
    kind = int(rng.integers(3))
    if kind == 0:
        around = np.arctan2(up, across)
        body = 1 - np.hypot(across, up) + 0.15 * np.sin(3 * around + rng.uniform(0, 6)) * np.cos(2 * around)
    elif kind == 1:
        tilt = rng.uniform(-0.5, 0.5)
        wide, high = across * np.cos(tilt) + up * np.sin(tilt), up * np.cos(tilt) - across * np.sin(tilt)
        body = np.minimum(1.1 - np.abs(wide), 0.75 - np.abs(high))
    else:
        body = 0.85 - np.hypot(across, up)
    colours = (
        ((0.72, 0.70, 0.67), (0.58, 0.53, 0.46)),
        ((0.78, 0.28, 0.17), (0.80, 0.72, 0.58)),
        ((0.14, 0.62, 0.26), (0.18, 0.38, 0.85), (0.92, 0.93, 0.90)),
    )[kind]
    colour = np.asarray(colours[rng.integers(len(colours))], np.float32)
    grain = 0.8 + 0.4 * value_noise(rng, x.shape, 5)
    for back in (0.4, 0.3, 0.2, 0.1, 0.0):
        taper = body - (1.4 * back if kind == 0 else 0.1 * back)
        lit = (0.55 + 0.45 * np.clip(0.5 + 0.6 * up, 0, 1.2)) * (1.0 if back == 0 else 0.55)
        rgba = np.empty((*x.shape, 4), np.float32)
        rgba[..., :3] = colour * (lit * grain)[..., None]
        paint(rgba[..., :3], (0.05, 0.05, 0.05), 0.7 * (1 - soft(np.asarray(taper, np.float32), 0.1, 0.07)))
        rgba[..., 3] = soft(np.asarray(taper, np.float32), 0.02, 0.03)
        scene.cards.append(Card(s + back, rgba))


def roots(scene: Scene, rng: np.random.Generator, s: float) -> None:
    """SG: roots that grow through a joint and hang into the pipe, in strands or as a beard."""
    middle, spread = rng.uniform(-1.7, 1.7), rng.uniform(0.45, 0.9)
    colour = np.asarray(((0.40, 0.26, 0.14), (0.52, 0.38, 0.22), (0.30, 0.20, 0.12))[rng.integers(3)], np.float32)
    length = rng.uniform(0.6, 1.1)
    for back in (0.18, 0.12, 0.06, 0.0):
        coarse, fine = _strands(rng, 7, middle, spread, length), _strands(rng, 22, middle, spread, 0.8 * length)
        alpha = np.maximum(stamp((SECTION_PIXELS,) * 2, *coarse, 3.4), stamp((SECTION_PIXELS,) * 2, *fine, 1.7))
        alpha[:2] = 0  # the stamp closes on itself in rows; a section does not
        rgba = np.empty((*alpha.shape, 4), np.float32)
        rgba[..., :3] = colour * (0.6 + 0.7 * value_noise(rng, alpha.shape, 6))[..., None] * (0.7 if back else 1.1)
        rgba[..., 3] = alpha
        scene.cards.append(Card(s + back, rgba))


def _strands(
    rng: np.random.Generator, count: int, middle: float, spread: float, length: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixels along `count` curling lines that start at the wall, grow inwards and hang down."""
    steps = 90
    clock = middle + spread * rng.normal(0, 0.6, (count, 1))
    heading = np.arctan2(np.cos(clock), -np.sin(clock)) + np.cumsum(rng.normal(0, 0.11, (count, steps)), axis=1)
    step = length * rng.uniform(0.5, 1.0, (count, 1)) / steps
    x = np.sin(clock) + np.cumsum(np.cos(heading) * step, axis=1)
    y = -np.cos(clock) + np.cumsum(np.sin(heading) * step, axis=1) + 0.15 * np.linspace(0, 1, steps) ** 2
    scale = SECTION_PIXELS / 2
    return (y.ravel() + 1) * scale, (x.ravel() + 1) * scale


def cracks(scene: Scene, rng: np.random.Generator, s: float) -> None:
    """PL: dark jagged lines in the wall that branch, with broken edges."""
    clock = rng.uniform(-2.0, 2.0)
    lines = [_crack(rng, s, clock, rng.uniform(-0.5, 0.5), rng.uniform(1.4, 2.4))]
    for _ in range(int(rng.integers(3, 6))):
        rows, columns = lines[0]
        start = int(rng.integers(len(rows)))
        turn = rng.choice((-1, 1)) * rng.uniform(0.7, 1.5)
        lines.append(
            _crack(rng, columns[start] / PIXELS_PER_RADIUS, rows[start], turn, rng.uniform(0.5, 1.1), centred=False)
        )
    clocks = np.concatenate([line[0] for line in lines])
    columns = np.concatenate([line[1] for line in lines])
    rows = clocks / (2 * np.pi) * WALL_ROWS
    shape = (WALL_ROWS, scene.columns)
    paint(scene.wall, np.asarray(scene.look.base) * 1.3, 0.8 * stamp(shape, rows + 3, columns, 7.0))
    paint(scene.wall, (0.02, 0.02, 0.02), stamp(shape, rows, columns, float(rng.uniform(4.5, 7.0))))


def _crack(
    rng: np.random.Generator, s: float, clock: float, turn: float, length: float, centred: bool = True
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Clock angles and columns along one jagged line; `turn` 0 runs along the pipe."""
    steps = int(length * PIXELS_PER_RADIUS * 1.2)
    kinks = np.repeat(rng.normal(0, 0.65, steps // 9 + 1), 9)[:steps]
    heading = turn + kinks
    along = np.cumsum(np.cos(heading)) * length / steps
    around = np.cumsum(np.sin(heading)) * length / steps
    if centred:
        along, around = along - along.mean(), around - around.mean()
    return clock + around, (s + along) * PIXELS_PER_RADIUS


def side_connection(scene: Scene, rng: np.random.Generator, s: float) -> None:
    """AJ: a side pipe broken in through the wall: a dark hole with a ragged bright rim."""
    angle, along = scene.grid()
    clock = rng.choice((-1, 1)) * rng.uniform(0.5, 1.9)
    turn = (angle - np.float32(clock) + np.pi) % (2 * np.pi) - np.pi
    radius = np.float32(rng.uniform(0.32, 0.46))
    ragged = 0.22 * (value_noise(rng, scene.wall.shape[:2], 9) - 0.5)
    away = np.hypot(along - np.float32(s), turn) / radius + ragged
    paint(scene.wall, np.clip(np.asarray(scene.look.base) * 1.5, 0, 0.95), 0.85 * (1 - soft(away, 1.22, 0.1)))
    inner = np.clip((along - np.float32(s)) / radius, 0, 1)[..., None]
    depth = np.asarray(scene.look.base, np.float32) * 0.4 * inner
    paint(scene.wall, (depth * np.ones((WALL_ROWS, 1, 1), np.float32)) + 0.015, 1 - soft(away, 0.95, 0.06))


def scale(scene: Scene, rng: np.random.Generator, s: float) -> None:
    """JG: crusts of lime on the wall: pale lumps with lit and shaded sides."""
    angle, along = scene.grid()
    shape = scene.wall.shape[:2]
    clock, wide = rng.uniform(-1.6, 1.6), rng.uniform(0.7, 1.5)
    turn = (angle - np.float32(clock) + np.pi) % (2 * np.pi) - np.pi
    half = np.float32(rng.uniform(0.7, 1.3))
    body = 1 - np.hypot((along - np.float32(s)) / half, turn / np.float32(wide))
    height = fractal(rng, shape, 20, 3)
    cover = soft(body + 1.6 * (height - 0.5), 0.2, 0.08)
    relief = 7 * (np.roll(height, 2, axis=1) - np.roll(height, -2, axis=1))
    tint = np.asarray(((0.88, 0.84, 0.72), (0.80, 0.66, 0.42), (0.92, 0.91, 0.88))[rng.integers(3)], np.float32)
    crust = tint * np.clip(0.72 + relief, 0.2, 1.15)[..., None]
    paint(scene.wall, crust, 0.95 * cover)


def _ground(scene: Scene, s: float) -> float:
    """Height (y) of the deposit at `s`, or 1 where the invert is bare."""
    column = min(int(s * PIXELS_PER_RADIUS), scene.columns - 1)
    deposits = (floor for floor in scene.floors if not floor.drift)
    return min((floor.height for floor in deposits if floor.rgba[:, column, 3].mean() > 0.3), default=1.0)


def _section() -> tuple[FloatMap, FloatMap]:
    """The x and y of a card's pixels, each (SECTION_PIXELS, SECTION_PIXELS)."""
    line = (np.arange(SECTION_PIXELS, dtype=np.float32) + 0.5) / SECTION_PIXELS * 2 - 1
    x, y = np.meshgrid(line, line)
    return x.astype(np.float32), y.astype(np.float32)


DRAW: dict[str, Draw] = {
    "CJ": sediment,
    "CK": displaced_joint,
    "ZW": obstacle,
    "JG": scale,
    "SG": roots,
    "PL": cracks,
    "FZ": scum,
    "AJ": side_connection,
}
"""How each class is drawn; the class that means "nothing wrong" is drawn by drawing nothing."""

AT_JOINTS = {"CK", "SG"}
"""Classes that happen where two pipes meet."""
