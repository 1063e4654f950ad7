"""Audit an archive: label statistics, and shortcuts that a model could learn instead of the defects."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from urbanpipe.catalog.catalog_file import Source, Video, read_source
from urbanpipe.catalog.grouping import group_warnings, grouping_advice
from urbanpipe.catalog.labels import label_matrix
from urbanpipe.evaluation.shortcuts import Shortcut, find_shortcuts
from urbanpipe.taxonomy import Taxonomy, given_taxonomy

_FEW = 10
_PAIRS = 20_000


@dataclass(frozen=True)
class Audit:
    """Facts of a labelled archive.

    Attributes:
        taxonomy: the C classes.
        videos: number of labelled, readable videos.
        unreadable: number of videos in the catalog that cannot be read.
        unlabelled: number of readable videos without labels.
        counts: (C,) number of videos that show each class.
        groups_with: (C,) number of groups in which each class occurs.
        labels_per_video: number of videos by number of labels (0, 1, 2, ...).
        co_occurrence: (C, C) number of videos that show both classes; the diagonal is `counts`.
        group_sizes: number of groups by number of videos (1, 2, ...).
        likeness: mean Jaccard similarity of the labels of two videos of the same group, and of two videos of different
            groups. Only videos that show a defect count. NaN where there is no such pair.
        shortcuts: how well each property predicts each class.
        warnings: what a user should know before training.
    """

    taxonomy: Taxonomy
    videos: int
    unreadable: int
    unlabelled: int
    counts: NDArray[np.int64]
    groups_with: NDArray[np.int64]
    labels_per_video: dict[int, int]
    co_occurrence: NDArray[np.int64]
    group_sizes: dict[int, int]
    likeness: tuple[float, float]
    shortcuts: list[Shortcut]
    warnings: list[str]

    @property
    def cardinality(self) -> float:
        """Mean number of labels per video."""
        return float(self.counts.sum() / self.videos)

    def as_json(self) -> dict[str, Any]:
        """Return all fields as JSON values; per-class values are keyed by class code."""
        codes = self.taxonomy.codes
        return {
            "videos": self.videos,
            "unreadable": self.unreadable,
            "unlabelled": self.unlabelled,
            "counts": dict(zip(codes, self.counts.tolist(), strict=True)),
            "groups_with": dict(zip(codes, self.groups_with.tolist(), strict=True)),
            "cardinality": self.cardinality,
            "labels_per_video": self.labels_per_video,
            "co_occurrence": {
                code: dict(zip(codes, row, strict=True))
                for code, row in zip(codes, self.co_occurrence.tolist(), strict=True)
            },
            "groups": sum(self.group_sizes.values()),
            "group_sizes": self.group_sizes,
            "likeness": [None if np.isnan(value) else value for value in self.likeness],
            "shortcuts": [vars(shortcut) for shortcut in self.shortcuts],
            "warnings": self.warnings,
        }


def audit(source: Path, *, taxonomy: Path | None = None) -> Audit:
    """Count labels and groups, and test which file properties predict the classes without the image content.

    Args:
        source: a catalog or a label file; with a label file only names can be tested.
        taxonomy: a TOML file of classes; default: those of the catalog, or the 17 QV-Pipe classes.

    Raises:
        CatalogError, LabelError, TaxonomyError: an input cannot be read, or no video is labelled.
    """
    data = read_source(source, given_taxonomy(taxonomy))
    classes = data.taxonomy
    targets = label_matrix(data.names, data.labels, len(classes))
    groups = np.unique(np.asarray(data.groups), return_inverse=True)[1]
    shortcuts = find_shortcuts(data, targets, classes)
    return Audit(
        taxonomy=classes,
        videos=len(data.names),
        unreadable=data.unreadable,
        unlabelled=data.unlabelled,
        counts=targets.sum(axis=0),
        groups_with=np.array([len(np.unique(groups[column])) for column in targets.T]),
        labels_per_video=_histogram(targets.sum(axis=1)),
        co_occurrence=targets.T.astype(np.int64) @ targets.astype(np.int64),
        group_sizes=_histogram(np.bincount(groups)),
        likeness=_likeness(targets[:, list(classes.defects)], groups),
        shortcuts=shortcuts,
        warnings=[
            *group_warnings(data.names, data.groups, f"when you make folds, {grouping_advice(data)}"),
            *_label_warnings(data, targets, classes),
            *_copy_warnings(data),
            *_shortcut_warnings(shortcuts),
        ],
    )


def _histogram(values: NDArray[np.int64]) -> dict[int, int]:
    return {int(value): count for value, count in sorted(Counter(values.tolist()).items())}


def _likeness(targets: NDArray[np.bool_], groups: NDArray[np.int64]) -> tuple[float, float]:
    shown = np.flatnonzero(targets.any(axis=1))
    members = defaultdict(list)
    for row in shown:
        members[int(groups[row])].append(int(row))
    inside = [pair for rows in members.values() for pair in combinations(rows[:100], 2)]
    rng = np.random.default_rng(0)
    drawn = rng.choice(shown, (_PAIRS, 2)) if len(shown) else np.empty((0, 2), dtype=np.int64)
    across = drawn[groups[drawn[:, 0]] != groups[drawn[:, 1]]]
    return _jaccard(targets, np.array(inside, dtype=np.int64).reshape(-1, 2)), _jaccard(targets, across)


def _jaccard(targets: NDArray[np.bool_], pairs: NDArray[np.int64]) -> float:
    if not len(pairs):
        return float("nan")
    left, right = targets[pairs[:, 0]], targets[pairs[:, 1]]
    return float(np.mean((left & right).sum(axis=1) / (left | right).sum(axis=1)))


def _label_warnings(data: Source, targets: NDArray[np.bool_], taxonomy: Taxonomy) -> list[str]:
    lines = []
    counts = targets.sum(axis=0)
    if absent := [code for code, count in zip(taxonomy.codes, counts, strict=True) if count == 0]:
        lines.append(f"no video shows {', '.join(absent)}: nothing can be learned or measured for them")
    if everywhere := [code for code, count in zip(taxonomy.codes, counts, strict=True) if count == len(data.names)]:
        lines.append(f"every video shows {', '.join(everywhere)}: nothing can be learned or measured for them")
    if few := [f"{code} ({count})" for code, count in zip(taxonomy.codes, counts, strict=True) if 0 < count < _FEW]:
        lines.append(f"very few videos show {', '.join(few)}: their AP will vary a lot from fold to fold")
    if taxonomy.exclusive is not None:
        both = targets[:, taxonomy.index(taxonomy.exclusive)] & (targets.sum(axis=1) > 1)
        if both.any():
            names = _names([data.names[row] for row in np.flatnonzero(both)])
            lines.append(
                f"{both.sum()} videos have {taxonomy.exclusive}, which excludes all else, and another label: {names}"
            )
    if empty := [name for name in data.names if not data.labels[name]]:
        lines.append(f"{len(empty)} videos are labelled as showing none of the classes (`-`): {_names(empty)}")
    return lines


def _copy_warnings(data: Source) -> list[str]:
    copies: dict[str, list[Video]] = defaultdict(list)
    for video in data.catalog.labelled if data.catalog else ():
        if video.digest:
            copies[video.digest].append(video)
    several = [videos for videos in copies.values() if len(videos) > 1]
    lines = []
    if several:
        names = _names([" = ".join(video.name for video in videos) for videos in several])
        lines.append(f"{len(several)} recordings have copies: {names}")
    if torn := [videos for videos in several if len({video.labels for video in videos}) > 1]:
        names = _names([" = ".join(video.name for video in videos) for videos in torn])
        lines.append(f"{len(torn)} recordings have copies with different labels: {names}")
    if apart := [videos for videos in several if len({video.group for video in videos}) > 1]:
        names = _names([" = ".join(video.name for video in videos) for videos in apart])
        lines.append(
            f"{len(apart)} recordings have copies in different groups, so they may end up in different folds: {names}"
        )
    return lines


def _shortcut_warnings(shortcuts: list[Shortcut]) -> list[str]:
    lines = [
        f"the {row.of} alone predicts {row.code} (AP {100 * row.ap:.1f}, chance {100 * row.chance:.1f}): do not use it "
        f"as a feature, distrust every model's AP on {row.code}, and also report the mean without {row.code}"
        for row in shortcuts
        if row.level == "shortcut"
    ]
    for of in dict.fromkeys(row.of for row in shortcuts if row.level == "clue"):
        rows = sorted(
            (row for row in shortcuts if row.of == of and row.level == "clue"), key=lambda row: row.chance - row.ap
        )
        best = ", ".join(f"{row.code} {100 * row.ap:.1f} against {100 * row.chance:.1f}" for row in rows[:3])
        classes = "1 class" if len(rows) == 1 else f"{len(rows)} classes"
        lines.append(
            f"the {of} partly predicts {classes} (AP against chance: {best}): {_MEANING.get(of, _MEANING[''])}"
        )
    return lines


_MEANING = {
    "name": "videos with adjacent names share labels, so scores may be slightly optimistic even with grouped folds",
    "folder": "videos of one folder share labels; if a folder is one inspection, keep it in one fold with --group-by",
    "": "a model may learn this instead of the defect",
}


def _names(names: Sequence[str], shown: int = 3) -> str:
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")
