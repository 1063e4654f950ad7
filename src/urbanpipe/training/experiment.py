"""The experiment folder: the catalog and folds that all its runs share, and the arguments that they were made from.

Catalog and folds are made once, as recorded in `experiment.json`. The same command resumes the experiment; a different
one is refused before it changes any file.
"""

import hashlib
import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from urbanpipe.catalog.catalog_file import OK, Catalog, read_catalog
from urbanpipe.catalog.catalog_taxonomy import catalog_taxonomy
from urbanpipe.catalog.fold_checks import fold_faults
from urbanpipe.catalog.folds import plan_folds, read_folds, write_folds
from urbanpipe.catalog.grouping import plausible_groups
from urbanpipe.catalog.labels import describe_labels, label_matrix
from urbanpipe.catalog.scan import ScanReport, scan_report
from urbanpipe.contracts.name_matching import match_names, near_text
from urbanpipe.contracts.names import shortened
from urbanpipe.errors import CatalogError, FoldError, RunError
from urbanpipe.inputs.dataset import frame_cache
from urbanpipe.locks import folder_lock
from urbanpipe.models.distributed import DistributedContext, join_distributed
from urbanpipe.outputs import output_folder, write_json
from urbanpipe.taxonomy import given_taxonomy, load_taxonomy
from urbanpipe.training.loggers import LoggerChoice, check_logger
from urbanpipe.training.options import FoldOptions, RunOptions
from urbanpipe.training.run import TRAIN_ONLY
from urbanpipe.video.cache import FrameCache

log = logging.getLogger(__name__)

BEGUN_WITH = "experiment.json"


@dataclass(frozen=True)
class Experiment:
    """The data and resources that the runs of an experiment share.

    Attributes:
        catalog: the videos.
        folds: fold of every labelled video, or `TRAIN_ONLY`; empty without cross-validation.
        distributed: the processes of the run.
        cache: frame cache, or None.
        logger: where metrics go besides `metrics.csv`.
    """

    catalog: Catalog
    folds: Mapping[str, int]
    distributed: DistributedContext
    cache: FrameCache | None
    logger: LoggerChoice

    @property
    def fold_numbers(self) -> list[int]:
        """Numbers of the folds that are evaluated, ascending."""
        return sorted(set(self.folds.values()) - {TRAIN_ONLY})

    def evaluating(self, numbers: Collection[int]) -> Self:
        """Return the same experiment with some folds; the videos of the others are in every training.

        Raises:
            FoldError: a fold does not exist; the message names it.
        """
        self.check_folds(numbers)
        return replace(self, folds={name: fold if fold in numbers else TRAIN_ONLY for name, fold in self.folds.items()})

    def check_folds(self, numbers: Collection[int]) -> None:
        """Refuse folds that do not exist.

        Raises:
            FoldError: a fold does not exist; the message names it.
        """
        known = self.fold_numbers
        if unknown := set(numbers) - set(known):
            raise FoldError(f"there is no fold {min(unknown)}; the folds are {known[0]} to {known[-1]}")


def open_experiment(
    data: Path,
    out: Path,
    *,
    labels: Path | None = None,
    taxonomy: Path | None = None,
    split: FoldOptions,
    options: RunOptions,
) -> Experiment:
    """Join the other processes, and read the catalog and the folds, which rank 0 makes if needed.

    Raises:
        UrbanpipeError: see `experiment_data` and `check_logger`.
    """
    check_logger(options.logger)
    distributed = join_distributed(options.device)
    output_folder(out)
    made = experiment_data(data, out, labels=labels, taxonomy=taxonomy, split=split) if distributed.is_main else None
    shared = distributed.from_main(made)
    assert shared is not None
    catalog, folds = shared
    distributed.log(labels_line(catalog))
    warn_of_folds(catalog, folds, distributed)
    frames = frame_cache(options.cache, options.cache_gb)
    return Experiment(catalog, folds, distributed, frames, LoggerChoice(options.logger, out))


def experiment_data(
    data: Path, out: Path, *, labels: Path | None, taxonomy: Path | None, split: FoldOptions
) -> tuple[Catalog, dict[str, int]]:
    """Return the catalog of an experiment, and the fold of every labelled video; make them on the first call.

    Raises:
        RunError: the folder holds an experiment with other data or folds, or folds that no experiment made.
        CatalogError: the catalog or the folder of videos cannot be used.
        LabelError: the labels cannot be used.
        FoldError: the folds cannot be used.
    """
    if data.is_dir() and labels is None:
        raise CatalogError(f"{data} is a folder of videos: give its label file too, --labels FILE")
    if not data.is_dir() and labels is not None:
        raise CatalogError("--labels requires a folder of videos; a catalog already contains its labels")
    asked = _asked(data, labels, taxonomy, split)
    with folder_lock(out, wait=True):
        made = _check(out, asked)
        if not made:
            write_json(out / BEGUN_WITH, asked | {"made": False})
        path = out / "catalog.csv" if data.is_dir() else data
        if data.is_dir() and not made:
            _say(scan_report(data, path, labels=labels, taxonomy=taxonomy), path)
        catalog = read_catalog(path, given_taxonomy(taxonomy))
        if not catalog.labelled:
            raise CatalogError(f"{path} has no video that is both readable and labelled: see its status and labels")
        if isinstance(split.folds, int) and not made:
            _make_folds(path, out / "folds.csv", split.folds, split, taxonomy)
        write_json(out / BEGUN_WITH, asked | {"made": True})
    return catalog, checked_folds(catalog, out / "folds.csv" if isinstance(split.folds, int) else split.folds)


def _make_folds(source: Path, out: Path, folds: int, split: FoldOptions, taxonomy: Path | None) -> None:
    """Write the folds of an experiment, and log what is doubtful about them.

    Raises:
        FoldError: the folds cannot be made, or are too uneven to train on.
    """
    plan = plan_folds(source, folds, split.group_by, split.seed, taxonomy)
    plan.check_even()
    for note in plan.notes:
        log.info("warning: %s", note)
    write_folds(plan.folds, out)


def _say(report: ScanReport, path: Path) -> None:
    """Log the problems of a new catalog, because nobody checks it for videos that training leaves out."""
    catalog = report.catalog
    lines = [f"{path}: {len(catalog.videos)} videos, {len(catalog.labelled)} of them readable and labelled"]
    if bad := [f"{video.name} ({video.status})" for video in catalog.videos if video.status != OK]:
        lines.append(f"warning: cannot be read: {shortened(bad)}")
    if report.without_labels:
        lines.append(f"warning: without a label: {shortened(report.without_labels)}")
    if report.late:
        lines.append(
            f"warning: moments after the end of the video, none of its moments is used: {shortened(report.late)}"
        )
    if report.without_file:
        names = ", ".join(report.without_file[:3])
        lines.append(f"warning: {len(report.without_file)} labels have no file, {names} first; see {report.unmatched}")
    if report.differing:
        names = shortened([f"{name} is {video}" for name, video in report.differing.items()])
        lines.append(f"names in the labels that differ from those of their files: {names}")
    for line in lines:
        log.info("%s", line)


def _asked(data: Path, labels: Path | None, taxonomy: Path | None, split: FoldOptions) -> dict[str, Any]:
    """Return the arguments of an experiment, as names and digests instead of paths, so that it can be moved."""
    given = given_taxonomy(taxonomy)
    classes = load_taxonomy(taxonomy) if data.is_dir() else catalog_taxonomy(data, given)
    asked: dict[str, Any] = {"videos": data.resolve().name, "classes": list(classes.codes)}
    if labels is not None and labels.is_file():
        asked["labels"] = hashlib.blake2b(labels.read_bytes(), digest_size=16).hexdigest()
    if isinstance(split.folds, int):
        return asked | {"folds": split.folds, "group_by": split.group_by, "seed": split.seed}
    return asked | {"folds": split.folds.resolve().name}


def _check(out: Path, asked: dict[str, Any]) -> bool:
    """Return whether the folder holds the requested experiment, with its catalog and folds."""
    path = out / BEGUN_WITH
    if not path.exists():
        if isinstance(asked["folds"], int) and (out / "folds.csv").exists():
            raise RunError(f"{out / 'folds.csv'} exists already; give it as --folds, or give another --out")
        return False
    try:
        recorded = json.loads(path.read_text(encoding="utf-8"))
        made = bool(recorded.pop("made"))
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError):
        raise RunError(f"{path} is damaged; give another --out") from None
    if not made:  # the first command failed or was interrupted: nothing depends on its arguments yet
        return False
    if changed := [key for key in sorted(asked.keys() | recorded.keys()) if asked.get(key) != recorded.get(key)]:
        key = changed[0]
        raise RunError(
            f"{out} was started with other {key}: {recorded.get(key)} instead of {asked.get(key)}; give another --out"
        )
    return True


def checked_folds(catalog: Catalog, folds: Path) -> dict[str, int]:
    """Return the fold of every labelled video, from a CSV `video,fold`.

    Raises:
        FoldError: the file cannot be read, or lacks a labelled video.
    """
    given = read_folds(folds)
    found = match_names(given, [video.name for video in catalog.videos])
    by_video = {video: given[name] for name, video in found.matched.items()}
    names = [video.name for video in catalog.labelled]
    if missing := [name for name in names if name not in by_video]:
        near = near_text([name for name, videos in found.near.items() if missing[0] in videos])
        raise FoldError(f"{folds} has no fold for {len(missing)} labelled videos, the first being {missing[0]}{near}")
    return {name: by_video[name] for name in names}


def labels_line(catalog: Catalog) -> str:
    """Return one line: how many readable videos show classes, show none of them, and are not labelled."""
    return describe_labels([video.labels or () for video in catalog.labelled], len(catalog.ok) - len(catalog.labelled))


def warn_of_folds(catalog: Catalog, folds: dict[str, int], distributed: DistributedContext) -> None:
    """Log what is wrong with folds: groups that are in several, uneven sizes, folds without most classes."""
    videos = catalog.labelled
    names = [video.name for video in videos]
    numbers_by_group: dict[str, set[int]] = {}
    for name, group in zip(names, plausible_groups(names, [video.group for video in videos]), strict=True):
        numbers_by_group.setdefault(group, set()).add(folds[name])
    if divided := sorted(group for group, numbers in numbers_by_group.items() if len(numbers) > 1):
        distributed.log(
            f"warning: {len(divided)} groups ({divided[0]} first) are in several folds; scores will be too optimistic"
        )
    targets = label_matrix(names, {video.name: video.labels or () for video in videos}, len(catalog.taxonomy))
    for fault in fold_faults(targets, np.array([folds[name] for name in names])):
        distributed.log(f"warning: {fault}; a mean over these folds says little")
