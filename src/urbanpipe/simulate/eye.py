"""The scene as seen by the rays of the camera at a time: the basis of both picture and ground truth."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from urbanpipe.simulate.camera import Camera, Pose
from urbanpipe.simulate.cast import Caster, Hits
from urbanpipe.simulate.pipe import Pipe
from urbanpipe.simulate.scene import Look
from urbanpipe.simulate.surface import FloatMap


@dataclass
class Scene:
    """One video: a pipe, the path of a camera through it, and the look of its pictures."""

    pipe: Pipe
    camera: Camera
    look: Look
    exposure_phase: float = 0.0
    site: str = ""


@dataclass(frozen=True)
class View:
    """One moment: the pose of the camera, its rays (rows, columns, 3), and what they meet."""

    seconds: float
    pose: Pose
    directions: FloatMap
    hits: Hits


class Eye:
    """Casts a grid of rays through the picture of a scene.

    Args:
        scene: the scene.
        aspect: width of the picture divided by its height.
        rows: number of rows of the grid.
        caster: caster of the pipe of the scene, if there is one already.

    Attributes:
        grid: x and y of the rays in the picture, in half heights, (rows, columns) each.
    """

    def __init__(self, scene: Scene, aspect: float, rows: int, caster: Caster | None = None) -> None:
        self.scene, self.aspect = scene, aspect
        self.caster = caster or Caster(scene.pipe)
        self.grid = picture_grid(aspect, rows)
        rays = Pose(0, 0, 0, 0, 0, 1.0, scene.camera.bend).rays(*self.grid)
        self._plane = rays[..., :2] / rays[..., 2:]

    def view(self, seconds: float) -> View:
        """Return what the rays meet at a time."""
        pose = self.scene.camera.pose(seconds)
        local = np.empty((*self._plane.shape[:2], 3), np.float32)
        local[..., :2], local[..., 2] = self._plane / np.float32(pose.focal), 1
        local /= np.sqrt((local * local).sum(-1, keepdims=True))
        directions = local @ pose.axes.astype(np.float32)
        return View(seconds, pose, directions, self.caster.cast(pose, directions, seconds))

    def cells(self, places: NDArray[np.float64], shape: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the cells that hold positions (n, 2) in half heights, in a grid of `shape` over the picture.

        Returns:
            Row and column, (n,) each; they may lie outside the grid.
        """
        row = np.floor((places[:, 1] + 1) / 2 * shape[0]).astype(np.int64)
        column = np.floor((places[:, 0] / self.aspect + 1) / 2 * shape[1]).astype(np.int64)
        return row, column

    def seen(
        self, view: View, points: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """Project points (n, 3) and find those that nothing hides.

        Returns:
            Positions (n, 2) in half heights, depths (n,), and whether each point is visible, (n,).
        """
        places, depth = view.pose.project(points)
        rows, columns = view.hits.distance.shape
        row, column = self.cells(places, (rows, columns))
        inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns) & (depth > 0.15)
        away = np.linalg.norm(points - (view.pose.x, view.pose.y, view.pose.s), axis=1)
        met = np.minimum(view.hits.distance, view.hits.water)
        met = met[np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)]
        return places, depth, inside & (away < met + 0.12)


def picture_grid(aspect: float, rows: int) -> tuple[FloatMap, FloatMap]:
    """Return the centres of a grid of square cells over a picture, x and y in half heights, (rows, columns)."""
    columns = max(2, round(rows * aspect))
    y = (np.arange(rows) + 0.5) / rows * 2 - 1
    x = ((np.arange(columns) + 0.5) / columns * 2 - 1) * aspect
    xs, ys = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
    return xs, ys
