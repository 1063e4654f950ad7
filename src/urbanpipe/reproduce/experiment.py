"""What all rows share: the videos, their folds, and how a recipe is trained and judged on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from urbanpipe.catalog.catalog_file import Video
from urbanpipe.catalog.labels import label_matrix
from urbanpipe.contracts.predictions import Predictions
from urbanpipe.errors import CatalogError, DivergedError, OutOfMemoryError, RunError
from urbanpipe.methods.recipe import Recipe, load_recipe
from urbanpipe.reproduce.paired_comparison import ComparisonData, TrainingScores
from urbanpipe.reproduce.re_evaluation import read_fold
from urbanpipe.training.crossval import resolve, run_folds
from urbanpipe.training.experiment import Experiment, open_experiment
from urbanpipe.training.log import read_costs
from urbanpipe.training.options import FoldOptions, RunOptions

# What costs a network, and with it a row of a table, and not the table.
NOT_TRAINED = (OutOfMemoryError, DivergedError)


@dataclass(frozen=True)
class ReportExperiment(Experiment):
    """An experiment of which the report's tables are made.

    Attributes:
        data: the catalog's file.
        out: folder of everything that is made.
        used: folds that are trained and evaluated.
        options: device and frame cache, as the user gave them.
    """

    data: Path
    out: Path
    used: tuple[int, ...]
    options: RunOptions

    @property
    def all_folds(self) -> int:
        """How many folds there are, used or not."""
        return len(self.fold_numbers)

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
            run_folds(run, settled, self, self.used)
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

    def scores(self, runs: Sequence[Path], names: Sequence[str]) -> TrainingScores:
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
            names=tuple(names),
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


def open_report_experiment(
    data: Path, out: Path, *, taxonomy: Path | None = None, split: FoldOptions, options: RunOptions
) -> ReportExperiment:
    """Read the catalog, make or read the folds, join the other processes; see `ablate` for the arguments."""
    refuse_folder(data)
    shared = open_experiment(data, out, taxonomy=taxonomy, split=split, options=options)
    shared.check_folds(split.only)
    used = tuple(sorted(set(split.only))) or tuple(shared.fold_numbers)
    return ReportExperiment(
        shared.catalog, shared.folds, shared.distributed, shared.cache, data, out, used=used, options=options
    )
