"""The experiment folder: the catalog and folds that all its runs share, and what they were made from.

What `experiment.json` says was made is made once. The same command again goes on with it; another one is refused before it
touches a file.
"""

import hashlib
import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from urbanpipe.catalog.catalog_file import OK, Catalog, read_catalog
from urbanpipe.catalog.folds import folds as make_folds
from urbanpipe.catalog.folds import read_folds
from urbanpipe.catalog.scan import ScanReport, scan_report
from urbanpipe.contracts.names import shortened
from urbanpipe.errors import CatalogError, FoldError, RunError
from urbanpipe.inputs.dataset import frame_cache
from urbanpipe.locks import folder_lock
from urbanpipe.models.distributed import DistributedContext, join_distributed
from urbanpipe.outputs import output_folder, write_json
from urbanpipe.taxonomy import load_taxonomy
from urbanpipe.training.options import FoldOptions, RunOptions
from urbanpipe.video.cache import FrameCache

log = logging.getLogger(__name__)

BEGUN_WITH = "experiment.json"


@dataclass(frozen=True)
class Experiment:
    """What the runs of an experiment share.

    Attributes:
        catalog: the videos.
        folds: fold of every labelled video; empty where there is no cross-validation.
        distributed: the processes that share the work.
        cache: frames on disk, or None.
    """

    catalog: Catalog
    folds: Mapping[str, int]
    distributed: DistributedContext
    cache: FrameCache | None

    @property
    def fold_numbers(self) -> list[int]:
        """Numbers of the folds, ascending."""
        return sorted(set(self.folds.values()))

    def check_folds(self, numbers: Collection[int]) -> None:
        """Refuse folds that do not exist.

        Raises:
            FoldError: names one.
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
    """Read the catalog and the folds, or make them in rank 0; join the other processes.

    Raises:
        UrbanpipeError: see `experiment_data`.
    """
    distributed = join_distributed(options.device)
    output_folder(out)
    made = experiment_data(data, out, labels=labels, taxonomy=taxonomy, split=split) if distributed.is_main else None
    shared = distributed.from_main(made)
    assert shared is not None
    catalog, folds = shared
    warn_of_split_groups(catalog, folds, distributed)
    return Experiment(catalog, folds, distributed, frame_cache(options.cache, options.cache_gb))


def experiment_data(
    data: Path, out: Path, *, labels: Path | None, taxonomy: Path | None, split: FoldOptions
) -> tuple[Catalog, dict[str, int]]:
    """The experiment's catalog, and the fold of every labelled video; made if this is its first command.

    Raises:
        RunError: the folder holds an experiment of other data or folds, or folds that no experiment made.
        CatalogError, LabelError, FoldError: data that cannot be used; see `crossval`.
    """
    if data.is_dir() and labels is None:
        raise CatalogError(f"{data} is a folder of videos: give its label file too, --labels FILE")
    if not data.is_dir() and labels is not None:
        raise CatalogError("--labels goes with a folder of videos; a catalog has its labels from its scan")
    asked = _asked(data, labels, taxonomy, split)
    with folder_lock(out, wait=True):
        made = _check(out, asked)
        if not made:
            write_json(out / BEGUN_WITH, asked | {"made": False})
        path = out / "catalog.csv" if data.is_dir() else data
        if data.is_dir() and not made:
            _say(scan_report(data, path, labels=labels, taxonomy=taxonomy), path)
        catalog = read_catalog(path, load_taxonomy(taxonomy))
        if not catalog.labelled:
            raise CatalogError(f"{path} has no video that is both readable and labelled: see its status and labels")
        if isinstance(split.folds, int) and not made:
            make_folds(
                path,
                out=out / "folds.csv",
                folds=split.folds,
                group_by=split.group_by,
                seed=split.seed,
                taxonomy=taxonomy,
            )
        write_json(out / BEGUN_WITH, asked | {"made": True})
    return catalog, checked_folds(catalog, out / "folds.csv" if isinstance(split.folds, int) else split.folds)


def _say(report: ScanReport, path: Path) -> None:
    """What came up while the catalog was made: nobody looks for what was left out of a training."""
    catalog = report.catalog
    lines = [f"{path}: {len(catalog.videos)} videos, {len(catalog.labelled)} of them readable and labelled"]
    if bad := [f"{video.name} ({video.status})" for video in catalog.videos if video.status != OK]:
        lines.append(f"warning: cannot be read: {shortened(bad)}")
    if report.without_labels:
        lines.append(f"warning: without a label: {shortened(report.without_labels)}")
    if report.without_file:
        names = ", ".join(report.without_file[:3])
        lines.append(f"warning: {len(report.without_file)} labels have no file, {names} first; see {report.unmatched}")
    log.info("\n".join(lines))


def _asked(data: Path, labels: Path | None, taxonomy: Path | None, split: FoldOptions) -> dict[str, Any]:
    """What an experiment is made from. Names and contents, not places, so that it can move."""
    asked: dict[str, Any] = {"videos": data.resolve().name, "classes": list(load_taxonomy(taxonomy).codes)}
    if labels is not None and labels.is_file():
        asked["labels"] = hashlib.blake2b(labels.read_bytes(), digest_size=16).hexdigest()
    if isinstance(split.folds, int):
        return asked | {"folds": split.folds, "group_by": split.group_by, "seed": split.seed}
    return asked | {"folds": split.folds.resolve().name}


def _check(out: Path, asked: dict[str, Any]) -> bool:
    """Whether the folder holds the experiment that is asked for, with its catalog and folds made."""
    path = out / BEGUN_WITH
    if not path.exists():
        if isinstance(asked["folds"], int) and (out / "folds.csv").exists():
            raise RunError(f"{out / 'folds.csv'} is there already; give it as --folds, or give another --out")
        return False
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        made = bool(found.pop("made"))
    except (ValueError, KeyError, AttributeError):
        raise RunError(f"{path} is damaged; give another --out") from None
    if not made:  # its first command failed or was killed: nothing stands on it yet
        return False
    if changed := [key for key in sorted(asked.keys() | found.keys()) if asked.get(key) != found.get(key)]:
        key = changed[0]
        raise RunError(
            f"{out} was begun with other {key}: {found.get(key)} instead of {asked.get(key)}; give another --out"
        )
    return True


def checked_folds(catalog: Catalog, folds: Path) -> dict[str, int]:
    """The fold of every labelled video, from a CSV `video,fold`.

    Raises:
        FoldError: it cannot be read, or lacks one of them.
    """
    given = read_folds(folds)
    names = [video.name for video in catalog.labelled]
    if missing := [name for name in names if name not in given]:
        raise FoldError(f"{folds} has no fold for {len(missing)} labelled videos, the first being {missing[0]}")
    return {name: given[name] for name in names}


def warn_of_split_groups(catalog: Catalog, folds: dict[str, int], distributed: DistributedContext) -> None:
    """Name groups whose videos are in several folds, so that a model is judged on siblings of what it trained on."""
    seen: dict[str, set[int]] = {}
    for video in catalog.labelled:
        seen.setdefault(video.group, set()).add(folds[video.name])
    if torn := sorted(group for group, numbers in seen.items() if len(numbers) > 1):
        distributed.say(
            f"warning: {len(torn)} groups, {torn[0]} first, are in several folds, which flatters the figures"
        )
