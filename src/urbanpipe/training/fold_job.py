"""One model to train, and the files that its folder holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from urbanpipe.catalog.catalog_file import Video
from urbanpipe.catalog.labels import label_matrix
from urbanpipe.methods.recipe import Recipe
from urbanpipe.taxonomy import Taxonomy
from urbanpipe.video.cache import FrameCache


@dataclass(frozen=True)
class FoldJob:
    """One model to train.

    Attributes:
        recipe: how.
        taxonomy: the classes.
        train: videos to learn from.
        valid: videos to judge by; may be empty, then the last epoch is kept.
        folder: gets the weights, the metrics and the predictions of `valid`.
        cache: frames on disk, or None.
        name: what progress lines call it.
    """

    recipe: Recipe
    taxonomy: Taxonomy
    train: Sequence[Video]
    valid: Sequence[Video]
    folder: Path
    cache: FrameCache | None
    name: str

    def targets(self, videos: Sequence[Video]) -> NDArray[np.float32]:
        """Labels (videos, classes), 0 or 1."""
        labels = {video.name: video.labels or () for video in videos}
        return label_matrix([video.name for video in videos], labels, len(self.taxonomy)).astype(np.float32)
