"""The pipe: the form of its wall and the colour on it, both as maps over clock angle and position along the axis.

Lengths are in pipe radii. `s` runs along the axis from the mouth of the pipe; in the section, x points right and y
down; the clock angle is 0 at the crown and grows clockwise, so the invert is at pi. The wall is the distance from the
axis to the surface at every (clock, s). Everything that can be expressed this way is real geometry (sections, steps at
joints, lumps, holes, rods through the wall); thin objects that hang in the pipe are separate `Strand`s.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from urbanpipe.simulate.surface import Colour, FloatMap, value_noise

FORM_ROWS, FORM_PER_RADIUS = 384, 60
"""Grid of the form of the wall: rows around, columns per radius along."""
TEXEL_ROWS, TEXELS_PER_RADIUS = 768, 120
"""Grid of the colour of the wall."""
TURN = 2 * np.pi
DEEPEST = 2.6
"""Maximum distance of a surface from the axis."""
RAFT_PER_RADIUS = 64
"""Grid of floating layers."""


class Patch:
    """A window on one of the maps of the wall, around a place: local coordinates and access to the values.

    The window wraps around the pipe. Changes to `values` are written to the wall by `put`.

    Attributes:
        along: s relative to the place, (1, columns), radii.
        around: arc from the place along a round wall, (rows, 1), radii, clockwise.
        clock: clock angle of the rows, (rows, 1), in 0..2 pi.
        s: s of the columns, (1, columns).
    """

    def __init__(self, map_: FloatMap, per_radius: int, s: float, clock: float, half: tuple[float, float]):
        rows, columns = map_.shape[:2]
        reach = min(rows // 2, int(np.ceil(half[1] / TURN * rows)))
        middle = round(clock / TURN * rows)
        last = middle + reach if 2 * reach < rows else middle - reach + rows
        self.rows = np.arange(middle - reach, last) % rows
        start = int(np.clip(np.floor((s - half[0]) * per_radius), 0, columns))
        stop = int(np.clip(np.ceil((s + half[0]) * per_radius), start, columns))
        self.columns = slice(start, stop)
        self.clock = ((self.rows[:, None] + 0.5) / rows * TURN).astype(np.float32)
        self.around = ((self.clock - np.float32(clock) + np.pi) % TURN - np.pi).astype(np.float32)
        self.s = ((np.arange(start, stop)[None] + 0.5) / per_radius).astype(np.float32)
        self.along = self.s - np.float32(s)
        self.map, self.pitch = map_, per_radius

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns."""
        return len(self.rows), self.columns.stop - self.columns.start

    @property
    def values(self) -> FloatMap:
        """Copy of the map in the window."""
        return self.map[self.rows, self.columns]

    def put(self, values: ArrayLike) -> None:
        """Write values back to the map."""
        self.map[self.rows, self.columns] = values

    def noise(self, rng: np.random.Generator, size: float | tuple[float, float]) -> FloatMap:
        """Return smooth noise around 0..1 over the window.

        Args:
            rng: random numbers.
            size: distance of the random values, radii; one number, or (around, along).
        """
        around, along = size if isinstance(size, tuple) else (size, size)
        if min(self.shape) == 0:
            return np.zeros(self.shape, np.float32)
        shape = self.shape[0] + 8, self.shape[1]
        pitch = around * self.map.shape[0] / TURN, along * self.pitch
        return value_noise(rng, shape, pitch)[: self.shape[0]]


@dataclass
class Strand:
    """A thin object in the pipe: a root, a cable, a hanging seal, a thread of water.

    Attributes:
        points: (n, 3), (x, y, s) along it.
        radius: half its thickness, radii.
        colour: red, green, blue, 0..1.
        opacity: 0..1.
        flow: for water, speed of its dashes, radii per second; 0 for a static object.
        dash: length of a dash and of a gap, radii.
        phase: phase of the dashes at time 0, in 0..1.
        owner: number of its defect, 0 for none.
    """

    points: NDArray[np.float32]
    radius: float
    colour: Colour
    opacity: float = 1.0
    flow: float = 0.0
    dash: tuple[float, float] = (0.1, 0.2)
    phase: float = 0.0
    owner: int = 0


@dataclass
class Film:
    """Water that runs down the wall: bright and dark streaks that move.

    Attributes:
        clock, s: where it begins; it runs down one side of the pipe to the invert.
        width: width along the pipe, radii.
        strength: relative brightness of the streaks.
        speed: speed, radii per second.
    """

    clock: float
    s: float
    width: float
    strength: float
    speed: float


@dataclass
class Raft:
    """A floating layer: a part of the water surface in other colours.

    Attributes:
        start, stop: s of its ends, which are fixed: the content drifts in at one end and dissolves at the other.
        rgba: tile of the surface, (rows over x -1..1, columns, 4), RAFT_PER_RADIUS per radius, 0..1; repeats along s.
        drift: drift of the content, radii per second along the pipe.
        owner: number of the defect.
    """

    start: float
    stop: float
    rgba: FloatMap
    drift: float
    owner: int = 0

    def cover(self, x: FloatMap, s: FloatMap, seconds: float) -> FloatMap:
        """Return the share of the water that it hides at places (n,) at a time, 0..1, (n,)."""
        rows, columns = self.rgba.shape[:2]
        row = ((x + 1) * np.float32(RAFT_PER_RADIUS)).astype(np.int64)
        return self.rgba[row % rows, self.column(s, seconds).astype(np.int64) % columns, 3] * self.hold(s)

    def column(self, s: FloatMap, seconds: float) -> FloatMap:
        """Return the column of the tile at places along the pipe at a time."""
        return (s - np.float32(self.start + self.drift * seconds)) * np.float32(RAFT_PER_RADIUS)

    def hold(self, s: FloatMap) -> FloatMap:
        """Return the opacity factor of the raft at places along the pipe: 1 inside, fading to 0 at its ends."""
        return np.clip(2 * np.minimum(s - np.float32(self.start), np.float32(self.stop) - s), 0, 1)


@dataclass
class Water:
    """Water with a level surface.

    Attributes:
        level: y of the surface; it is hidden where the invert is higher.
        colour: colour of the water itself.
        clearness: share of the ground visible through it.
        drift: drift of its ripples, radii per second.
        ripple: amplitude of the ripples in reflections.
    """

    level: float
    colour: Colour
    clearness: float
    drift: float
    ripple: float


@dataclass
class Pipe:
    """A length of pipe.

    Attributes:
        form: distance from the axis to the surface, (FORM_ROWS, columns), radii.
        colour: colour of the wall, (TEXEL_ROWS, columns, 3), 0..1.
        joints: s of the joints.
    """

    section: FloatMap
    form: FloatMap
    colour: FloatMap
    joints: NDArray[np.float64]
    water: Water | None = None
    strands: list[Strand] = field(default_factory=list)
    films: list[Film] = field(default_factory=list)
    rafts: list[Raft] = field(default_factory=list)
    pools: list[tuple[float, float, int]] = field(default_factory=list)
    """Intervals (start, stop) of s where the water is a defect, and its number."""

    @cached_property
    def owner(self) -> NDArray[np.uint8]:
        """Number of the defect visible at each point of the form, 0 for none."""
        return np.zeros(self.form.shape, np.uint8)

    @property
    def length(self) -> float:
        """Length, radii."""
        return self.form.shape[1] / FORM_PER_RADIUS

    def of_form(self, s: float, clock: float, half_length: float, half_angle: float = np.pi) -> Patch:
        """Return a window on the form."""
        return Patch(self.form, FORM_PER_RADIUS, s, clock, (half_length, half_angle))

    def of_colour(self, s: float, clock: float, half_length: float, half_angle: float = np.pi) -> Patch:
        """Return a window on the colour."""
        return Patch(self.colour, TEXELS_PER_RADIUS, s, clock, (half_length, half_angle))

    def paint(self, patch: Patch, colour: ArrayLike, alpha: ArrayLike) -> None:
        """Paint a window of the colour: `colour` (3,) or (rows, columns, 3), `alpha` 0..1 (rows, columns)."""
        old, cover = patch.values, np.asarray(alpha, np.float32)[..., None]
        patch.put(old + (np.asarray(colour, np.float32) - old) * cover)

    def claim(self, form: Patch, mask: ArrayLike, owner: int) -> None:
        """Mark a defect as visible where `mask` (rows, columns) is true in a window of the form."""
        if owner:
            window = self.owner[form.rows, form.columns]
            self.owner[form.rows, form.columns] = np.where(np.asarray(mask, bool), np.uint8(owner), window)

    def wall_at(self, s: float, clock: float) -> float:
        """Return the distance from the axis to the surface at one place."""
        row = int(clock % TURN / TURN * FORM_ROWS) % FORM_ROWS
        column = int(np.clip(s * FORM_PER_RADIUS, 0, self.form.shape[1] - 1))
        return float(self.form[row, column])

    def point(self, s: float, clock: float, out: float | None = None) -> NDArray[np.float64]:
        """Return (x, y, s) of a place at distance `out` from the axis; default: on the surface."""
        away = self.wall_at(s, clock) if out is None else out
        return np.array([away * np.sin(clock), -away * np.cos(clock), s])


def clocks(rows: int = FORM_ROWS) -> FloatMap:
    """Return the clock angle of each row of a map, (rows,)."""
    return ((np.arange(rows) + 0.5) / rows * TURN).astype(np.float32)


def round_section() -> FloatMap:
    """Return the distances to the wall of a round pipe, (FORM_ROWS,)."""
    return np.ones(FORM_ROWS, np.float32)


def egg_section() -> FloatMap:
    """Return the distances to the wall of an egg-shaped sewer: wide above, narrow below."""
    angle = clocks()
    down = np.clip(-np.cos(angle), 0, 1)
    return (1.0 + 0.28 * down**3 - 0.24 * np.abs(np.sin(angle)) * down).astype(np.float32)


def box_section(width: float, height: float) -> FloatMap:
    """Return the distances to the wall of a box culvert of half `width` and half `height`, slightly rounded."""
    angle = clocks()
    power = 14.0
    norm = (np.abs(np.sin(angle)) / width) ** power + (np.abs(np.cos(angle)) / height) ** power
    return (norm ** (-1 / power)).astype(np.float32)


def shifted(section: FloatMap, dx: ArrayLike, dy: ArrayLike) -> FloatMap:
    """Return the distances to the wall of a section with its centre at (dx, dy), by fixed-point iteration.

    Args:
        section: distances to the wall of the section, (FORM_ROWS,).
        dx: shift to the right, radii, well under 1; a scalar, or (columns,) to shift each column separately.
        dy: shift down, like `dx`.

    Returns:
        (FORM_ROWS, columns).
    """
    angle = clocks()[:, None]
    dx, dy = np.atleast_1d(np.asarray(dx, np.float32))[None], np.atleast_1d(np.asarray(dy, np.float32))[None]
    sin, cos = np.sin(angle), -np.cos(angle)
    out = np.broadcast_to(section[:, None], (FORM_ROWS, dx.shape[1])).astype(np.float32)
    for _ in range(12):
        x, y = out * sin - dx, out * cos - dy
        own = np.arctan2(x, -y) % TURN
        wall = np.interp(own, clocks(), section, period=TURN).astype(np.float32)
        out = np.clip(out + 0.8 * (wall - np.hypot(x, y)), 0.05, DEEPEST)
    return out
