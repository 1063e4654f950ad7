"""The wall around a spot on both of its maps, and lines and masks drawn on it."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from urbanpipe.simulate.defects.spot import Spot
from urbanpipe.simulate.pipe import DEEPEST, TEXEL_ROWS, TEXELS_PER_RADIUS, TURN, Patch
from urbanpipe.simulate.surface import FloatMap

PER_RADIAN = TEXEL_ROWS / TURN
Path = NDArray[np.float32]
"""Points (n, 2), (along, around), relative to the place of a window, radii."""


def as_map(values: ArrayLike) -> FloatMap:
    """Return values as 32-bit floats."""
    return np.asarray(values, np.float32)


@dataclass(frozen=True)
class Window:
    """The wall around a spot on both of its maps; masks and heights use the grid of the colour."""

    spot: Spot
    colour: Patch
    form: Patch

    @property
    def empty(self) -> bool:
        """Whether it holds too little of the wall to draw a relief on."""
        return min(*self.colour.shape, *self.form.shape) < 4

    def noise(self, size: float | tuple[float, float]) -> FloatMap:
        """Return smooth noise around 0..1.

        `size` is the distance of the random values, radii; one number, or (around, along).
        """
        return self.colour.noise(self.spot.rng, size)

    def columns_rows(self, points: Path) -> NDArray[np.float32]:
        """Convert points (n, 2), (along, around), to the grid of the colour: (n, 2), (column, row)."""
        column = (points[:, 0] - self.colour.along[0, 0]) * TEXELS_PER_RADIUS
        row = (points[:, 1] - self.colour.around[0, 0]) * PER_RADIAN
        return np.stack([column, row], axis=1).astype(np.float32)

    def on_form(self, values: ArrayLike) -> FloatMap:
        """Resample values on the grid of the colour to the grid of the form."""
        colour, form = self.colour, self.form
        column = (form.along[0] - colour.along[0, 0]) * np.float32(TEXELS_PER_RADIUS)
        row = (form.around[:, 0] - colour.around[0, 0]) * np.float32(PER_RADIAN)
        columns, rows = np.meshgrid(column, row)
        source = np.ascontiguousarray(values, dtype=np.float32)
        return as_map(cv2.remap(source, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))

    def paint(self, colour: ArrayLike, alpha: ArrayLike) -> None:
        """Paint the wall."""
        self.spot.pipe.paint(self.colour, colour, alpha)

    def shade(self, factor: FloatMap) -> None:
        """Make the colour of the wall brighter or darker."""
        self.colour.put(np.clip(as_map(self.colour.values) * factor[..., None], 0, 1))

    def raise_by(self, height: ArrayLike) -> None:
        """Move the wall towards the axis by a height in radii; negative heights are holes."""
        self.form.put(np.clip(as_map(self.form.values) - self.on_form(height), 0.05, DEEPEST))

    def claim(self, mask: FloatMap) -> None:
        """Mark where the defect is visible."""
        self.spot.pipe.claim(self.form, self.on_form(mask) > 0.4, self.spot.owner)


def window(spot: Spot, half_length: float, half_angle: float) -> Window:
    """Return the wall around a spot: `half_length` radii along, `half_angle` radians around."""
    pipe, angle = spot.pipe, min(half_angle, 3.05)
    colour = pipe.of_colour(spot.s, spot.clock, half_length, angle)
    return Window(spot, colour, pipe.of_form(spot.s, spot.clock, half_length, angle))


def crack_path(rng: np.random.Generator, start: tuple[float, float], heading: float, length: float) -> Path:
    """Return a jagged line that keeps its heading on average.

    Heading 0 runs along the pipe, pi/2 around it.
    """
    count = max(3, int(length / 0.035))
    turns = np.zeros(count)
    for step in range(1, count):
        turns[step] = 0.75 * turns[step - 1] + rng.normal(0, 0.42)
    angle = heading + turns
    steps = np.stack([np.cos(angle), np.sin(angle)], axis=1) * length / count
    return (np.cumsum(steps, axis=0) + start).astype(np.float32)


def line_mask(place: Window, path: Path, width: float, taper: bool = True) -> FloatMap:
    """Return a line on the wall as a mask 0..1.

    It is `width` radii wide in its middle, thinner towards the ends, and uneven.
    """
    mask = np.zeros(place.colour.shape, np.uint8)
    points = np.round(place.columns_rows(path) * 16).astype(int)
    count = len(points) - 1
    uneven = place.spot.rng.uniform(0.6, 1.35, count) if taper else np.ones(count)
    for step in range(count):
        share = np.sin(np.pi * (step + 0.7) / (count + 0.7)) ** 0.6 if taper else 1.0
        thick = max(1, round(width * TEXELS_PER_RADIUS * share * uneven[step]))
        first, last = (int(v) for v in points[step]), (int(v) for v in points[step + 1])
        cv2.line(mask, tuple(first), tuple(last), 255, thick, cv2.LINE_AA, 4)
    return as_map(mask) / np.float32(255)


def widened(mask: FloatMap, radii: float) -> FloatMap:
    """Return a mask grown by `radii` on all sides."""
    side = 2 * max(1, round(radii * TEXELS_PER_RADIUS)) + 1
    return as_map(cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))))


def blurred(mask: FloatMap, radii: float) -> FloatMap:
    """Return a mask with soft borders, `radii` wide."""
    return as_map(cv2.GaussianBlur(mask, (0, 0), radii * TEXELS_PER_RADIUS))
