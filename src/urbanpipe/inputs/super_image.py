"""The super-image: N frames of a video laid out as tiles of one image, which any image backbone can classify.

The idea is SIFAR's (arXiv 2106.14104); the 3x3 grid with frames augmented one by one and tiles shuffled in training is
the UrbanPipe report's.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from urbanpipe.inputs.augment import apply, augmentations
from urbanpipe.inputs.config import AugmentConfig, InputConfig
from urbanpipe.video import sampling


def lay_out(tiles: Tensor, rows: int, columns: int) -> Tensor:
    """Put tiles together, row by row.

    Args:
        tiles: (rows * columns, channels, height, width).
        rows: rows of tiles.
        columns: columns of tiles.

    Returns:
        (channels, rows * height, columns * width), same dtype. Tile `i` covers `tile_box(i, ...)`.
    """
    count, channels, height, width = tiles.shape
    if count != rows * columns:
        raise ValueError(f"{count} tiles do not fill {rows} rows of {columns}")
    grid = tiles.reshape(rows, columns, channels, height, width)
    return grid.permute(2, 0, 3, 1, 4).reshape(channels, rows * height, columns * width)


def tile_box(position: int, columns: int, tile_size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom in pixels of the tile at `position` (row by row), right and bottom exclusive."""
    width, height = tile_size
    row, column = divmod(position, columns)
    return column * width, row * height, (column + 1) * width, (row + 1) * height


class SuperImage:
    """Makes super-images of a video: says which frames it wants, and puts them together.

    Args:
        config: grid, tile size and sampling.
        augment: what is done in training.

    Attributes:
        frame_size: width and height in pixels at which frames are wanted.
        cacheable: training draws from the frames that `kept` names, so that they can be cached.
    """

    def __init__(self, config: InputConfig, augment: AugmentConfig) -> None:
        self.config = config
        self.frame_size = config.tile_size
        self.cacheable = config.sampling == "uniform" or config.candidates > 0
        self._shuffle = augment.tile_shuffle
        self._tile_transforms = augmentations(augment.tile, augment, config.tile_size)
        self._image_transforms = augmentations(augment.image, augment, config.image_size)

    def kept(self, frame_count: int) -> NDArray[np.int64]:
        """Indices of the frames kept of a video, (candidates, frames): the middle row is what tests see."""
        n, candidates = self.config.frames, max(1, self.config.candidates)
        if self.config.sampling == "uniform":
            return sampling.uniform(frame_count, n)[None]
        if self.config.sampling == "jittered":
            return sampling.uniform(frame_count, n * candidates).reshape(n, candidates).T
        starts = sampling.uniform(max(1, frame_count - n + 1), candidates)
        return np.stack([sampling.sequence(frame_count, n, int(start)) for start in starts])

    def choose(self, candidates: int, rng: np.random.Generator | None) -> NDArray[np.int64]:
        """The row of `kept` to take for each tile, (frames,): drawn with `rng` (training), the middle one without."""
        n = self.config.frames
        if rng is None:
            return np.full(n, candidates // 2)
        return (
            rng.integers(candidates, size=n)
            if self.config.sampling == "jittered"
            else np.full(n, rng.integers(candidates))
        )

    def drawn(self, frame_count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Indices (frames,) drawn from the whole video, for training without a cache."""
        n = self.config.frames
        if self.config.sampling == "jittered":
            return sampling.jittered(frame_count, n, rng)
        return sampling.sequence(frame_count, n, int(rng.integers(max(1, frame_count - n + 1))))

    def train_view(self, frames: NDArray[np.uint8]) -> Tensor:
        """An augmented super-image of `frames` (frames, height, width, 3): uint8 (3, rows * height, columns * width).

        Draws from torch's global generator.
        """
        tiles = _tensor(frames)
        tiles = torch.stack([apply(self._tile_transforms, tile) for tile in tiles])
        if self._shuffle:
            tiles = tiles[torch.randperm(len(tiles))]
        return apply(self._image_transforms, lay_out(tiles, self.config.rows, self.config.columns))

    def test_view(self, frames: NDArray[np.uint8]) -> Tensor:
        """The super-image of `frames` in order of time: uint8 (3, rows * height, columns * width)."""
        return lay_out(_tensor(frames), self.config.rows, self.config.columns)


def _tensor(frames: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2)
