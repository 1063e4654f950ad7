"""What makes folds unfit for figures: very uneven sizes, or folds in which most classes do not occur."""

import numpy as np
from numpy.typing import NDArray

_MAX_RATIO = 4  # of the largest to the smallest fold
_MIN_DIFFERENCE = 4  # videos; folds of one and five videos are small rather than uneven
_MIN_SHARE = 0.5  # of the classes that occur at all


def is_uneven(sizes: NDArray[np.int64]) -> bool:
    """Return whether the sizes (K,) of folds differ so much that a mean over folds has no meaning."""
    low, high = int(sizes.min()), int(sizes.max())
    return high > _MAX_RATIO * low and high - low >= _MIN_DIFFERENCE


def fold_faults(targets: NDArray[np.bool_], folds: NDArray[np.int64]) -> list[str]:
    """Return a line for each reason why a mean over the folds has no meaning; none if the folds are fit for it.

    Args:
        targets: (n, C) labels.
        folds: (n,) fold of each video.
    """
    numbers, sizes = np.unique(folds, return_counts=True)
    lines = []
    if is_uneven(sizes):
        lines.append(f"the folds are very uneven: {_joined(sizes)} videos")
    present = int(targets.any(axis=0).sum())
    shown = np.array([targets[folds == number].any(axis=0).sum() for number in numbers])
    if lacking := [int(number) for number in numbers[shown < _MIN_SHARE * present]]:
        lines.append(
            f"most of the {present} classes do not occur in fold{'s' if len(lacking) > 1 else ''} {_joined(lacking)}"
        )
    return lines


def _joined(values: object) -> str:
    return ", ".join(map(str, np.asarray(values).tolist()))
