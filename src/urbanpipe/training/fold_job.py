"""The description of one model to train."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from urbanpipe.catalog.catalog_file import Video
from urbanpipe.catalog.labels import label_matrix
from urbanpipe.methods.recipe import Recipe
from urbanpipe.taxonomy import Taxonomy
from urbanpipe.training.loggers import LoggerChoice
from urbanpipe.video.cache import FrameCache


@dataclass(frozen=True)
class FoldJob:
    """One model to train.

    Attributes:
        recipe: settings of the training.
        taxonomy: the classes.
        train: training videos.
        valid: validation videos; if empty, the last epoch is kept.
        folder: folder for the weights, the metrics and the predictions of `valid`.
        cache: frame cache, or None.
        name: name in progress lines.
        logger: where metrics go besides `metrics.csv`; default: TensorBoard.
        folds_after: folds that are trained after this one, for the time left.
    """

    recipe: Recipe
    taxonomy: Taxonomy
    train: Sequence[Video]
    valid: Sequence[Video]
    folder: Path
    cache: FrameCache | None
    name: str
    logger: LoggerChoice | None = None
    folds_after: int = 0

    @property
    def data_line(self) -> str:
        """How many videos, groups and classes the model is trained and validated on, in one line."""
        trained = f"trained on {self._counts(self.train)}"
        return f"{trained}, validated on {self._counts(self.valid)}" if self.valid else trained

    def _counts(self, videos: Sequence[Video]) -> str:
        groups = len({video.group for video in videos})
        classes = len({label for video in videos for label in video.labels or ()})
        return f"{len(videos)} videos of {groups} groups with {classes} of {len(self.taxonomy)} classes"

    def targets(self, videos: Sequence[Video]) -> NDArray[np.float32]:
        """Return the labels of videos, (videos, classes), 0 or 1."""
        labels = {video.name: video.labels or () for video in videos}
        return label_matrix([video.name for video in videos], labels, len(self.taxonomy)).astype(np.float32)
