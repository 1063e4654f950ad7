"""Ground truth of a scene, found by ray casting: which defect is visible, when, and where in the picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from urbanpipe.simulate.extent import surface_points
from urbanpipe.simulate.eye import Eye
from urbanpipe.simulate.path import UNIFORM_FRAMES
from urbanpipe.video.sampling import uniform

SAMPLES_PER_SECOND = 4.0
ROWS = 60
"""Number of rows of rays for finding the ground truth, for any size of the video."""
VISIBLE_SHARE = 0.002
"""A defect is visible while it covers this share of the picture."""
IN_VIEW_SHARE = 0.25
"""A visible defect is in view while the picture shows this share of the surface that it shows at best."""
Box = tuple[float, float, float, float]
"""Left, top, right, bottom, as shares of the picture's width and height."""


@dataclass(frozen=True)
class Seen:
    """Visibility of one defect.

    Attributes:
        times: (n,), sampled times, seconds.
        cover: (n,), share of the picture that it covers; below VISIBLE_SHARE it counts as not visible.
        surface: (n,), share of its surface that is in the picture and that nothing hides.
        boxes: bounding box at each time, or None.
        missed: whether none of nine uniform frames shows it.
    """

    times: NDArray[np.float64]
    cover: NDArray[np.float64]
    surface: NDArray[np.float64]
    boxes: tuple[Box | None, ...]
    missed: bool

    @property
    def visible(self) -> NDArray[np.bool_]:
        """Whether it is visible at each time, (n,)."""
        shown: NDArray[np.bool_] = self.cover >= VISIBLE_SHARE
        return shown

    @property
    def seconds(self) -> float:
        """Total visible time, seconds."""
        return float(self.visible.mean() * (self.times[-1] + 1 / SAMPLES_PER_SECOND)) if len(self.times) else 0.0

    @property
    def in_view(self) -> NDArray[np.bool_]:
        """Whether it is in view at each time, (n,): it is visible, and not only an edge of it is left."""
        best = self.surface[self.visible].max(initial=0.0)
        shown: NDArray[np.bool_] = self.visible & (self.surface >= IN_VIEW_SHARE * best)
        return shown

    @property
    def moment(self) -> float:
        """The second at which it is best in view: at its largest in the picture, slightly smoothed."""
        smooth = np.convolve(self.cover, (0.25, 0.5, 0.25), mode="same")
        shown = self.in_view
        return float(self.times[int(np.argmax(np.where(shown, smooth, 0) if shown.any() else smooth))])

    def intervals(self) -> list[tuple[float, float]]:
        """Return the first and last second of each interval in view; a gap of one sample does not end it."""
        shown = self.in_view.copy()
        shown[1:-1] |= shown[:-2] & shown[2:]
        edges = np.flatnonzero(np.diff(np.concatenate([[False], shown, [False]]).astype(np.int8)))
        return [(float(self.times[a]), float(self.times[b - 1])) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def look_for(eye: Eye, owners: Sequence[int], fps: float) -> list[Seen]:
    """Find the visible defects of a scene a few times per second, and in its nine uniform frames.

    Args:
        eye: eye of the scene, with `ROWS` rows of rays.
        owners: numbers of the defects.
        fps: frames per second of the video.
    """
    frames = frame_count(eye.scene.camera.duration_seconds, fps)
    step = max(1, round(fps / SAMPLES_PER_SECOND))
    nine = set(uniform(frames, UNIFORM_FRAMES).tolist())
    points = [surface_points(eye.scene.pipe, owner) for owner in owners]
    found = {number: _covers(eye, number / fps, owners, points) for number in sorted({*range(0, frames, step), *nine})}
    regular = [number for number in found if number % step == 0]
    return [
        Seen(
            times=np.array([number / fps for number in regular]),
            cover=np.array([found[number][index][0] for number in regular]),
            surface=np.array([found[number][index][1] for number in regular]),
            boxes=tuple(found[number][index][2] for number in regular),
            missed=all(found[number][index][0] < VISIBLE_SHARE for number in nine),
        )
        for index in range(len(owners))
    ]


def frame_count(duration_seconds: float, fps: float) -> int:
    """Return the number of frames of a video, at least one."""
    return max(1, round(duration_seconds * fps))


def _covers(
    eye: Eye, seconds: float, owners: Sequence[int], points: Sequence[NDArray[np.float32]]
) -> list[tuple[float, float, Box | None]]:
    """Return for each defect the shares of the picture and of its `points` that are visible, and its bounding box."""
    view = eye.view(seconds)
    owner = view.hits.owner.copy()
    for strand in eye.scene.pipe.strands:
        if strand.owner:
            places, _, shown = eye.seen(view, strand.points)
            owner[eye.cells(places[shown], (owner.shape[0], owner.shape[1]))] = strand.owner
    boxes = [_box(owner == number) for number in owners]
    surfaces = [float(eye.seen(view, part)[2].mean()) if len(part) else 0.0 for part in points]
    return [(cover, surface, box) for (cover, box), surface in zip(boxes, surfaces, strict=True)]


def _box(mask: NDArray[np.bool_]) -> tuple[float, Box | None]:
    cover = float(mask.mean())
    if cover == 0:
        return 0.0, None
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    height, width = mask.shape
    box = columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height
    return cover, (float(box[0]), float(box[1]), float(box[2]), float(box[3]))
