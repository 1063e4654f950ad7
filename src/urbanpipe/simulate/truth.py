"""What is to be seen in a scene, found by casting rays: which defect, when, and where in the picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from urbanpipe.simulate.eye import Eye
from urbanpipe.simulate.path import UNIFORM_FRAMES
from urbanpipe.video.sampling import uniform

SAMPLES_PER_SECOND = 4.0
ROWS = 60
"""Height of the picture on which truth is found: 60 rows of rays whatever the video's size."""
VISIBLE_SHARE = 0.002
"""A defect is in view while it covers this share of the picture."""
Box = tuple[float, float, float, float]
"""Left, top, right, bottom, as shares of the picture's width and height."""


@dataclass(frozen=True)
class Seen:
    """What is to be seen of one defect.

    Attributes:
        times: (n,), seconds at which was looked.
        cover: (n,), share of the picture that it covers; below VISIBLE_SHARE it counts as unseen.
        boxes: around it at each time, or None.
        missed: none of nine uniform frames shows it.
    """

    times: NDArray[np.float64]
    cover: NDArray[np.float64]
    boxes: tuple[Box | None, ...]
    missed: bool

    @property
    def visible(self) -> NDArray[np.bool_]:
        """When it is in view, (n,)."""
        shown: NDArray[np.bool_] = self.cover >= VISIBLE_SHARE
        return shown

    @property
    def seconds(self) -> float:
        """How long it is in view in all."""
        return float(self.visible.mean() * (self.times[-1] + 1 / SAMPLES_PER_SECOND)) if len(self.times) else 0.0

    @property
    def moment(self) -> float:
        """The second at which it is seen best: largest in the picture, a little smoothed."""
        smooth = np.convolve(self.cover, np.ones(3) / 3, mode="same")
        return float(self.times[int(np.argmax(smooth))])

    def intervals(self) -> list[tuple[float, float]]:
        """First and last second of each stretch in which it is in view; a gap of one sample does not end it."""
        shown = self.visible.copy()
        shown[1:-1] |= shown[:-2] & shown[2:]
        edges = np.flatnonzero(np.diff(np.concatenate([[False], shown, [False]]).astype(np.int8)))
        return [(float(self.times[a]), float(self.times[b - 1])) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def look_for(eye: Eye, owners: Sequence[int], fps: float) -> list[Seen]:
    """Look at a scene a few times a second, and at its nine uniform frames.

    Args:
        eye: of the scene, with `ROWS` rows of rays.
        owners: numbers of the defects.
        fps: of the video.
    """
    frames = frame_count(eye.scene.camera.duration_seconds, fps)
    step = max(1, round(fps / SAMPLES_PER_SECOND))
    nine = set(uniform(frames, UNIFORM_FRAMES).tolist())
    found = {number: _covers(eye, number / fps, owners) for number in sorted({*range(0, frames, step), *nine})}
    regular = [number for number in found if number % step == 0]
    return [
        Seen(
            times=np.array([number / fps for number in regular]),
            cover=np.array([found[number][index][0] for number in regular]),
            boxes=tuple(found[number][index][1] for number in regular),
            missed=all(found[number][index][0] < VISIBLE_SHARE for number in nine),
        )
        for index in range(len(owners))
    ]


def frame_count(duration_seconds: float, fps: float) -> int:
    """Frames of a video: at least one."""
    return max(1, round(duration_seconds * fps))


def _covers(eye: Eye, seconds: float, owners: Sequence[int]) -> list[tuple[float, Box | None]]:
    """For each defect the share of the picture that it covers at a time, and the box around it."""
    view = eye.view(seconds)
    owner = view.hits.owner.copy()
    for strand in eye.scene.pipe.strands:
        if strand.owner:
            places, _, shown = eye.seen(view, strand.points)
            owner[eye.cells(places[shown], (owner.shape[0], owner.shape[1]))] = strand.owner
    return [_box(owner == number) for number in owners]


def _box(mask: NDArray[np.bool_]) -> tuple[float, Box | None]:
    cover = float(mask.mean())
    if cover == 0:
        return 0.0, None
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    height, width = mask.shape
    box = columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height
    return cover, (float(box[0]), float(box[1]), float(box[2]), float(box[3]))
