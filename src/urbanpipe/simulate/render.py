"""Render a scene at a time as pixels.

Rays are cast on a coarse grid, whose rows depend only on the height of the picture. The points that they meet are
interpolated to pixels, and the colour of the wall is looked up there. So edges of the form are as sharp as the coarse
grid, and painted details are as sharp as the picture.
"""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from urbanpipe.simulate.cast import SIGHT, Caster
from urbanpipe.simulate.eye import Eye, Scene, View
from urbanpipe.simulate.pipe import RAFT_PER_RADIUS, TEXEL_ROWS, TEXELS_PER_RADIUS, TURN, Film, Raft, Strand, Water
from urbanpipe.simulate.screen import Lens, Screen
from urbanpipe.simulate.surface import FloatMap, value_noise
from urbanpipe.simulate.truth import frame_count

Frame = NDArray[np.uint8]
_LEVELS = 4
_PAD = 2
_TILE = 256
"""Side of the noise tiles that move over water and wet walls, 64 per radius."""
_TILE_PER_RADIUS = 64


class Renderer:
    """Renders the frames of one scene at one size.

    Args:
        scene: the scene.
        size: width and height in pixels, even.
        noise_seed: seed of the sensor noise.
        caster: caster of the pipe of the scene, if there is one already.
    """

    def __init__(self, scene: Scene, size: tuple[int, int], noise_seed: int = 0, caster: Caster | None = None) -> None:
        self.scene, self.size = scene, size
        self.eye = Eye(scene, size[0] / size[1], coarse_rows(size[1]), caster)
        self._atlas = _atlas(scene.pipe.colour)
        rng = np.random.default_rng((noise_seed, 1))
        self._tile = value_noise(rng, (_TILE, _TILE), 6.0)
        self._tile = self._tile + 0.5 * value_noise(rng, (_TILE, _TILE), 2.5) - np.float32(0.75)
        self._tile = np.ascontiguousarray(0.5 * (self._tile + self._tile.T), dtype=np.float32)
        self._noise = _noise_tiles(rng, size, scene.look.noise)
        self._noise_seed = noise_seed
        x, y = self.eye.grid
        self._vignette = (1 - scene.look.vignette * (x**2 + y**2) / 2.78).astype(np.float32)
        self._screen = Screen(scene.look, scene.site, size)
        self._points = np.concatenate([np.empty((0, 3), np.float32), *(strand.points for strand in scene.pipe.strands)])
        self._lens = Lens(scene.look, size) if scene.look.drops else None

    def frames(self, fps: float) -> Iterator[Frame]:
        """Yield all frames in order of time, (height, width, 3) uint8, RGB."""
        for number in range(frame_count(self.scene.camera.duration_seconds, fps)):
            yield self.frame(number / fps)

    def frame(self, seconds: float) -> Frame:
        """Render the picture at a time, (height, width, 3) uint8, RGB."""
        view = self.eye.view(seconds)
        light, gain = self._light(view)
        picture = self._wall(view, light)
        for film in self.scene.pipe.films:
            self._wet(picture, view, film)
        self._water(picture, view, light, gain)
        self._strands(picture, view, gain)
        return self._sensor(picture, seconds)

    def _full(self, coarse: FloatMap, scale: int = 1) -> FloatMap:
        """Interpolate values of the coarse grid to the picture, or to a picture `scale` times smaller."""
        return cv2.resize(coarse, self._smaller(scale), interpolation=cv2.INTER_LINEAR)

    def _smaller(self, scale: int) -> tuple[int, int]:
        return self.size[0] // scale, self.size[1] // scale

    def _light(self, view: View) -> tuple[FloatMap, float]:
        """Return the brightness of the light on what each coarse ray meets, and the gain of the camera in it."""
        look, hits = self.scene.look, view.hits
        points = np.stack([hits.x, hits.y, hits.s], axis=-1)
        across, down = np.empty_like(points), np.empty_like(points)
        across[:, 1:-1], down[1:-1] = points[:, 2:] - points[:, :-2], points[2:] - points[:-2]
        across[:, 0], across[:, -1], down[0], down[-1] = across[:, 1], across[:, -2], down[1], down[-2]
        normal = np.cross(across, down)
        length = np.sqrt((normal * normal).sum(-1)) + np.float32(1e-9)
        facing = np.abs((normal * view.directions).sum(-1)) / length
        shine = 0.22 + 0.78 * np.sqrt(facing)
        light = shine / (1 + (hits.distance / np.float32(look.reach)) ** 2) * self._vignette
        light[hits.distance >= SIGHT] *= 0.2
        drift = 1 + 0.06 * np.sin(0.5 * view.seconds + 6.28 * self.scene.exposure_phase)
        automatic = (0.65 / max(0.05, float(light.mean()))) ** 0.75
        gain = 1.25 * look.exposure * float(drift) * automatic
        return light * np.float32(gain), gain

    def _wall(self, view: View, light: FloatMap) -> FloatMap:
        hits = view.hits
        colour = self._look_up(hits.x, hits.y, hits.s)
        lamp = np.asarray(self.scene.look.lamp, np.float32)
        return cv2.multiply(colour, self._full(light[..., None] * lamp), dtype=cv2.CV_32F)

    def _look_up(self, x: FloatMap, y: FloatMap, s: FloatMap, scale: int = 1, waver: FloatMap | None = None) -> Frame:
        """Return the colour of the wall at points on the coarse grid, as a picture `scale` times smaller.

        `waver` displaces the points. It covers the last rows of the picture, which are then the only rows looked up.
        """
        gradient = np.maximum(np.abs(np.gradient(s, axis=0)), np.abs(np.gradient(s, axis=1)))
        texels = gradient * np.float32(TEXELS_PER_RADIUS * s.shape[0] / self.size[1] * scale)
        level = np.minimum(np.floor(np.log2(np.maximum(texels, 1))), _LEVELS - 1).astype(np.float32)
        first = 0 if waver is None else self._smaller(scale)[1] - len(waver)
        level = cv2.resize(level, self._smaller(scale), interpolation=cv2.INTER_NEAREST)[first:]
        row = cv2.phase(self._full(-y, scale)[first:], self._full(x, scale)[first:])
        row *= np.float32(TEXEL_ROWS / TURN)
        row += level * np.float32(TEXEL_ROWS + 2 * _PAD) + np.float32(_PAD)
        column = self._full(np.clip(s, 0, self.scene.pipe.length) * np.float32(TEXELS_PER_RADIUS), scale)[first:]
        if waver is not None:
            row, column = row + waver * 30, column + waver * 60
        column *= np.exp2(-level)
        return cv2.remap(self._atlas, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def _wet(self, picture: FloatMap, view: View, film: Film) -> None:
        """Draw streaks that run down the wall."""
        s = self._full(view.hits.s)
        across = np.abs(s - np.float32(film.s)) / np.float32(film.width)
        if across.min() >= 1:
            return
        turned = cv2.phase(self._full(-view.hits.y), self._full(view.hits.x))
        turned = np.where(turned > np.pi, turned - np.float32(TURN), turned)
        side = np.sign(film.clock) or 1.0
        down = turned * np.float32(side) - np.float32(abs(film.clock))
        mask = np.clip(1 - across, 0, 1) * np.clip(6 * down + 0.5, 0, 1)
        row = (down - np.float32(film.speed * view.seconds)) * np.float32(_TILE_PER_RADIUS * 0.5)
        streaks = self._sample(row, s * np.float32(_TILE_PER_RADIUS * 2.5))
        picture *= (1 + np.float32(film.strength) * mask * streaks)[..., None]

    def _sample(self, row: FloatMap, column: FloatMap) -> FloatMap:
        """Sample the noise tile, repeated endlessly, at positions in pixels; about -0.5 to 0.5."""
        return cv2.remap(self._tile, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)

    def _water(self, picture: FloatMap, view: View, light: FloatMap, gain: float) -> None:
        """Draw water: its own colour, the ground visible through it, and the reflection of the pipe.

        The surface is rendered at half the size of the picture: ripples blur it anyway.
        """
        water, hits = self.scene.pipe.water, view.hits
        cover = np.isfinite(hits.water)
        if water is None or not cover.any():
            return
        half = self._smaller(2)[1]
        first = max(0, int((np.flatnonzero(cover.any(1))[0] - 1) * half / len(cover)))
        pose, d = view.pose, view.directions
        reach = np.clip((water.level - pose.y) / np.maximum(d[..., 1], 1e-3), 0, SIGHT).astype(np.float32)
        x, s = np.float32(pose.x) + reach * d[..., 0], np.float32(pose.s) + reach * d[..., 2]
        waves = self._waves(x, s, view.seconds, water, first)
        mirrored, glow = self._mirrored(view, reach, x, s, waves)
        lamp = np.asarray(self.scene.look.lamp, np.float32)
        alpha = cv2.blur(cover.astype(np.float32), (2, 2))[..., None]
        mirror = 0.10 + 0.75 * (1 - np.abs(d[..., 1:2])) ** 3
        veiled = alpha * (1 - 0.6 * mirror)
        own = veiled * (1 - water.clearness) * light[..., None] * (np.asarray(water.colour, np.float32) * lamp * 255)
        shine = self._full(alpha * mirror * gain * glow[..., None] * lamp, 2)[first:]
        surface = cv2.add(self._full(own, 2)[first:], cv2.multiply(mirrored, shine, dtype=cv2.CV_32F))
        below = picture[2 * first :]
        through = (1 - alpha + 0.5 * water.clearness * veiled) * np.ones(3, np.float32)
        cv2.multiply(below, self._full(through)[2 * first :], dst=below)
        cv2.add(below, cv2.resize(surface, below.shape[1::-1], interpolation=cv2.INTER_LINEAR), dst=below)
        for raft in self.scene.pipe.rafts:
            lit, floats = self._full(light)[2 * first :, :, None], self._full(alpha)[2 * first :, :, None]
            self._float(
                below,
                lit,
                floats,
                raft=raft,
                seconds=view.seconds,
                s=self._full(s)[2 * first :],
                x=self._full(x)[2 * first :],
            )

    def _waves(self, x: FloatMap, s: FloatMap, seconds: float, water: Water, first: int) -> FloatMap:
        """Return the tilt of the water surface by two trains of ripples.

        It has half the size of the picture, from row `first` on.
        """
        rows = self._full(x, 2)[first:] * np.float32(1.5 * _TILE_PER_RADIUS)
        columns = (self._full(s, 2)[first:] - np.float32(water.drift * seconds)) * np.float32(_TILE_PER_RADIUS)
        waves = self._sample(rows + np.float32(6 * seconds % _TILE), columns)
        waves += self._sample(rows * np.float32(0.5), columns * np.float32(0.6) + np.float32(7 * seconds % _TILE))
        waves *= np.float32(water.ripple)
        return waves

    def _mirrored(
        self, view: View, reach: FloatMap, x: FloatMap, s: FloatMap, waver: FloatMap
    ) -> tuple[Frame, FloatMap]:
        """Return the reflection of a round wall in the water.

        Returns:
            Its colour at half size, and the light on it on the coarse grid.
        """
        d, level = view.directions, self.scene.pipe.water.level  # type: ignore[union-attr]
        a = d[..., 0] ** 2 + d[..., 1] ** 2 + np.float32(1e-4)
        b = x * d[..., 0] - np.float32(level) * d[..., 1]
        c = x**2 + np.float32(level**2 - 1)
        on = np.clip((-b + np.sqrt(np.maximum(b * b - a * c, 0))) / a, 0, SIGHT)
        seen = self._look_up(x + on * d[..., 0], np.float32(level) - on * d[..., 1], s + on * d[..., 2], 2, waver)
        away = (reach + on) / np.float32(self.scene.look.reach)
        return seen, 1.1 / (1 + away**2)

    def _float(
        self,
        below: FloatMap,
        lit: FloatMap,
        floats: FloatMap,
        *,
        raft: Raft,
        seconds: float,
        s: FloatMap,
        x: FloatMap,
    ) -> None:
        """Draw a raft on the water; `s` and `x` belong to the points of the water."""
        inside = raft.hold(s)
        if not inside.any():
            return
        column, row = raft.column(s, seconds), (x + 1) * np.float32(RAFT_PER_RADIUS)
        rgba = cv2.remap(raft.rgba, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        lamp = np.asarray(self.scene.look.lamp, np.float32) * 255
        below += (rgba[..., :3] * lamp * lit - below) * (rgba[..., 3:] * inside[..., None] * floats)

    def _strands(self, picture: FloatMap, view: View, gain: float) -> None:
        """Draw thin objects that no wall hides, the furthest first; near ones are thicker and brighter."""
        strands = self.scene.pipe.strands
        if not strands:
            return
        places, depth, seen = self.eye.seen(view, self._points)
        pixels = (places + np.array([self.eye.aspect, 1.0])) * (self.size[1] / 2) - 0.5
        ends = np.cumsum([len(strand.points) for strand in strands])
        pieces: list[tuple[float, Strand, NDArray[np.float64]]] = []
        for strand, stop in zip(strands, ends.tolist(), strict=True):
            start = stop - len(strand.points)
            shown = seen[start:stop]
            if not shown.any():
                continue
            if strand.flow:
                shown = shown & dashes(strand, view.seconds)
            for first, last in _runs(shown):
                piece = slice(start + first, start + last)
                pieces.append((float(depth[piece].mean()), strand, pixels[piece]))
        for away, strand, line in sorted(pieces, key=lambda piece: -piece[0]):
            self._strand(picture, strand, line, away=away, focal=view.pose.focal, gain=gain)

    def _strand(
        self, picture: FloatMap, strand: Strand, line: NDArray[np.float64], *, away: float, focal: float, gain: float
    ) -> None:
        look = self.scene.look
        thick = strand.radius * focal / away * self.size[1]
        bright = 255 * 0.8 * gain / (1 + (away / look.reach) ** 2)
        colour = tuple(float(c * lamp * bright) for c, lamp in zip(strand.colour, look.lamp, strict=True))
        opacity = strand.opacity * min(1.0, thick)
        _draw_line(picture, np.round(line * 16).astype(np.int32), colour, max(1, round(thick)), opacity)

    def _sensor(self, picture: FloatMap, seconds: float) -> Frame:
        look, (width, height) = self.scene.look, self.size
        frame = np.clip(picture, 0, 255).astype(np.uint8)
        if self._lens is not None:
            frame = self._lens.seen_through(frame)
        blur = look.blur * height / 480
        if blur > 0.3:
            frame = cv2.GaussianBlur(frame, (0, 0), blur)
        rng = np.random.default_rng((self._noise_seed, 2, round(seconds * 1000)))
        top, left = (int(rng.integers(side // 2)) for side in (height, width))
        more, less = (tile[top : top + height, left : left + width] for tile in self._noise)
        frame = cv2.subtract(cv2.add(frame, more), less)
        self._screen.write(frame, seconds, self.scene.camera.pose(seconds).s)
        return frame


def coarse_rows(height: int) -> int:
    """Return the number of rows of rays for the height of a picture."""
    return max(48, round(height / 5)) if height > 300 else max(32, height // 4)


def dashes(strand: Strand, seconds: float) -> NDArray[np.bool_]:
    """Return which points of a flowing strand hold water at a time."""
    steps = np.linalg.norm(np.diff(strand.points, axis=0, prepend=strand.points[:1]), axis=1)
    period = sum(strand.dash)
    place = (np.cumsum(steps) - strand.flow * seconds) / period + strand.phase
    held: NDArray[np.bool_] = np.mod(place, 1) < strand.dash[0] / period
    return held


def _atlas(colour: FloatMap) -> Frame:
    """Return the colour of the wall at several resolutions, stacked below each other.

    Each level is half as long along the pipe as the one above, and wraps around the pipe.
    """
    full = (np.clip(colour, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)
    levels = []
    for level in range(_LEVELS):
        width = max(1, full.shape[1] >> level)
        short = full if level == 0 else cv2.resize(full, (width, TEXEL_ROWS), interpolation=cv2.INTER_AREA)
        closed = np.concatenate([short[-_PAD:], short, short[:_PAD]])
        levels.append(np.pad(closed, ((0, 0), (0, full.shape[1] - width), (0, 0)), mode="edge"))
    return np.concatenate(levels)


def _noise_tiles(rng: np.random.Generator, size: tuple[int, int], strength: float) -> tuple[Frame, Frame]:
    """Return what sensor noise adds and subtracts, on 1.5 times the sides of the picture."""
    shape = size[1] * 3 // 2 + 1, size[0] * 3 // 2 + 1, 3
    noise = rng.standard_normal(shape, dtype=np.float32) * np.float32(strength)
    return np.clip(noise, 0, 255).astype(np.uint8), np.clip(-noise, 0, 255).astype(np.uint8)


def _runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the runs (start, stop) of at least two true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > 1]


def _draw_line(
    picture: FloatMap, line: NDArray[np.int32], colour: tuple[float, ...], thick: int, opacity: float
) -> None:
    """Draw an open line through points in sixteenths of a pixel, on a float picture in 0..255."""
    low = np.maximum(line.min(0) // 16 - thick - 2, 0)
    high = line.max(0) // 16 + thick + 3
    part = picture[low[1] : high[1], low[0] : high[0]]
    if 0 in part.shape:
        return
    mask = np.zeros(part.shape[:2], np.uint8)
    cv2.polylines(mask, [line - (low * 16).astype(np.int32)], False, 255, thick, cv2.LINE_AA, 4)
    alpha = mask[..., None].astype(np.float32) * np.float32(opacity / 255)
    part += (np.asarray(colour, np.float32) - part) * alpha
