"""Extent of defects: points spread over the surface of each, to find which share of it a picture shows."""

import numpy as np
from numpy.typing import NDArray

from urbanpipe.simulate.pipe import FORM_PER_RADIUS, FORM_ROWS, TURN, Pipe

MAX_POINTS = 400
"""Maximum number of points per defect."""
_WATER_PER_RADIUS = 12
"""Points per radius on water surfaces, along and across."""


def surface_points(pipe: Pipe, owner: int) -> NDArray[np.float32]:
    """Return points (n, 3) over all that belongs to a defect: wall, strands, and water surfaces; n <= MAX_POINTS.

    Args:
        pipe: the pipe with its defects.
        owner: number of the defect.
    """
    strands = [strand.points for strand in pipe.strands if strand.owner == owner]
    spans = [(start, stop) for start, stop, number in pipe.pools if number == owner]
    spans += [(raft.start, raft.stop) for raft in pipe.rafts if raft.owner == owner]
    points = np.concatenate([_wall(pipe, owner), *strands, *(_water(pipe, *span) for span in spans)])
    return _thinned(points).astype(np.float32)


def _wall(pipe: Pipe, owner: int) -> NDArray[np.float64]:
    """Return the points of the wall that a defect claims, (n, 3)."""
    row, column = np.nonzero(pipe.owner == owner)
    clock, out = (row + 0.5) / FORM_ROWS * TURN, pipe.form[row, column]
    return np.stack([out * np.sin(clock), -out * np.cos(clock), (column + 0.5) / FORM_PER_RADIUS], axis=1)


def _water(pipe: Pipe, start: float, stop: float) -> NDArray[np.float64]:
    """Return points of the water surface between two places along the pipe, (n, 3)."""
    assert pipe.water is not None, "pools and rafts come with water"
    across = np.linspace(-1, 1, 2 * _WATER_PER_RADIUS)
    along = np.linspace(start, stop, max(2, round((stop - start) * _WATER_PER_RADIUS)))
    x, s = (axis.ravel() for axis in np.meshgrid(across, along))
    return np.stack([x, np.full(len(x), pipe.water.level), s], axis=1)


def _thinned(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return at most MAX_POINTS of the points, evenly chosen."""
    return points[np.linspace(0, len(points) - 1, min(MAX_POINTS, len(points))).round().astype(np.int64)]
