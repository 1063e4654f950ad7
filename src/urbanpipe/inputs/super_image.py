"""The super-image: N frames of a video laid out as tiles of one image, which any image backbone can classify.

The idea is SIFAR's (arXiv 2106.14104); the 3x3 grid with frames augmented one by one and tiles shuffled in training is
the UrbanPipe report's.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from urbanpipe.inputs.augment import apply, augmentations, frames_tensor
from urbanpipe.inputs.config import AugmentConfig, SuperImageConfig
from urbanpipe.inputs.frame_sampling import SampledFrames
from urbanpipe.inputs.frame_timeline import FrameTimeline, Selection, select


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


class SuperImage(SampledFrames):
    """Makes super-images of a video: says which frames it wants, and puts them together. See `inputs.view.View`.

    Args:
        config: grid, tile size and sampling.
        augment: what is done in training.
    """

    def __init__(self, config: SuperImageConfig, augment: AugmentConfig) -> None:
        super().__init__(config)
        self.config = config
        self._shuffle = augment.tile_shuffle
        self._tile_transforms = augmentations(augment.tile, augment, config.frame_size)
        self._image_transforms = augmentations(augment.image, augment, config.image_size)

    def evaluation_sample(self, timeline: FrameTimeline) -> Selection:
        """Each seed in order of time, then in `test_shuffles` layouts, which are the same for all videos."""
        drawn = super().evaluation_sample(timeline).frames
        rng = np.random.default_rng(0)
        layouts = [
            np.arange(drawn.shape[1]),
            *(rng.permutation(drawn.shape[1]) for _ in range(self.config.test_shuffles)),
        ]
        return select(np.concatenate([drawn[:, layout] for layout in layouts]))

    def training_input(self, frames: NDArray[np.uint8]) -> Tensor:
        """An augmented super-image of `frames` (frames, height, width, 3): uint8 (3, rows * height, columns * width).

        Draws from torch's global generator.
        """
        tiles = torch.stack([apply(self._tile_transforms, tile) for tile in frames_tensor(frames)])
        if self._shuffle:
            tiles = tiles[torch.randperm(len(tiles))]
        return apply(self._image_transforms, lay_out(tiles, self.config.rows, self.config.columns))

    def evaluation_input(self, frames: NDArray[np.uint8]) -> Tensor:
        """The super-image of `frames` in order of time: uint8 (3, rows * height, columns * width)."""
        return lay_out(frames_tensor(frames), self.config.rows, self.config.columns)
