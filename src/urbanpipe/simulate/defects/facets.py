"""Bodies with flat faces, for obstacles: boxes and angular stones, and the brightness of their faces."""

import cv2
import numpy as np

from urbanpipe.simulate.defects.body import Inside, Tint
from urbanpipe.simulate.defects.relief import mix, sampled
from urbanpipe.simulate.defects.spot import Spot
from urbanpipe.simulate.surface import Colour, FloatMap, soft

Planes = list[tuple[FloatMap, float]]
"""A body with flat faces: the outward normal (across, up, along) of each and its distance from the middle, radii."""


def rocky(spot: Spot, parts: list[Planes], colour: Colour, grains: tuple[float, float]) -> Tint:
    """Return the colour function of stone, brick or concrete.

    The faces differ in brightness and are mottled, with `grains` (size in radii, contrast).
    """
    light = np.array([spot.rng.choice((-0.45, 0.45)), 0.55, -0.7])
    own = spot.rng.uniform(0.75, 1.1, len(parts))
    tones = [
        [tone * (0.72 + 0.38 * float(light @ n)) for n, _ in planes] for tone, planes in zip(own, parts, strict=True)
    ]

    def tint(spot: Spot, across: FloatMap, up: FloatMap, along: FloatMap) -> FloatMap:
        skin = along + 0.8 * up
        broad, fine = sampled(spot, across, skin, (0.16, 0.16)), sampled(spot, across, skin, (grains[0], grains[0]))
        shade = 0.75 + 0.4 * (broad - 0.5) + np.float32(grains[1]) * (fine - 0.5)
        shade -= 0.2 * soft(sampled(spot, across, skin, (0.09, 0.09)), 0.8, 0.1)
        return mix(colour, np.clip(1.25 * shade * _faces(parts, tones, (across, up, along)), 0.1, 1.6))

    return tint


def _faces(parts: list[Planes], tones: list[list[float]], point: tuple[FloatMap, FloatMap, FloatMap]) -> FloatMap:
    """Return the tone of the face that each point lies on, blurred to the resolution of the form."""
    deepest = np.full(point[0].shape, -99, np.float32)
    shade = np.ones(point[0].shape, np.float32)
    for planes, own in zip(parts, tones, strict=True):
        depths = np.stack([_behind(plane, point) for plane in planes])
        depth, face = depths.min(0), depths.argmin(0)
        shade = np.where(depth > deepest, np.asarray(own, np.float32)[face], shade)
        deepest = np.maximum(deepest, depth)
    made: FloatMap = cv2.GaussianBlur(shade, (0, 0), 0.8)
    return made


def _behind(plane: tuple[FloatMap, float], point: tuple[FloatMap, FloatMap, FloatMap]) -> FloatMap:
    normal, away = plane
    depth: FloatMap = away - normal[0] * point[0] - normal[1] * point[1] - normal[2] * point[2]
    return depth


def solid(parts: list[Planes]) -> Inside:
    """Return the depth function of several bodies with flat faces."""

    def inside(across: FloatMap, up: FloatMap, along: FloatMap) -> FloatMap:
        deepest = np.full(np.broadcast_shapes(across.shape, up.shape, along.shape), -9, np.float32)
        for planes in parts:
            depth = np.full(deepest.shape, 9, np.float32)
            for plane in planes:
                depth = np.minimum(depth, _behind(plane, (across, up, along)))
            deepest = np.maximum(deepest, depth)
        return deepest

    return inside


def box(spot: Spot, sides: tuple[float, float, float], place: tuple[float, float, float], tilt: float) -> Planes:
    """Return a box of half `sides` at `place`, both (across, up, along).

    It is randomly turned about the vertical axis and tilted.
    """
    turn, roll, nod = spot.rng.normal(0, 0.5), spot.rng.normal(0, tilt), spot.rng.normal(0, tilt)
    yaw = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
    rolled = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    nodded = np.array([[1, 0, 0], [0, np.cos(nod), -np.sin(nod)], [0, np.sin(nod), np.cos(nod)]])
    axes = (yaw @ rolled @ nodded).T.astype(np.float32)
    planes: Planes = []
    for axis, half in zip(axes, sides, strict=True):
        middle = float(axis @ np.asarray(place))
        planes += [(axis, half + middle), (-axis, half - middle)]
    return planes


def rock(spot: Spot, half: float, place: tuple[float, float], flat: float) -> Planes:
    """Return an angular stone about `half` radii wide to either side of `place` (across, along).

    `flat` is the ratio of height to width.
    """
    planes: Planes = []
    for _ in range(int(spot.rng.integers(12, 20))):
        normal = spot.rng.normal(0, 1, 3)
        normal /= np.linalg.norm(normal)
        scaled = normal / np.array([1.0, flat, 1.0])
        length = float(np.linalg.norm(scaled))
        normal = scaled / length
        away = half * float(spot.rng.uniform(0.8, 1.05)) / length
        shift = normal @ np.array([place[0], 0.55 * flat * half, place[1]])
        planes.append((normal.astype(np.float32), away + float(shift)))
    for axis in ((1, 0, 0), (-1, 0, 0), (0, 0, 1), (0, 0, -1)):
        planes.append((np.array(axis, np.float32), 1.15 * half + axis[0] * place[0] + axis[2] * place[1]))
    return planes
