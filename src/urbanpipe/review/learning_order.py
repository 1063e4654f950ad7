"""The order in which a person reviews videos so that a model learns most from few of them, and a share kept apart.

Two parts decide: how uncertain the model is about a video, and how many open videos of its group come before it.
`benchmarks/active_learning.md` compares orders.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

_HEAD = 200  # videos that are spread by their features: a day's work of a reviewer
_MIN_ENTROPY = 1e-3  # nats; a class that the model finds nowhere does not outweigh all others


def uncertainty(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return how uncertain each video is: the entropy of each class relative to that of its rate, summed over classes.

    The rate of a class is its mean probability. H(p) / H(rate) is 1 for a video of which the model knows no more than
    how common the class is. In plain entropy frequent classes dominate, as a rare one's probability is seldom near 0.5.

    Args:
        probabilities: (n, C) float, in [0, 1]; NaN in a row means that the video has no probabilities.

    Returns:
        (n,) float64, 0 or more; NaN for videos without probabilities.
    """
    known = ~np.isnan(probabilities).any(axis=1)
    values = np.full(len(known), np.nan)
    if known.any():
        rows = np.asarray(probabilities[known], dtype=np.float64)
        values[known] = _entropy(rows) @ (1 / np.maximum(_entropy(rows.mean(axis=0)), _MIN_ENTROPY))
    return values


def _entropy(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the entropy of binary labels, nats."""
    return np.asarray(entr(probabilities) + entr(1 - probabilities))


def learning_order(
    probabilities: NDArray[np.floating],
    groups: Sequence[str] | NDArray[np.str_],
    *,
    reviewed: NDArray[np.bool_] | None = None,
    features: NDArray[np.floating] | None = None,
) -> NDArray[np.intp]:
    """Return the videos that are still open, in the order in which a person should review them.

    The groups take turns: the videos of the first turn are the most uncertain one of each group, those of the second
    turn the next one of each group. Within a turn the most uncertain video is first. A video without probabilities is
    the last one of its group and of its turn. Equal videos keep their order. Each call starts the turns anew.

    With features, the first 200 videos, as far as they belong to one turn, are also spread over what they show: each
    next one has the largest product of uncertainty and distance to the nearest one before it.

    Args:
        probabilities: (n, C) float, in [0, 1], of the current model; NaN in a row means that the video has none.
        groups: n groups; videos of one pipe, inspection or folder share one.
        reviewed: (n,) whether a video is reviewed already; default: none is.
        features: (n, d) float, any finite values, such as pooled features of a backbone; default: not used.

    Returns:
        Indices of the open videos, each once.

    Raises:
        ValueError: the arrays differ in length.

    Example:
        >>> learning_order(np.array([[0.5], [0.4], [0.1]]), ["a", "a", "b"])
        array([0, 2, 1])
    """
    done = np.zeros(len(probabilities), dtype=bool) if reviewed is None else np.asarray(reviewed, dtype=bool)
    lengths = [len(probabilities), len(groups), len(done), *([] if features is None else [len(features)])]
    if len(set(lengths)) > 1:
        raise ValueError(f"probabilities, groups, reviewed and features must be of equal length, not {lengths}")
    videos = np.flatnonzero(~done)
    doubt = np.nan_to_num(uncertainty(probabilities), nan=-1.0)
    videos = videos[np.argsort(-doubt[videos], kind="stable")]
    turns = _turns(_numbered(groups)[videos])
    videos = videos[np.argsort(turns, kind="stable")]
    if features is not None and len(videos):
        head = videos[: min(_HEAD, int((turns == 0).sum()))]
        videos[: len(head)] = head[_spread(np.maximum(doubt[head], 0.0), features[head])]
    return videos


def _numbered(groups: Sequence[str] | NDArray[np.str_]) -> NDArray[np.int64]:
    """Return a number for each group, by its first appearance."""
    names = groups.tolist() if isinstance(groups, np.ndarray) else list(groups)  # Python's strings hash faster
    numbers = {group: number for number, group in enumerate(dict.fromkeys(names))}
    return np.array([numbers[group] for group in names], dtype=np.int64)


def _turns(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each element how many elements of the same group, numbered from 0, are before it."""
    order = np.argsort(groups, kind="stable")
    sizes = np.bincount(groups)
    turns = np.empty(len(groups), dtype=np.int64)
    turns[order] = np.arange(len(groups)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return turns


def _spread(doubt: NDArray[np.float64], features: NDArray[np.floating]) -> NDArray[np.intp]:
    """Return an order by the product of doubt (k,) and distance of standardised features (k, d) to those before."""
    scale = features.std(axis=0, dtype=np.float64)
    values = (features - features.mean(axis=0, dtype=np.float64)) / np.where(scale > 0, scale, 1.0)
    squares = (values**2).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * values @ values.T, 0.0))
    order = np.empty(len(doubt), dtype=np.intp)
    value, nearest = doubt.copy(), np.full(len(doubt), np.inf)
    for place in range(len(order)):
        order[place] = chosen = int(np.argmax(value))
        nearest = np.minimum(nearest, distances[chosen])
        value = doubt * nearest
        value[order[: place + 1]] = -1.0
    return order
