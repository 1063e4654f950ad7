"""The shortcut test: which file properties predict a video's classes without its image content.

For each property (name, folder, duration, frame rate, size, bit rate, codec) a forest of extremely randomized trees
predicts the classes from that property alone. Its out-of-fold scores, with whole groups in a fold, are evaluated by
average precision against two baselines: chance, which is the share of videos that show the class, and the AP of the
same scores when the labels of whole groups are permuted between groups. With the Bonferroni correction for the number
of tests, an audit reports a false clue with a probability of at most 1 %.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from urbanpipe.catalog.catalog_file import Source, Video
from urbanpipe.catalog.stratify import assign_folds
from urbanpipe.evaluation.average_precision import ranking
from urbanpipe.taxonomy import Taxonomy

N_FOLDS = 5
MIN_POSITIVES = 10
SHORTCUT_AP = 0.9
CLUE_GAIN = 0.1  # of the way from chance to 1
FALSE_ALARM = 0.01
"""Probability that all tests of an audit together find at least one clue where there is none."""
_DEALS = 100
_NULL_DEVIATIONS = 4.0
_BEYOND_DOUBT = 12.0  # standard deviations
_TREES = 30
_MAX_VIDEOS = 10_000

Features = tuple[str | float, ...]
Properties = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Shortcut:
    """How well one property predicts one class.

    Attributes:
        code: code of the class.
        of: the property.
        ap: cross-validated average precision, 0-1.
        chance: share of videos that show the class, the AP of a random order; for classes other than the exclusive
            one, among the videos that do not show the exclusive one.
        null: an AP that uninformative scores rarely exceed, from permuting the labels of whole groups.
        level: `shortcut` (almost determines the class), `clue` (clearly above chance) or empty.
    """

    code: str
    of: str
    ap: float
    chance: float
    null: float
    level: str


def find_shortcuts(source: Source, targets: NDArray[np.bool_], taxonomy: Taxonomy) -> list[Shortcut]:
    """Test every property of the videos on every class that occurs often enough.

    The exclusive class (no defect) is tested on all videos, the others on the videos without it: otherwise a property
    that predicts the exclusive class would seem to predict all of them.

    Args:
        source: the videos; a label file has only their names.
        targets: (n, C) boolean labels.
        taxonomy: the C classes.
    """
    rows = _sample(source.groups)
    properties = {key: columns[rows] for key, columns in video_properties(source).items()}
    targets, groups = targets[rows], np.asarray(source.groups)[rows]
    everything = np.arange(len(rows))
    if taxonomy.exclusive is None:
        parts = [(everything, list(range(len(taxonomy))))]
    else:
        normal = taxonomy.index(taxonomy.exclusive)
        parts = [(everything, [normal]), (np.flatnonzero(~targets[:, normal]), list(taxonomy.defects))]
    parts = [(part, _testable(targets[part], groups[part], classes)) for part, classes in parts]
    alarm = FALSE_ALARM / max(1, len(properties) * sum(len(classes) for _, classes in parts))
    return [
        shortcut
        for part, classes in parts
        if classes
        for shortcut in _test(
            {key: columns[part] for key, columns in properties.items()},
            targets[part][:, classes],
            groups[part],
            [taxonomy.codes[index] for index in classes],
            alarm,
        )
    ]


def video_properties(source: Source) -> Properties:
    """Return (n, F) ranks for each property of the videos (other than image content) that is not constant."""
    tables: dict[str, list[Features]] = {"name": [name_features(name) for name in source.names]}
    if source.catalog is not None:
        described = [_described(video) for video in source.catalog.labelled]
        tables |= {key: [row[key] for row in described] for key in described[0]}
    ranks = {
        key: np.column_stack([_ranks(column) for column in zip(*rows, strict=True)]) for key, rows in tables.items()
    }
    return {key: table for key, table in ranks.items() if np.ptp(table, axis=0).any()}


def _described(video: Video) -> dict[str, Features]:
    return {
        "folder": (str(video.path.parent),),
        "duration": (video.duration_seconds, video.frame_count),
        "frame rate": (video.frame_rate,),
        "size": (video.width, video.height, video.size_bytes),
        "bit rate": (video.bit_rate,),
        "codec": (video.codec,),
    }


def _ranks(column: Sequence[str | float]) -> NDArray[np.float64]:
    """Return ranks instead of values, so that outliers do not dominate the random thresholds of the trees."""
    return np.unique(np.asarray(column), return_inverse=True)[1].astype(np.float64)


def name_features(name: str) -> Features:
    """Return features of a file name.

    They are its pattern (numbers as `#`), its first number, the number of digits of that, its last number, the count of
    numbers, and the length.
    """
    stem = PurePosixPath(name).stem
    numbers = re.findall(r"[0-9]+", stem) or [""]
    pattern = re.sub(r"[0-9]+", "#", PurePosixPath(name).name)
    first, last = (float(number or -1) for number in (numbers[0], numbers[-1]))
    return pattern, first, len(numbers[0]), last, len(numbers), len(stem)


def _sample(groups: Sequence[str]) -> NDArray[np.int64]:
    """Return the rows to test on: all, or whole random groups up to `_MAX_VIDEOS` videos."""
    if len(groups) <= _MAX_VIDEOS:
        return np.arange(len(groups))
    keys, group_of_row = np.unique(np.asarray(groups), return_inverse=True)
    place = np.random.default_rng(0).permutation(len(keys))[group_of_row]
    return np.sort(np.argsort(place, kind="stable")[:_MAX_VIDEOS])


def _testable(targets: NDArray[np.bool_], groups: NDArray[np.str_], classes: list[int]) -> list[int]:
    """Return the classes with enough positive and enough negative videos, each in enough groups."""

    def enough(side: NDArray[np.bool_]) -> bool:
        return bool(side.sum() >= MIN_POSITIVES and len(np.unique(groups[side])) >= N_FOLDS)

    return [index for index in classes if enough(targets[:, index]) and enough(~targets[:, index])]


def _test(
    properties: Properties, targets: NDArray[np.bool_], groups: NDArray[np.str_], codes: list[str], alarm: float
) -> list[Shortcut]:
    fold = assign_folds(groups.tolist(), targets, groups.tolist(), N_FOLDS, seed=0)
    deals = [_dealt(groups, deal) for deal in range(_DEALS)]
    found = []
    for key, columns in properties.items():
        scores = _out_of_fold(columns, targets, fold)
        for column, code in enumerate(codes):
            found.append(
                _tested(
                    code, key, scores[:, column], target=targets[:, column], groups=groups, deals=deals, alarm=alarm
                )
            )
    return found


def _out_of_fold(
    columns: NDArray[np.float64], targets: NDArray[np.bool_], fold: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return out-of-fold scores, (n, C), of trees that were fitted on the other folds."""
    from sklearn.ensemble import ExtraTreesRegressor

    scores = np.zeros(targets.shape)
    for number in range(N_FOLDS):
        seen = fold != number
        forest = ExtraTreesRegressor(_TREES, min_samples_leaf=5, random_state=0)
        forest.fit(columns[seen], np.squeeze(targets[seen].astype(np.float64), axis=1 if targets.shape[1] == 1 else ()))
        scores[~seen] = forest.predict(columns[~seen]).reshape(-1, targets.shape[1])
    return scores


def _dealt(groups: NDArray[np.str_], deal: int) -> NDArray[np.int64]:
    """Return for every row the row whose labels it gets when the labels of whole groups are permuted."""
    rng = np.random.default_rng([0, deal])
    keys, group_of_row = np.unique(groups, return_inverse=True)
    dealt = np.empty(len(groups), dtype=np.int64)
    dealt[np.argsort(group_of_row, kind="stable")] = np.argsort(rng.permutation(len(keys))[group_of_row], kind="stable")
    return dealt


def _tested(
    code: str,
    of: str,
    scores: NDArray[np.float64],
    *,
    target: NDArray[np.bool_],
    groups: NDArray[np.str_],
    deals: list[NDArray[np.int64]],
    alarm: float,
) -> Shortcut:
    order = ranking(scores)
    ap, chance = _ap(target[order]), float(target.mean())
    nulls = np.array([_ap(target[deal][order]) for deal in deals])
    null = max(nulls.max(), nulls.mean() + _NULL_DEVIATIONS * nulls.std())
    level = ""
    if ap > null and ap - chance >= CLUE_GAIN * (1 - chance):
        sure = ap > nulls.mean() + _BEYOND_DOUBT * nulls.std()
        if sure or _luck_is_rarer(alarm, ap, target, order, groups):
            level = "shortcut" if ap >= SHORTCUT_AP and ap - chance >= (1 - chance) / 2 else "clue"
    return Shortcut(code, of, ap, chance, float(null), level)


def _luck_is_rarer(
    alarm: float, ap: float, target: NDArray[np.bool_], order: NDArray[np.int64], groups: NDArray[np.str_]
) -> bool:
    """Return whether permuted labels reach the AP with a probability of at most `alarm` (permutation test)."""
    count = int(np.ceil(2 / alarm))
    lucky = 1  # the observed labels count as one permutation
    for deal in range(_DEALS, _DEALS + count):
        lucky += _ap(target[_dealt(groups, deal)][order]) >= ap
        if lucky > alarm * (count + 1):
            return False
    return True


def _ap(ranked: NDArray[np.bool_]) -> float:
    hits = np.flatnonzero(ranked)
    return float(np.mean(np.arange(1, len(hits) + 1) / (hits + 1)))
