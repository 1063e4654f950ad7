"""What all rows share: the videos, their folds, and how a recipe is trained and judged on them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from urbanpipe.catalog.catalog_file import Catalog, Video
from urbanpipe.catalog.labels import label_matrix
from urbanpipe.contracts.predictions import Predictions
from urbanpipe.errors import CatalogError, DivergedError, FoldError, OutOfMemoryError, RunError
from urbanpipe.inputs.dataset import frame_cache
from urbanpipe.methods.recipe import Recipe, load_recipe
from urbanpipe.models.distributed import DistributedContext, join_distributed
from urbanpipe.reproduce.paired_comparison import ComparisonData, Scores
from urbanpipe.reproduce.re_evaluation import read_fold
from urbanpipe.training.crossval import resolve, run_folds
from urbanpipe.training.experiment import experiment_data, warn_of_split_groups
from urbanpipe.training.log import read_costs
from urbanpipe.video.cache import FrameCache

# What costs a network, and with it a row of a table, and not the table.
NOT_TRAINED = (OutOfMemoryError, DivergedError)


@dataclass(frozen=True)
class Experiment:
    """The data, and what trains on it.

    Attributes:
        data: the catalog's file.
        out: folder of everything that is made.
        catalog: the videos.
        folds: fold of every labelled one.
        used: folds that are trained and judged.
        distributed: that share the experiment.
        cache: frames on disk, or None.
        cache_folder, cache_gb: as the user gave them.
    """

    data: Path
    out: Path
    catalog: Catalog
    folds: Mapping[str, int]
    used: tuple[int, ...]
    distributed: DistributedContext
    cache: FrameCache | None
    cache_folder: Path | None
    cache_gb: float

    @property
    def all_folds(self) -> int:
        """How many folds there are, used or not."""
        return len(set(self.folds.values()))

    def train(self, run: Path, recipe: Recipe) -> None:
        """Cross-validate a recipe on the folds that are used; what is done stays.

        Raises:
            OutOfMemoryError, DivergedError: in one process; a table may go on without the recipe.
            RunError: the same in one of several processes: the others wait for it, and only the end of all frees them.
                Or the run was begun with or without checkpointing, which a training may change on its way and a table
                of costs may not.
        """
        settled = resolve(recipe, self.catalog)
        self.distributed.on_main(lambda: _same_checkpointing(run, settled))
        try:
            run_folds(run, settled, self.catalog, self.folds, self.distributed, self.cache, self.used)
        except NOT_TRAINED as error:
            if self.distributed.count == 1:
                raise
            raise RunError(
                f"{error}; of several processes none goes on without the others, so mend it, or start a single one, "
                "which leaves out only what needs this network"
            ) from error

    def names(self, run: Path) -> dict[int, tuple[str, ...]]:
        """The videos that each fold's network of a run has judged."""
        return {fold: read_fold(run, fold, self.catalog.taxonomy).names for fold in self.used}

    def videos_predicted_by(self, runs: Sequence[Path]) -> list[str]:
        """The videos that all of the runs have judged, by fold: one may have left out what another could read."""
        each = [self._whole(run).names for run in runs]
        shared = set(each[0]).intersection(*each[1:])
        return [name for name in each[0] if name in shared]

    def videos(self, names: Sequence[str]) -> list[Video]:
        """The videos of these names."""
        by_name = {video.name: video for video in self.catalog.labelled}
        return [by_name[name] for name in names]

    def scores(self, runs: Sequence[Path], names: Sequence[str]) -> Scores:
        """Out-of-fold scores (S, n, C) of S runs.

        Raises:
            PredictionError: a run has not judged one of the videos.
        """
        return np.stack([self._whole(run).aligned(names, where=f"the predictions of {run}") for run in runs])

    def _whole(self, run: Path) -> Predictions:
        parts = [read_fold(run, fold, self.catalog.taxonomy) for fold in self.used]
        names = tuple(name for part in parts for name in part.names)
        return Predictions(names, np.concatenate([part.scores for part in parts]))

    def comparison_data(self, videos: Sequence[Video], folds: Sequence[int] | None = None) -> ComparisonData:
        """What models are compared by on `videos`; in folds of their own where that is asked."""
        names, labels = [video.name for video in videos], {video.name: video.labels or () for video in videos}
        return ComparisonData(
            taxonomy=self.catalog.taxonomy,
            targets=label_matrix(names, labels, len(self.catalog.taxonomy)),
            folds=np.array([self.folds[name] for name in names] if folds is None else folds, dtype=np.int64),
            groups=tuple(video.group for video in videos),
            all_folds=self.all_folds,
        )

    def costs(self, runs: Sequence[Path]) -> tuple[float, float]:
        """Seconds of training a fold (mean), and MiB of memory (largest), of runs."""
        each = [read_costs(run / f"fold{fold}") for run in runs for fold in self.used]
        return float(np.mean([seconds for seconds, _ in each])), max(mebibytes for _, mebibytes in each)


def _same_checkpointing(run: Path, recipe: Recipe) -> None:
    if not (run / "recipe.toml").exists():
        return
    begun = load_recipe(run / "recipe.toml").training.checkpointing
    if begun != recipe.training.checkpointing:
        raise RunError(f"{run} was begun with training.checkpointing = {str(begun).lower()}; give another --out")


def refuse_folder(data: Path) -> None:
    """Raises CatalogError where a folder of videos is given for a catalog."""
    if data.is_dir():
        raise CatalogError(f"{data} is a folder; give a catalog: urbanpipe scan {data} --labels FILE --out CSV")


def begin(
    data: Path,
    out: Path,
    folds: int | Path,
    only_folds: Sequence[int],
    taxonomy: Path | None,
    device: str,
    cache: Path | None,
    cache_gb: float,
) -> Experiment:
    """Read the catalog, make or read the folds, join the other processes; see `ablate` for the arguments."""
    refuse_folder(data)
    distributed = join_distributed(device)
    shared = distributed.from_main(
        experiment_data(data, out, None, taxonomy, folds, "root", 0) if distributed.is_main else None
    )
    assert shared is not None
    catalog, assignment = shared
    numbers = tuple(sorted(set(assignment.values())))
    if unknown := set(only_folds) - set(numbers):
        raise FoldError(f"there is no fold {min(unknown)}; the folds are {numbers[0]} to {numbers[-1]}")
    warn_of_split_groups(catalog, assignment, distributed)
    used = tuple(sorted(set(only_folds))) or numbers
    frames = frame_cache(cache, cache_gb)
    return Experiment(data, out, catalog, assignment, used, distributed, frames, cache, cache_gb)
