"""Camera paths that aim at one place after another, as an inspector does, at defects and harmless objects alike."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from urbanpipe.simulate.camera import Camera
from urbanpipe.simulate.options import Kind

QV_START = (0.3, 0.8)
"""Range of s, radii, of a pole camera in the mouth of the pipe."""
CCTV_SPEED = (0.16, 0.34)
"""Range of the mean speed of a crawler, stops included, radii per second."""
UNIFORM_FRAMES = 9
"""Number of uniform frames of a video; glances fall between two of them."""
_WIDE = (0.95, 1.3)


@dataclass(frozen=True)
class Aim:
    """A place that the camera looks at.

    Attributes:
        s: position along the pipe, radii.
        clock: clock angle, radians.
        size: approximate size, radii.
        glance: whether the camera looks at it only briefly, between two of the uniform frames.
    """

    s: float
    clock: float
    size: float
    glance: bool = False


@dataclass(frozen=True)
class _Stand:
    """Position of the camera at a key time: x, y, s."""

    x: float
    y: float
    s: float


def travel(kind: Kind, duration_seconds: float, rng: np.random.Generator) -> float:
    """Return the total distance that the camera travels, radii; 0 for a pole camera."""
    return 0.0 if kind == "qv" else duration_seconds * float(rng.uniform(*CCTV_SPEED))


def glances(rng: np.random.Generator, duration_seconds: float, count: int) -> list[tuple[float, float]]:
    """Return `count` time spans (start, stop), in order, each in a different gap between the uniform frames."""
    gap = duration_seconds / UNIFORM_FRAMES
    places = np.sort(rng.choice(UNIFORM_FRAMES - 1, size=min(count, UNIFORM_FRAMES - 1), replace=False))
    half = 0.5 * min(0.78 * gap, float(rng.uniform(0.9, 1.6)))
    return [(float((place + 1) * gap - half), float((place + 1) * gap + half)) for place in places]


def qv_camera(rng: np.random.Generator, duration_seconds: float, aims: Sequence[Aim], bend: float) -> Camera:
    """Return the path of a pole camera.

    It stands in the mouth of the pipe, pans, tilts and zooms to one aim after the other, and glances aside.
    """
    stand = _Stand(float(rng.uniform(-0.15, 0.15)), float(rng.uniform(-0.25, 0.15)), float(rng.uniform(*QV_START)))
    focal = float(rng.uniform(*_WIDE))
    rest = _key(stand, rng.uniform(-0.12, 0.12), rng.uniform(-0.05, 0.1), focal)
    order = [aim for aim in aims if not aim.glance]
    order = [order[index] for index in rng.permutation(len(order))]
    shares = rng.dirichlet(np.full(2 * len(order) + 1, 3.0)) * duration_seconds
    times, keys, now = [0.0], [rest], float(shares[0]) * float(rng.uniform(0, 1))
    for index, aim in enumerate(order):
        aimed = _towards(rng, stand, aim, focal)
        hold, move = float(shares[2 * index + 1]), float(shares[2 * index + 2])
        start = now + 0.5 * move
        times += [max(times[-1] + 0.05, now), start, start + hold]
        keys += [keys[-1], aimed, _nudged(rng, aimed)]
        now = start + hold + 0.5 * move
    return _with_glances(
        rng, duration_seconds, times, keys=keys, stand=stand, aside=[aim for aim in aims if aim.glance], bend=bend
    )


def cctv_camera(
    rng: np.random.Generator, duration_seconds: float, distance: float, aims: Sequence[Aim], bend: float
) -> Camera:
    """Return the path of a crawler: it drives, stops before most aims, turns its head to them, and drives on."""
    start = float(rng.uniform(0.2, 0.6))
    aside, lift, focal = float(rng.uniform(-0.1, 0.1)), float(rng.uniform(-0.1, 0.3)), float(rng.uniform(*_WIDE))
    stops = sorted((aim for aim in aims if not aim.glance and rng.random() < 0.85), key=lambda aim: aim.s)
    stops = [aim for aim in stops if start + 0.8 < aim.s - 1.0 < start + distance]
    held = rng.uniform(2.0, 5.0, len(stops))
    held *= min(1.0, 0.45 * duration_seconds / max(held.sum(), 1e-6))
    speed = distance / (duration_seconds - float(held.sum()))
    times, keys, now, s = [0.0], [_key(_Stand(aside, lift, start), 0.0, 0.03, focal)], 0.0, start
    for aim, hold in zip(stops, held, strict=True):
        until = max(aim.s - float(rng.uniform(0.9, 1.8)), s)
        arrive = now + (until - s) / speed
        stand = _Stand(aside, lift, until)
        ahead, aimed = _key(stand, 0.0, 0.03, focal), _towards(rng, stand, aim, focal)
        for time, key in (
            (arrive, ahead),
            (arrive + 0.3 * hold, aimed),
            (arrive + 0.75 * hold, aimed),
            (arrive + hold, ahead),
        ):
            times.append(max(times[-1] + 0.05, time))
            keys.append(key)
        now, s = times[-1], until
    times.append(max(duration_seconds, now + 0.1))
    keys.append(_key(_Stand(aside, lift, start + distance), 0.0, 0.03, focal))
    return _camera(rng, duration_seconds, times, keys=keys, bend=bend, shake=0.012)


def _towards(rng: np.random.Generator, stand: _Stand, aim: Aim, focal: float) -> NDArray[np.float64]:
    """Return the key that looks at an aim, not exactly in the middle, with the zoom that shows it large."""
    x, y = 0.8 * np.sin(aim.clock) - stand.x, -0.8 * np.cos(aim.clock) - stand.y
    away = max(0.25, aim.s - stand.s)
    reach = float(np.hypot(away, np.hypot(x, y)))
    zoom = float(np.clip(rng.uniform(0.4, 0.8) * reach / aim.size, focal, 4.5))
    closeness = float(rng.uniform(0.45, 0.95)) if zoom < 1.6 else float(rng.uniform(0.8, 1.0))
    yaw, pitch = np.arctan2(x, away), np.arctan2(y, np.hypot(away, x))
    return _key(stand, float(yaw) * closeness, float(pitch) * closeness, zoom)


def _with_glances(
    rng: np.random.Generator,
    duration_seconds: float,
    times: list[float],
    *,
    keys: list[NDArray[np.float64]],
    stand: _Stand,
    aside: Sequence[Aim],
    bend: float,
) -> Camera:
    """Add short glances aside to a path.

    Before and after each, the camera is where it would have been without it.
    """
    end = max(duration_seconds, times[-1] + 0.1)
    steady = _camera(rng, duration_seconds, [*times, end], keys=[*keys, keys[-1]], bend=bend, shake=0.02)
    for aim, (start, stop) in zip(aside, glances(rng, duration_seconds, len(aside)), strict=False):
        before, after = (_interpolated(steady, time) for time in (start, stop))
        x, y = np.sin(aim.clock), -np.cos(aim.clock)
        aimed = _key(stand, 1.05 * float(x), 0.95 * float(y), float(rng.uniform(0.9, 1.1)))
        quarter = 0.3 * (stop - start)
        inner = (start < steady.times) & (steady.times < stop)
        steady = Camera(
            duration_seconds,
            *_sorted(
                np.concatenate([steady.times[~inner], [start, start + quarter, stop - quarter, stop]]),
                np.concatenate([steady.keys[~inner], [before, aimed, aimed, after]]),
            ),
            steady.shake,
            steady.phases,
            bend,
        )
    return steady


def _sorted(times: NDArray[np.float64], keys: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    order = np.argsort(times, kind="stable")
    return times[order], keys[order]


def _interpolated(camera: Camera, seconds: float) -> NDArray[np.float64]:
    pose = camera.pose(seconds)
    return np.array([pose.x, pose.y, pose.s, pose.yaw, pose.pitch, np.log(pose.focal)])


def _nudged(rng: np.random.Generator, key: NDArray[np.float64]) -> NDArray[np.float64]:
    calm = 0.06 / np.exp(key[5])
    return key + np.array([0, 0, 0, rng.normal(0, calm), rng.normal(0, calm), rng.normal(0, 0.06)])


def _key(stand: _Stand, yaw: float, pitch: float, focal: float) -> NDArray[np.float64]:
    return np.array([stand.x, stand.y, stand.s, yaw, pitch, np.log(focal)])


def _camera(
    rng: np.random.Generator,
    duration_seconds: float,
    times: Sequence[float],
    *,
    keys: Sequence[NDArray[np.float64]],
    bend: float,
    shake: float,
) -> Camera:
    phases = tuple(float(phase) for phase in rng.random(4))
    return Camera(duration_seconds, np.array(times), np.stack(keys), shake * float(rng.uniform(0.3, 1)), phases, bend)
