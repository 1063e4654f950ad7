"""A part of the wall divided into polygons, and stones that protrude from cement."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from urbanpipe.simulate.defects.window import PER_RADIAN, Path, Window, as_map
from urbanpipe.simulate.pipe import TEXELS_PER_RADIUS
from urbanpipe.simulate.surface import FloatMap

_STONES = np.array(
    [(0.66, 0.62, 0.55), (0.40, 0.38, 0.36), (0.56, 0.44, 0.32), (0.78, 0.74, 0.66), (0.48, 0.36, 0.28)], np.float32
)


@dataclass(frozen=True)
class Pieces:
    """A part of the wall divided into polygons: the piece number of each point, and the middles (n, 2) of pieces."""

    number: NDArray[np.int32]
    middles: Path

    @property
    def borders(self) -> FloatMap:
        """Mask that is 1 between pieces."""
        number = self.number.astype(np.float32)
        box = np.ones((2, 2), np.uint8)
        return as_map(cv2.dilate(number, box) != cv2.erode(number, box))


def in_pieces(place: Window, size: float) -> Pieces:
    """Cut a window into pieces about `size` radii wide, with jagged borders."""
    rng, shape = place.spot.rng, place.colour.shape
    pitch = max(2.0, size * TEXELS_PER_RADIUS)
    grid = np.mgrid[-pitch : shape[1] + pitch : pitch, -pitch : shape[0] + pitch : pitch].reshape(2, -1).T
    seeds = grid + rng.uniform(-0.45, 0.45, grid.shape) * pitch
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    warp = 0.16 * pitch
    rows += warp * (place.noise(0.1) - 0.5) + 0.5 * warp * (place.noise(0.03) - 0.5)
    columns += warp * (place.noise(0.1) - 0.5) + 0.5 * warp * (place.noise(0.03) - 0.5)
    margin = round(2 * pitch)
    seeds_map = np.full((shape[0] + 2 * margin, shape[1] + 2 * margin), 255, np.uint8)
    at = np.round(seeds + margin).astype(int)
    seeds_map[at[:, 1], at[:, 0]] = 0
    _, labels = cv2.distanceTransformWithLabels(seeds_map, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    number = cv2.remap(labels.astype(np.float32), columns + margin, rows + margin, cv2.INTER_NEAREST).astype(np.int32)
    middles = np.zeros((int(labels.max()) + 1, 2), np.float32)
    middles[labels[at[:, 1], at[:, 0]], 0] = seeds[:, 0] / TEXELS_PER_RADIUS + place.colour.along[0, 0]
    middles[labels[at[:, 1], at[:, 0]], 1] = seeds[:, 1] / PER_RADIAN + place.colour.around[0, 0]
    return Pieces(number, middles)


def aggregate(place: Window, pitch: float) -> tuple[FloatMap, FloatMap]:
    """Return height 0..1 and colour of round stones in cement, `pitch` radii from one to the next."""
    rng = place.spot.rng
    pieces = in_pieces(place, pitch)
    count = len(pieces.middles)
    size = (pitch * rng.uniform(0.18, 0.62, count) * (rng.random(count) < 0.85)).astype(np.float32)
    tint = _STONES[rng.integers(len(_STONES), size=count)] * rng.uniform(0.75, 1.2, (count, 1)).astype(np.float32)
    number = pieces.number
    away = np.hypot(
        place.colour.along - pieces.middles[:, 0][number], place.colour.around - pieces.middles[:, 1][number]
    )
    dome = np.clip(1 - (away / np.maximum(size[number], np.float32(1e-3))) ** 2, 0, 1)
    return np.sqrt(dome).astype(np.float32), tint[number]
