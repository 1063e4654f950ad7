"""Ray casting in the pipe: the first point of the wall or of the water that each ray meets."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from urbanpipe.simulate.camera import Pose
from urbanpipe.simulate.pipe import FORM_PER_RADIUS, FORM_ROWS, TURN, Pipe
from urbanpipe.simulate.surface import FloatMap

SIGHT = 16.0
"""Maximum visible distance, radii."""
_CLEAR = np.float32(0.25), np.float32(0.8)
"""Radii of the neighbourhoods that a step is checked against; a step is as long as the best of them allows."""
_STEPS = 120
_INSIDE = 0.02
"""Depth behind the surface, radii, at which colour and owner are looked up, so that steep fronts have their own."""


@dataclass(frozen=True)
class Hits:
    """Where rays end; all arrays are (rows, columns).

    Attributes:
        distance: distance from the camera, radii; SIGHT for rays that meet nothing.
        x, y, s: coordinates of the points.
        water: distance to the water surface; infinite if the wall comes first or there is no water.
        owner: number of the visible defect, uint8.
    """

    distance: FloatMap
    x: FloatMap
    y: FloatMap
    s: FloatMap
    water: FloatMap
    owner: NDArray[np.uint8]


class Caster:
    """Casts rays in one pipe.

    As in sphere tracing, a ray advances in steps that stay clear of the wall in a neighbourhood. A step is never
    smaller than a minimum, which grows with the length of wall behind a pixel. When a ray ends up behind the wall, the
    last step is shortened by the secant rule.
    """

    def __init__(self, pipe: Pipe) -> None:
        self.pipe = pipe
        self.columns = pipe.form.shape[1]
        self._tables = np.stack([pipe.form, *(_nearest(pipe.form, float(clear)) for clear in _CLEAR)], axis=-1).reshape(
            -1, 3
        )

    def cast(self, pose: Pose, directions: FloatMap, seconds: float = 0.0) -> Hits:
        """Follow rays from the camera.

        Args:
            pose: the camera; only its position is used.
            directions: (rows, columns, 3), of length 1.
            seconds: time, for drifting objects.
        """
        shape = directions.shape[:2]
        dx, dy, ds = (np.ascontiguousarray(directions[..., axis]).ravel() for axis in range(3))
        distance = self._march(pose, dx, dy, ds)
        inside = distance + np.float32(_INSIDE)
        x, y, s = (
            np.float32(start) + inside * along
            for start, along in zip((pose.x, pose.y, pose.s), (dx, dy, ds), strict=True)
        )
        owner = self.pipe.owner.ravel()[self._cells(x, y, s)]
        owner[distance >= SIGHT] = 0
        water = self._water(pose, dx, dy, distance)
        self._own_water(pose, dx, ds, water=water, seconds=seconds, owner=owner)
        return Hits(
            distance=distance.reshape(shape),
            x=x.reshape(shape),
            y=y.reshape(shape),
            s=s.reshape(shape),
            water=water.reshape(shape),
            owner=owner.reshape(shape),
        )

    def _cells(self, x: FloatMap, y: FloatMap, s: FloatMap) -> NDArray[np.int32]:
        row = (np.arctan2(x, -y) * np.float32(FORM_ROWS / TURN)).astype(np.int32)
        row += (row < 0) * np.int32(FORM_ROWS - 1)
        column = (s * np.float32(FORM_PER_RADIUS)).astype(np.int32)
        np.maximum(column, 0, out=column)
        np.minimum(column, np.int32(self.columns - 1), out=column)
        row *= np.int32(self.columns)
        row += column
        return row

    def _march(self, pose: Pose, dx: FloatMap, dy: FloatMap, ds: FloatMap) -> FloatMap:
        """Return the length of each ray."""
        far = np.full(dx.shape, SIGHT, np.float32)
        left = np.arange(len(dx))
        rays = np.stack([dx, dy, ds])
        place = np.repeat(np.array([[pose.x], [pose.y], [pose.s]], np.float32), len(dx), axis=1)
        start = place[:, :1].copy()
        t, before, gap_before = np.zeros((3, len(dx)), np.float32)
        gap_before += np.float32(1e-3)
        growth = np.float32(0.012 / max(1.0, pose.focal))
        for _ in range(_STEPS):
            away = np.sqrt(place[0] * place[0] + place[1] * place[1])
            form, near, wide = self._tables.take(self._cells(*place), axis=0).T
            gap = form - away
            on = (gap > 0) & (t < np.float32(SIGHT))
            clear = np.maximum(np.minimum(near - away, _CLEAR[0]), np.minimum(wide - away, _CLEAR[1]))
            if not on.all():
                off, kept = np.flatnonzero(~on), np.flatnonzero(on)
                share = gap_before[off] / np.maximum(gap_before[off] - gap[off], np.float32(1e-6))
                met = before[off] + (t[off] - before[off]) * np.minimum(share, np.float32(1))
                far[left[off]] = np.where(gap[off] <= 0, np.minimum(met, np.float32(SIGHT)), np.float32(SIGHT))
                if len(kept) == 0:
                    break
                left, t = left.take(kept), t.take(kept)
                gap, clear = gap.take(kept), clear.take(kept)
                rays = rays.take(kept, axis=1)
            before, gap_before = t, gap
            t = t + np.maximum(clear, np.float32(0.02) + growth * t * t)
            place = start + t * rays
        return far

    def _water(self, pose: Pose, dx: FloatMap, dy: FloatMap, wall: FloatMap) -> FloatMap:
        """Return the distance at which each ray meets the water."""
        water = np.full(dx.shape, np.inf, np.float32)
        level = self.pipe.water
        if level is None or pose.y >= level.level:
            return water
        down = dy > 1e-4
        meets = (np.float32(level.level - pose.y) / dy[down]).astype(np.float32)
        meets[meets >= wall[down]] = np.inf
        water[down] = meets
        return water

    def _own_water(
        self, pose: Pose, dx: FloatMap, ds: FloatMap, *, water: FloatMap, seconds: float, owner: NDArray[np.uint8]
    ) -> None:
        """Mark the owner of the water surface that rays meet.

        It is the owner of a pool, or of what floats there at the time; not of the ground below.
        """
        met = np.flatnonzero(np.isfinite(water))
        x, s = np.float32(pose.x) + water[met] * dx[met], np.float32(pose.s) + water[met] * ds[met]
        seen = np.zeros(len(met), np.uint8)
        for start, stop, number in self.pipe.pools:
            seen[(s > start) & (s < stop)] = number
        for raft in self.pipe.rafts:
            seen[raft.cover(x, s, seconds) > 0.4] = raft.owner
        owner[met] = seen


def _nearest(form: FloatMap, clear: float) -> FloatMap:
    """Return the minimum distance from the axis within `clear` of each point of the wall."""
    around, along = int(clear / TURN * FORM_ROWS), int(clear * FORM_PER_RADIUS)
    padded = np.concatenate([form[-around:], form, form[:around]])
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (2 * along + 1, 2 * around + 1))
    return cv2.erode(padded, kernel)[around:-around]
