"""Folds for cross-validation: which of K folds each labelled video belongs to."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from urbanpipe.catalog.catalog_file import Source, column_values, read_source
from urbanpipe.catalog.fold_checks import fold_faults, is_uneven
from urbanpipe.catalog.grouping import (
    folder_groups,
    group_warnings,
    grouping_advice,
    plausible_groups,
    suspicious_groups,
)
from urbanpipe.catalog.labels import label_matrix
from urbanpipe.catalog.stratify import assign_folds as assign_folds
from urbanpipe.contracts.csv_reading import folded_header
from urbanpipe.contracts.names import canonical_name
from urbanpipe.contracts.workbooks import read_table_file
from urbanpipe.errors import FoldError, LabelError
from urbanpipe.outputs import write_csv
from urbanpipe.taxonomy import Taxonomy, given_taxonomy

Folds = dict[str, int]


@dataclass(frozen=True)
class FoldPlan:
    """Folds together with the data that they were made from.

    Attributes:
        names: n videos.
        fold: (n,) fold of each, 0 to K-1.
        targets: (n, C) boolean labels.
        groups: group of each video; groups were kept together.
        roots: inspection of each video, as far as its name or the catalog tells; a video whose group is probably no
            inspection is one of its own.
        taxonomy: the C classes.
        unreadable: number of videos without a fold because they cannot be read.
        unlabelled: number of other videos without a fold because they have no labels.
        notes: what is doubtful about the groups.
        advice: what else the videos can be grouped by.
    """

    names: list[str]
    fold: NDArray[np.int64]
    targets: NDArray[np.bool_]
    groups: list[str]
    roots: list[str]
    taxonomy: Taxonomy
    unreadable: int
    unlabelled: int
    notes: tuple[str, ...] = ()
    advice: str = ""

    @property
    def folds(self) -> Folds:
        """Fold by video name, in the order of the source."""
        return {name: int(fold) for name, fold in zip(self.names, self.fold, strict=True)}

    @property
    def n_folds(self) -> int:
        """Number of folds K."""
        return int(self.fold.max()) + 1

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(K,) number of videos of each fold."""
        return np.bincount(self.fold, minlength=self.n_folds)

    @property
    def counts(self) -> NDArray[np.int64]:
        """(K, C) number of videos of each fold that show each class."""
        return np.stack([self.targets[self.fold == fold].sum(axis=0) for fold in range(self.n_folds)])

    @property
    def groups_with(self) -> NDArray[np.int64]:
        """(C,) number of groups in which each class occurs."""
        groups = np.asarray(self.groups)
        return np.array([len(np.unique(groups[column])) for column in self.targets.T])

    @property
    def leaks(self) -> int:
        """Number of videos with a sibling, a segment of the same inspection, in another fold."""
        folds_of_root: dict[str, set[int]] = {}
        for root, fold in zip(self.roots, self.fold, strict=True):
            folds_of_root.setdefault(root, set()).add(int(fold))
        return sum(len(folds_of_root[root]) > 1 for root in self.roots)

    def check_even(self) -> None:
        """Refuse folds that are too uneven to train on.

        Raises:
            FoldError: the largest fold has more than four times the videos of the smallest.
        """
        if is_uneven(self.sizes):
            sizes = ", ".join(map(str, self.sizes.tolist()))
            raise FoldError(
                f"the folds would have {sizes} videos, as whole groups stay in one fold; {self.advice}, or make the "
                "folds yourself and give them as --folds FILE"
            )

    @property
    def warnings(self) -> list[str]:
        """What a user should know before trusting results from these folds."""
        lines = [*self.notes, *fold_faults(self.targets, self.fold)]
        if self.leaks:
            lines.append(_leak_warning(self.leaks, len(self.names)))
        rows = list(zip(self.taxonomy.codes, self.targets.sum(axis=0), self.groups_with, strict=True))
        if absent := [code for code, videos, _ in rows if videos == 0]:
            lines.append(f"no video shows {', '.join(absent)}: nothing can be learned or measured for them")
        if everywhere := [code for code, videos, _ in rows if videos == len(self.names)]:
            lines.append(f"every video shows {', '.join(everywhere)}: nothing can be learned or measured for them")
        for code, videos, groups in rows:
            if 0 < groups < self.n_folds:
                lines.append(
                    f"{code} occurs in {videos} videos of {groups} groups: too few for {self.n_folds} folds, so some "
                    "folds have none of it and its AP there is undefined"
                )
        return lines


def folds(
    source: Path, *, out: Path, folds: int = 5, group_by: str = "root", seed: int = 0, taxonomy: Path | None = None
) -> Folds:
    """Assign every labelled, usable video to a fold and write the folds as CSV `video,fold`.

    Args:
        source: a catalog or a label file.
        out: the CSV to write.
        folds: number of folds K.
        group_by: `root` keeps the segments of one inspection together, `folder` the videos of a folder, `none` nothing,
            and the name of a column of the catalog the videos with the same value.
        seed: the same seed gives the same folds, whatever the order of the source.
        taxonomy: TOML file of the classes; default: those of the catalog, or the QV-Pipe classes.

    Returns:
        Fold, 0 to K-1, by video name.

    Raises:
        FoldError: there are fewer than two folds or more than groups, or the column is missing or has empty cells.
        LabelError, CatalogError, TaxonomyError: an input cannot be read.
        OutputError: `out` cannot be written.
    """
    check_folds_out(source, out)
    plan = plan_folds(source, folds, group_by, seed, taxonomy)
    write_folds(plan.folds, out)
    return plan.folds


def check_folds_out(source: Path, out: Path) -> None:
    """Raise an error if `out` is the source itself or an existing file that does not hold folds.

    Raises:
        FoldError: `out` is one of these.
    """
    if not out.is_file():
        return
    try:
        read_folds(out)
    except FoldError:
        what = "is the source itself" if out.samefile(source) else "exists and is not a folds file"
        raise FoldError(f"{out} {what}; give another --out") from None


def plan_folds(
    source: Path, folds: int = 5, group_by: str = "root", seed: int = 0, taxonomy: Path | None = None
) -> FoldPlan:
    """Plan folds as `folds` does, but write nothing and return all details."""
    data = read_source(source, given_taxonomy(taxonomy))
    classes = data.taxonomy
    targets = label_matrix(data.names, data.labels, len(classes))
    groups = _groups(data, group_by, source)
    _check_count(data, groups, folds)
    advice = grouping_advice(data, folds)
    return FoldPlan(
        names=data.names,
        fold=assign_folds(data.names, targets, groups, folds, seed),
        targets=targets,
        groups=groups,
        roots=plausible_groups(data.names, data.groups),
        taxonomy=classes,
        unreadable=data.unreadable,
        unlabelled=data.unlabelled,
        notes=tuple(group_warnings(data.names, groups, advice)) if group_by == "root" else (),
        advice=advice,
    )


def _check_count(data: Source, groups: list[str], folds: int) -> None:
    """Refuse more folds than groups, with advice that does not lead to the same error again."""
    count, videos = len(set(groups)), len(data.names)
    if folds <= count or folds < 2 or videos < 2:
        return
    possible = min(folds, videos)
    ways = []
    if count > 1 and not suspicious_groups(data.names, groups):
        ways.append(f"use at most {count} folds")
    if possible > count:
        ways.append(grouping_advice(data, possible) + (f", with at most {possible} folds" if possible < folds else ""))
    what = "1 group leaves" if count == 1 else f"{count} groups leave"
    raise FoldError(f"{folds} folds of {what} folds empty; {'; or '.join(ways)}")


def write_folds(folds: Folds, out: Path) -> None:
    """Write folds as CSV `video,fold`.

    Raises:
        OutputError: the file cannot be written.
    """
    write_csv(out, ("video", "fold"), folds.items())


def read_folds(path: Path) -> Folds:
    """Read the CSV that `folds` writes, or the same table in a workbook.

    Raises:
        FoldError: the file cannot be read, lists a video twice, or its folds are not the numbers 0 to K-1 with K >= 2.
    """
    path = Path(path)
    try:
        header, rows = read_table_file(path, "video")
        folded = folded_header(header, "fold")
        if "fold" not in folded:
            raise FoldError(f"{path}: no column 'fold'; folds are a CSV `video,fold`, made by `urbanpipe folds`")
        column = header[folded.index("fold")]
        folds: Folds = {}
        for line, row in rows:
            _add(folds, row["video"], row[column].strip(), f"{path}, line {line}")
    except LabelError as error:
        raise FoldError(
            f"cannot read folds: {error}; folds are a CSV `video,fold`, made by `urbanpipe folds`"
        ) from error
    if missing := sorted(set(range(max(folds.values(), default=0) + 1)) - set(folds.values())):
        raise FoldError(f"{path}: no video has fold {missing[0]}; folds count from 0 without gaps")
    if len(set(folds.values())) < 2:
        raise FoldError(f"{path}: all videos have the same fold; cross-validation needs 2 or more")
    return folds


def _add(folds: Folds, video: str, fold: str, where: str) -> None:
    name = canonical_name(video)
    if name in folds:
        raise FoldError(f"{where}: video {name!r} occurs twice; keep one row per video")
    if not (fold.isascii() and fold.isdecimal() and len(fold) < 6):
        raise FoldError(f"{where}, video {name!r}: fold {fold!r} is not a number from 0")
    folds[name] = int(fold)


def _groups(data: Source, group_by: str, source: Path) -> list[str]:
    if group_by == "root":
        return data.groups
    if group_by == "none":
        return data.names
    if group_by == "folder":
        return folder_groups(data)
    if data.catalog is None:
        raise FoldError(
            f"--group-by {group_by} needs a column of a catalog, but {source} is a label file; use root, folder or none"
        )
    values = column_values(data.catalog.labelled, group_by)
    if values is None:
        columns = dict.fromkeys(key for video in data.catalog.videos for key in ("group", "codec", *video.extra))
        raise FoldError(
            f"{source} has no column {group_by!r} to group by; use root, folder, none or one of {', '.join(columns)}"
        )
    if empty := [name for name, value in zip(data.names, values, strict=True) if not value.strip()]:
        raise FoldError(
            f"{source}: {len(empty)} labelled videos have no {group_by}, the first is {empty[0]!r}; fill them in"
        )
    return values


def _leak_warning(leaks: int, videos: int) -> str:
    return (
        f"{leaks} of {videos} videos leak: another segment of the same inspection is in another fold, so scores will "
        "be too high; --group-by root keeps segments together"
    )
