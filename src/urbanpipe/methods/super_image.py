"""The super-image: N frames of a video laid out as tiles of one image, which any image backbone can classify.

The idea comes from SIFAR (arXiv 2106.14104). The 3x3 grid, with frames augmented separately and tiles shuffled in
training, comes from the UrbanPipe report.
"""

from typing import Literal

import numpy as np
from pydantic import Field

from urbanpipe.inputs.augmenter import Augmenter, channels_first, shuffled
from urbanpipe.inputs.config import AugmentConfig, SampledConfig
from urbanpipe.inputs.frame_sampling import SampledFrames
from urbanpipe.inputs.frame_timeline import FrameTimeline, Selection, select
from urbanpipe.inputs.tiles import lay_out
from urbanpipe.inputs.view import Frames
from urbanpipe.methods.method import Method


class SuperImageConfig(SampledConfig):
    """N frames of the whole video as tiles of one image.

    Attributes:
        rows: rows of tiles.
        columns: columns of tiles.
        tile: height of a tile in pixels.
        test_shuffles: random layouts of the tiles that are predicted besides the one in order of time; the
            probabilities are averaged.
    """

    method: Literal["super-image"] = "super-image"
    rows: int = Field(3, ge=1, le=8)
    columns: int = Field(3, ge=1, le=8)
    tile: int = Field(448, ge=16, le=2048)
    test_shuffles: int = Field(0, ge=0, le=31)

    @property
    def frames(self) -> int:
        """Frames per super-image."""
        return self.rows * self.columns

    @property
    def tile_grid(self) -> tuple[int, int]:
        """Rows and columns of frames in one image."""
        return self.rows, self.columns

    @property
    def summary(self) -> str:
        """The network input in a few words."""
        return f"{self.rows}x{self.columns} tiles of {self.tile} px"

    @property
    def smaller(self) -> str:
        """The setting to reduce when memory is short."""
        return f"input.tile smaller (now {self.tile})"

    @property
    def frame_size(self) -> tuple[int, int]:
        """Width and height of a tile in pixels."""
        return self._sized(self.tile)

    @property
    def image_size(self) -> tuple[int, int]:
        """Width and height of the whole input in pixels."""
        width, height = self.frame_size
        return width * self.columns, height * self.rows


class SuperImage(SampledFrames):
    """View of a video as super-images. See `inputs.view.View`.

    Args:
        config: grid, tile size and sampling.
        augment: augmentation in training.
    """

    def __init__(self, config: SuperImageConfig, augment: AugmentConfig) -> None:
        super().__init__(config)
        self.config = config
        self._shuffle = augment.tile_shuffle
        self._augmented_tile = Augmenter(augment.tile, augment, config.frame_size)
        self._augmented_image = Augmenter(augment.image, augment, config.image_size)

    def evaluation_sample(self, timeline: FrameTimeline) -> Selection:
        """Return every seed in order of time, then in `test_shuffles` layouts, which are the same for all videos."""
        sampled = super().evaluation_sample(timeline).frames
        rng = np.random.default_rng(0)
        layouts = [
            np.arange(sampled.shape[1]),
            *(rng.permutation(sampled.shape[1]) for _ in range(self.config.test_shuffles)),
        ]
        return select(np.concatenate([sampled[:, layout] for layout in layouts]))

    def training_input(self, frames: Frames) -> Frames:
        """Return an augmented super-image, uint8 (3, rows * height, columns * width).

        Uses torch's global generator.

        Args:
            frames: (frames, height, width, 3).
        """
        tiles = np.stack([self._augmented_tile(tile) for tile in channels_first(frames)])
        if self._shuffle:
            tiles = shuffled(tiles)
        return self._augmented_image(lay_out(tiles, self.config.rows, self.config.columns))

    def evaluation_input(self, frames: Frames) -> Frames:
        """Return the super-image of `frames` in order of time, uint8 (3, rows * height, columns * width)."""
        return lay_out(frames.transpose(0, 3, 1, 2), self.config.rows, self.config.columns)


class SuperImageMethod(Method[SuperImageConfig]):
    """One forward pass per video, for any image backbone."""

    config_type = SuperImageConfig

    def view(self, config: SuperImageConfig, augment: AugmentConfig) -> SuperImage:
        """Return the view that lays out super-images."""
        return SuperImage(config, augment)
