"""What every method's input offers, and which class makes the input of which method."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from urbanpipe.inputs.config import AugmentConfig, InputConfig
from urbanpipe.inputs.super_image import SuperImage


class View(Protocol):
    """Says which frames of a video it wants, and makes a network's input of them. See `SuperImage` for shapes."""

    frame_size: tuple[int, int]
    cacheable: bool

    def kept(self, frame_count: int) -> NDArray[np.int64]:
        """Indices of the frames worth caching, (candidates, frames)."""

    def choose(self, candidates: int, rng: np.random.Generator | None) -> NDArray[np.int64]:
        """The row of `kept` to take for each frame; without `rng` the one that tests see."""

    def drawn(self, frame_count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Indices drawn from the whole video, where the view is not cacheable."""

    def train_view(self, frames: NDArray[np.uint8]) -> Tensor:
        """An augmented input, from torch's global generator."""

    def test_view(self, frames: NDArray[np.uint8]) -> Tensor:
        """The plain input."""


VIEWS = {"super-image": SuperImage}


def make_view(config: InputConfig, augment: AugmentConfig) -> View:
    """The input of the recipe's method."""
    return VIEWS[config.method](config, augment)
