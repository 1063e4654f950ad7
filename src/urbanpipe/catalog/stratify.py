"""Multi-label stratified folds over whole groups.

Groups with the same label counts and size are interchangeable, so the search works on kinds of groups: a table of how
many groups of each kind each fold has. It starts from iterative stratification (Sechidis, Tsoumakas and Vlahavas, "On
the Stratification of Multi-label Data", ECML PKDD 2011), run over groups with their label counts. Descent over moves of
one group and swaps of two continues until neither improves the cost. The seed decides which group of a kind goes to
which fold.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from urbanpipe.errors import FoldError

_MAX_SWEEPS = 500
_MIN_GAIN = 1e-6
_SWAP_KINDS = 256  # kinds of groups per fold that one search for a swap considers
_RESTARTS = 3

Counts = NDArray[np.int64]


def assign_folds(
    names: Sequence[str], targets: NDArray[np.bool_], groups: Sequence[str], n_folds: int, seed: int = 0
) -> NDArray[np.int64]:
    """Assign a fold to every video, with each class and the videos spread as evenly as whole groups allow.

    Args:
        names: n distinct video names.
        targets: (n, C) boolean, the labels.
        groups: group of each video; all videos of a group get the same fold.
        n_folds: number of folds K, at least 2 and at most the number of groups.
        seed: the same seed gives the same folds, in any order of the videos.

    Returns:
        (n,) fold of each video, 0 to K-1; no fold is empty.

    Raises:
        FoldError: there are fewer than two folds or more folds than groups, or the seed is negative.
    """
    assert len(names) == len(targets) == len(groups)
    keys, group_of_row = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    if seed < 0:
        raise FoldError(f"the seed {seed} is negative; give 0 or more")
    if n_folds < 2:
        raise FoldError(f"{n_folds} folds are too few for cross-validation; use 2 or more")
    if n_folds > len(keys):
        most = f"use at most {len(keys)}" if len(keys) > 1 else "add videos, or train on all with `urbanpipe train`"
        raise FoldError(f"{n_folds} folds of {len(keys)} groups leave folds empty; {most}")
    counts = np.zeros((len(keys), targets.shape[1] + 1), dtype=np.int64)
    np.add.at(counts, group_of_row, np.column_stack([targets, np.ones(len(names), dtype=np.bool_)]).astype(np.int64))
    folds: Counts = _group_folds(counts, n_folds, seed)[group_of_row]
    return folds


def _group_folds(counts: Counts, n_folds: int, seed: int) -> Counts:
    """Return the folds of (G, C + 1) groups, whose last column is their size."""
    kinds, kind_of_group = np.unique(counts, axis=0, return_inverse=True)
    kind_of_group = kind_of_group.reshape(-1)
    rngs = [np.random.default_rng([seed, restart]) for restart in range(_RESTARTS)]
    found = [_searched(counts, kinds, kind_of_group, n_folds, rng) for rng in rngs]
    _, table = min(found, key=lambda result: result[0])
    return _deal(table, kind_of_group, np.random.default_rng([seed, _RESTARTS]))


def _searched(
    counts: Counts, kinds: Counts, kind_of_group: Counts, n_folds: int, rng: np.random.Generator
) -> tuple[float, Counts]:
    """Return the cost and table (kinds, K) of one search from its own random start."""
    table = np.zeros((len(kinds), n_folds), dtype=np.int64)
    np.add.at(table, (kind_of_group, _iterative(counts, n_folds, rng)), 1)
    return _refine(table, kinds, rng), table


def _iterative(counts: Counts, n_folds: int, rng: np.random.Generator) -> Counts:
    """Return folds of groups by iterative stratification.

    The rarest class comes first, and each group goes to the fold that lacks the class most.
    """
    folds = np.full(len(counts), -1, dtype=np.int64)
    lacking = np.tile(counts.sum(axis=0) / n_folds, (n_folds, 1))
    remaining = counts.sum(axis=0)
    order = rng.permutation(len(counts))
    while (folds < 0).any():
        rare = int(np.argmin(np.where(remaining > 0, remaining, np.iinfo(np.int64).max)))
        waiting = order[(folds[order] < 0) & (counts[order, rare] > 0)]
        for group in waiting[np.argsort(-counts[waiting, rare], kind="stable")]:
            fold = np.lexsort((rng.random(n_folds), -lacking[:, -1], -lacking[:, rare]))[0]
            folds[group] = fold
            lacking[fold] -= counts[group]
            remaining -= counts[group]
    return folds


def _refine(table: Counts, kinds: Counts, rng: np.random.Generator) -> float:
    """Improve `table` (kinds, K) in place by moves and swaps of groups until none helps; return its cost.

    The cost is the sum over folds and columns (each class, and all videos) of the squared distance from an equal share.
    A fold without any group never survives: giving it a group from a fold with several lowers the cost.
    """
    excess = table.T @ kinds - (table.sum(axis=1) @ kinds) / table.shape[1]
    pairs = list(combinations(range(table.shape[1]), 2))
    for _ in range(_MAX_SWEEPS):
        while _move(table, kinds, excess):
            pass
        if not sum(_swap(table, kinds, excess, pair, rng) for pair in pairs):
            break
    return float((excess**2).sum())


def _move(table: Counts, kinds: Counts, excess: NDArray[np.float64]) -> bool:
    """Make the best move of one group to another fold, if any lowers the cost; return whether one was made."""
    pull = kinds @ excess.T
    sources = np.where(table > 0, pull, -np.inf).argmax(axis=1)
    targets = pull.argmin(axis=1)
    every = np.arange(len(kinds))
    change = pull[every, targets] - pull[every, sources] + (kinds**2).sum(axis=1)
    kind = int(change.argmin())
    if change[kind] > -_MIN_GAIN:
        return False
    _transfer(table, kinds, excess, kind=kind, source=int(sources[kind]), target=int(targets[kind]))
    return True


def _swap(
    table: Counts, kinds: Counts, excess: NDArray[np.float64], pair: tuple[int, int], rng: np.random.Generator
) -> bool:
    """Make the best swap of two groups between two folds, if any lowers the cost; return whether one was made."""
    here, there = pair
    ours, theirs = _some(table[:, here], rng), _some(table[:, there], rng)
    pull = kinds @ (excess[there] - excess[here])
    square = (kinds**2).sum(axis=1)
    change = (pull + square)[ours, None] - (pull - square)[None, theirs] - 2 * kinds[ours] @ kinds[theirs].T
    if not change.size or change.min() > -_MIN_GAIN:
        return False
    row, column = np.unravel_index(change.argmin(), change.shape)
    _transfer(table, kinds, excess, kind=int(ours[row]), source=here, target=there)
    _transfer(table, kinds, excess, kind=int(theirs[column]), source=there, target=here)
    return True


def _some(column: Counts, rng: np.random.Generator) -> Counts:
    present = np.flatnonzero(column)
    return present if len(present) <= _SWAP_KINDS else rng.choice(present, _SWAP_KINDS, replace=False)


def _transfer(
    table: Counts, kinds: Counts, excess: NDArray[np.float64], *, kind: int, source: int, target: int
) -> None:
    table[kind, source] -= 1
    table[kind, target] += 1
    excess[source] -= kinds[kind]
    excess[target] += kinds[kind]


def _deal(table: Counts, kind_of_group: Counts, rng: np.random.Generator) -> Counts:
    """Return the folds of the groups: those of each kind are shuffled and dealt as `table` says."""
    shuffled = rng.permutation(len(kind_of_group))
    by_kind = shuffled[np.argsort(kind_of_group[shuffled], kind="stable")]
    folds = np.empty(len(kind_of_group), dtype=np.int64)
    folds[by_kind] = np.repeat(np.tile(np.arange(table.shape[1]), len(table)), table.ravel())
    return folds
