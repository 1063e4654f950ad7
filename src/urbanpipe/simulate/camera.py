"""The camera: its position and direction at each time, and the projection of points of the pipe.

Image coordinates are in half heights from the centre, x to the right and y down.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from urbanpipe.simulate.pipe import FORM_PER_RADIUS


@dataclass(frozen=True)
class Pose:
    """Position and direction of the camera at one time.

    Attributes:
        x, y, s: position, radii.
        yaw: angle to the right of the axis, radians.
        pitch: angle down from the axis, radians.
        focal: focal length, half heights.
        bend: barrel distortion: a point r half heights from the centre would be at r + bend * r^3 without it.
    """

    x: float
    y: float
    s: float
    yaw: float
    pitch: float
    focal: float
    bend: float = 0.0

    @property
    def axes(self) -> NDArray[np.float64]:
        """Rows: the camera's right, down and forward in (x, y, s)."""
        cy, sy, cp, sp = np.cos(self.yaw), np.sin(self.yaw), np.cos(self.pitch), np.sin(self.pitch)
        return np.array([[cy, 0.0, -sy], [-sy * sp, cp, -cy * sp], [sy * cp, sp, cy * cp]])

    def project(self, points: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Project points (n, 3) into the image.

        Returns:
            Positions (n, 2) in half heights, and depths (n,); a point is visible only if its depth is > 0.
        """
        away = (np.asarray(points, np.float64) - (self.x, self.y, self.s)) @ self.axes.T
        depth = away[:, 2]
        plane = away[:, :2] / np.maximum(depth, 1e-6)[:, None] * self.focal
        if self.bend < 1e-6:
            return plane, depth
        radius = np.maximum(np.linalg.norm(plane, axis=1), 1e-9)
        pitch = np.sqrt(1 / (3 * self.bend))  # the real root of bend * seen^3 + seen = radius
        seen = 2 * pitch * np.sinh(np.arcsinh(1.5 * radius / pitch) / 3)
        return plane * (seen / radius)[:, None], depth

    def rays(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.float32]:
        """Return the directions (..., 3), of length 1, of the rays through image points (x, y) in half heights."""
        x, y = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64))
        seen = np.stack([x, y], axis=-1)
        plane = seen * (1 + self.bend * (seen**2).sum(-1, keepdims=True))
        local = np.concatenate([plane / self.focal, np.ones((*plane.shape[:-1], 1))], axis=-1)
        world = local @ self.axes
        return (world / np.linalg.norm(world, axis=-1, keepdims=True)).astype(np.float32)


@dataclass(frozen=True)
class Camera:
    """Camera path through the pipe: poses at key times, interpolated smoothly.

    Attributes:
        duration_seconds: length of the video.
        times: (keys,), key times, increasing from 0.
        keys: (keys, 6): x, y, s, yaw, pitch, log of the focal length.
        shake: amplitude of the camera shake, radians.
        phases: (4,), 0..1, phases of the shake, specific to this video.
        bend: barrel distortion of the lens.
        lane: middle (x, y) of the free section by s, (n, 2), `FORM_PER_RADIUS` per radius, added to the position; None:
            the axis.
    """

    duration_seconds: float
    times: NDArray[np.float64]
    keys: NDArray[np.float64]
    shake: float
    phases: tuple[float, ...]
    bend: float
    lane: NDArray[np.float64] | None = None

    def pose(self, seconds: float) -> Pose:
        """Return the pose of the camera at a time."""
        after = int(np.clip(np.searchsorted(self.times, seconds, side="right"), 1, len(self.times) - 1))
        start, stop = self.times[after - 1], self.times[after]
        part = float(np.clip((seconds - start) / (stop - start), 0, 1))
        part = part * part * (3 - 2 * part)
        x, y, s, yaw, pitch, log_focal = self.keys[after - 1] + (self.keys[after] - self.keys[after - 1]) * part
        calm = self.shake / max(1.0, float(np.exp(log_focal)))
        wave = [np.sin(TWO_PI * (rate * seconds + phase)) for rate, phase in zip(_RATES, self.phases, strict=True)]
        yaw += calm * (wave[0] + 0.5 * wave[1])
        pitch += calm * (wave[2] + 0.5 * wave[3])
        if self.lane is not None:
            x, y = (x, y) + self.lane[int(np.clip(s * FORM_PER_RADIUS, 0, len(self.lane) - 1))]
        return Pose(float(x), float(y), float(s), float(yaw), float(pitch), float(np.exp(log_focal)), self.bend)


TWO_PI = 2 * np.pi
_RATES = (0.37, 1.3, 0.29, 1.7)
