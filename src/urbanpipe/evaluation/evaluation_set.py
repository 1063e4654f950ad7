"""The labelled videos on which predictions are evaluated, and their folds."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from urbanpipe.taxonomy import Taxonomy


@dataclass(frozen=True, eq=False)
class EvaluationSet:
    """Labelled videos.

    Attributes:
        taxonomy: its C classes.
        names: the n videos.
        targets: (n, C) bool.
        folds: (n,) int, the fold whose model predicts each video.
        groups: group of every video; videos of a group are not independent.
    """

    taxonomy: Taxonomy
    names: tuple[str, ...]
    targets: NDArray[np.bool_]
    folds: NDArray[np.int64]
    groups: tuple[str, ...]

    def only(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Self:
        """Return the same of some of the videos, by their rows or a mask."""
        chosen = np.arange(len(self.names))[rows].tolist()
        return replace(
            self,
            names=tuple(self.names[row] for row in chosen),
            targets=self.targets[chosen],
            folds=self.folds[chosen],
            groups=tuple(self.groups[row] for row in chosen),
        )


def leave_one_fold_out(folds: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Yield each fold, ascending, with the mask (n,) of its videos: what is held out.

    Args:
        folds: (n,) int.

    Example:
        >>> import numpy as np
        >>> [(fold, held.tolist()) for fold, held in leave_one_fold_out(np.array([1, 0, 1]))]
        [(0, [False, True, False]), (1, [True, False, True])]
    """
    for fold in np.unique(folds).tolist():
        yield fold, folds == fold
