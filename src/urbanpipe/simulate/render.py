"""The camera: a scene at a time, as pixels.

Looking down a round pipe, every pixel sees a fixed clock angle, and a distance along the pipe that is the focal length
times a fixed number. Both are computed once a video, on a frame somewhat larger than the picture; panning is a cut out
of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from urbanpipe.simulate.scene import PIXELS_PER_RADIUS, SECTION_PIXELS, WALL_ROWS, Card, Scene
from urbanpipe.simulate.surface import FloatMap

Frame = NDArray[np.uint8]
_NOISE_FRAMES = 1.5
_FAR_CARD, _NEAR_CARD = 7.0, 0.35


@dataclass(frozen=True)
class _Layer:
    """A wall or floor: which ray meets it how far on (`reach`, in focal lengths), and its texels (rows * columns,)."""

    reach: FloatMap
    row_start: NDArray[np.int32]
    texels: NDArray[np.uint32]
    columns: int
    drift: float
    top: int = 0


class Renderer:
    """Frames of one scene at one size.

    Args:
        scene: what there is to see.
        size: width and height in pixels.
        noise_seed: seed of the sensor noise.
    """

    def __init__(self, scene: Scene, size: tuple[int, int], noise_seed: int = 0) -> None:
        self.scene, (self._width, self._height) = scene, size
        self._margin = int(np.ceil(scene.camera.sway * self._height / 2)) + 1
        self._u = self._axis(self._width)
        self._v = self._axis(self._height)
        self._layers = [self._wall(), *(self._floor(index) for index in range(len(scene.floors)))]
        self._cards = [_trimmed(card) for card in sorted(scene.cards, key=lambda card: -card.s)]
        rng = np.random.default_rng(noise_seed)
        pool = rng.standard_normal(int(_NOISE_FRAMES * self._width * self._height), dtype=np.float32)
        self._noise = pool * np.float32(scene.look.noise / 255)
        self._rng = rng
        u, v = self._u[self._margin : -self._margin], self._v[self._margin : -self._margin]
        self._vignette = 1 - 0.13 * (u[None] ** 2 + v[:, None] ** 2)

    def _axis(self, count: int) -> FloatMap:
        places = np.arange(-self._margin, count + self._margin, dtype=np.float32)
        return (places + np.float32(0.5 - count / 2)) / np.float32(self._height / 2)

    def _wall(self) -> _Layer:
        u, v = self._u[None], self._v[:, None]
        x, y = self.scene.camera.offset
        square = np.maximum(u * u + v * v, np.float32(1e-4))
        half = x * u + y * v
        reach = ((np.sqrt(half * half + square * (1 - x * x - y * y)) - half) / square).astype(np.float32)
        clock = np.arctan2(x + reach * u, -(y + reach * v))
        rows = np.floor(clock / (2 * np.pi) * WALL_ROWS).astype(np.int32) % WALL_ROWS
        solid = np.ones((*self.scene.wall.shape[:2], 1), np.float32)
        texels = _packed(np.concatenate((self.scene.wall, solid), axis=2))
        return _Layer(reach, rows * self.scene.columns, texels, self.scene.columns, 0.0)

    def _floor(self, index: int) -> _Layer:
        floor = self.scene.floors[index]
        x, y = self.scene.camera.offset
        top = int(np.searchsorted(self._v, 0.02))
        v = self._v[top:, None]
        reach = (np.float32(floor.height - y) / v).astype(np.float32)
        across = x + reach * self._u[None]
        rows = np.clip((across + 1) / 2 * SECTION_PIXELS, 0, SECTION_PIXELS - 1).astype(np.int32)
        reach = np.broadcast_to(reach, across.shape).copy()
        reach[np.hypot(across, floor.height) > 1] = np.inf
        columns = floor.rgba.shape[1]
        return _Layer(reach, rows * columns, _packed(floor.rgba), columns, floor.drift, top)

    def frames(self, fps: float) -> Iterator[Frame]:
        """All frames of the video at `fps`, each (height, width, 3) uint8 RGB."""
        for number in range(frame_count(self.scene.camera.duration_seconds, fps)):
            yield self.frame(number / fps)

    def frame(self, seconds: float) -> Frame:
        """The frame at a time, (height, width, 3) uint8 RGB; the noise goes on from the frame drawn before."""
        right, down = self.scene.camera.pan(seconds)
        left = self._margin - round(right * self._height / 2)
        top = self._margin - round(down * self._height / 2)
        image, depth = self._surfaces(seconds, top, left)
        for card, corner in self._cards:
            self._show_card(image, depth, card, corner, seconds, top, left)
        lamp = np.asarray(self.scene.look.lamp, np.float32) * np.float32(self.scene.camera.gain(seconds))
        image *= (self._vignette * self._light(depth))[..., None] * lamp
        image += self._grain()[..., None]
        return (np.clip(image, 0, 1) * 255).astype(np.uint8)

    def _light(self, depth: FloatMap) -> FloatMap:
        far = np.maximum(depth - np.float32(1.0), 0) / np.float32(self.scene.look.reach)
        result: FloatMap = np.exp(-far) * np.float32(1.18)
        return result

    def _grain(self) -> FloatMap:
        count = self._width * self._height
        start = int(self._rng.integers(len(self._noise) - count))
        return self._noise[start : start + count].reshape(self._height, self._width)

    def _surfaces(self, seconds: float, top: int, left: int) -> tuple[FloatMap, FloatMap]:
        """Wall and floors: colours (height, width, 3) in 0..1 and distances along the pipe (height, width), radii."""
        wall, *floors = self._layers
        depth, texels = self._look_up(wall, seconds, top, left)
        image = texels[..., :3].astype(np.float32) / np.float32(255)
        for floor in floors:
            distance, texels = self._look_up(floor, seconds, top, left)
            rows = slice(self._height - distance.shape[0], None)
            alpha = texels[..., 3].astype(np.float32) / np.float32(255)
            alpha[distance >= depth[rows]] = 0
            image[rows] += (texels[..., :3] / np.float32(255) - image[rows]) * alpha[..., None]
            depth[rows] = np.where(alpha > 0.5, distance, depth[rows])
        return image, depth

    def _look_up(self, layer: _Layer, seconds: float, top: int, left: int) -> tuple[FloatMap, Frame]:
        rows = slice(max(top - layer.top, 0), top + self._height - layer.top)
        columns = slice(left, left + self._width)
        camera = self.scene.camera
        depth = layer.reach[rows, columns] * np.float32(camera.focal_at(seconds))
        s = depth + np.float32(camera.distance(seconds) - layer.drift * seconds)
        column = np.clip(s * PIXELS_PER_RADIUS, 0, 1e6).astype(np.int32)
        column = column % layer.columns if layer.drift else np.minimum(column, layer.columns - 1)
        texels = layer.texels[layer.row_start[rows, columns] + column]
        return depth, texels.view(np.uint8).reshape(*depth.shape, 4)

    def _show_card(
        self, image: FloatMap, depth: FloatMap, card: Card, corner: tuple[int, int], seconds: float, top: int, left: int
    ) -> None:
        camera = self.scene.camera
        away = card.s - camera.distance(seconds)
        if not _NEAR_CARD < away < _FAR_CARD:
            return
        spread = away / camera.focal_at(seconds)
        x = (camera.offset[0] + self._u[left : left + self._width] * spread + 1) / 2 * SECTION_PIXELS - corner[1]
        y = (camera.offset[1] + self._v[top : top + self._height] * spread + 1) / 2 * SECTION_PIXELS - corner[0]
        rows = slice(*np.searchsorted(y, (0, card.rgba.shape[0])))
        columns = slice(*np.searchsorted(x, (0, card.rgba.shape[1])))
        if rows.start == rows.stop or columns.start == columns.stop:
            return
        texels = card.rgba[y[rows].astype(np.intp)[:, None], x[columns].astype(np.intp)]
        alpha = texels[..., 3] * (depth[rows, columns] > away - 0.02)
        image[rows, columns] += (texels[..., :3] - image[rows, columns]) * alpha[..., None]
        depth[rows, columns] = np.where(alpha > 0.5, np.float32(away), depth[rows, columns])


def frame_count(duration_seconds: float, fps: float) -> int:
    """Frames of a video: at least one."""
    return max(1, round(duration_seconds * fps))


def _packed(rgba: FloatMap) -> NDArray[np.uint32]:
    """(rows, columns, 4) in 0..1 as one number a texel, so that looking up is one gather."""
    return (np.clip(rgba, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8).view(np.uint32).ravel()


def _trimmed(card: Card) -> tuple[Card, tuple[int, int]]:
    """The card cut to what can be seen of it, and the (row, column) it was cut at."""
    rows, columns = (np.flatnonzero((card.rgba[..., 3] > 0).any(axis=axis)) for axis in (1, 0))
    if len(rows) == 0:
        return Card(card.s, card.rgba[:0, :0]), (0, 0)
    cut = card.rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Card(card.s, np.ascontiguousarray(cut)), (int(rows[0]), int(columns[0]))
