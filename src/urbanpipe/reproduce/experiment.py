"""The experiment that all rows share: videos, folds, and training and evaluation of recipes on them."""

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

# Errors that leave out a network, and the rows that need it, but do not abort the whole table.
NOT_TRAINED = (OutOfMemoryError, DivergedError)


@dataclass(frozen=True)
class ReportExperiment(Experiment):
    """An experiment for the tables of the report.

    Attributes:
        data: catalog file.
        out: output folder.
        used: folds that are trained and evaluated.
        options: device and frame cache of the user.
    """

    data: Path
    out: Path
    used: tuple[int, ...]
    options: RunOptions

    @property
    def all_folds(self) -> int:
        """Number of folds, used or not."""
        return len(self.fold_numbers)

    def train(self, run: Path, recipe: Recipe) -> None:
        """Cross-validate a recipe on the folds in use; finished folds are kept.

        Raises:
            OutOfMemoryError: the memory of a single process is too small; a table can continue without the recipe.
            DivergedError: training diverged in a single process; a table can continue without the recipe.
            RunError: one of several processes failed in this way, so that all must stop, because the others wait for
                it; or the run was started with another setting of checkpointing, which would distort a table of costs.
        """
        settled = resolve(recipe, self.catalog)
        self.distributed.on_main(lambda: _same_checkpointing(run, settled))
        try:
            run_folds(run, settled, self, self.used)
        except NOT_TRAINED as error:
            if self.distributed.count == 1:
                raise
            raise RunError(
                f"{error}; several processes cannot continue without this one: fix the cause, or use a single process, "
                "which leaves out only the rows that need this network"
            ) from error

    def names(self, run: Path) -> dict[int, tuple[str, ...]]:
        """Return the names of the videos that each fold's network of a run has predicted."""
        return {fold: read_fold(run, fold, self.catalog.taxonomy).names for fold in self.used}

    def videos_predicted_by(self, runs: Sequence[Path]) -> list[str]:
        """Return the names of the videos that all runs have predicted, by fold: runs may have left out other videos."""
        names = [self._whole(run).names for run in runs]
        shared = set(names[0]).intersection(*names[1:])
        return [name for name in names[0] if name in shared]

    def videos(self, names: Sequence[str]) -> list[Video]:
        """Return the videos with the given names."""
        by_name = {video.name: video for video in self.catalog.labelled}
        return [by_name[name] for name in names]

    def scores(self, runs: Sequence[Path], names: Sequence[str]) -> TrainingScores:
        """Return the out-of-fold scores (S, n, C) of S runs.

        Raises:
            PredictionError: a run has no prediction for one of the videos.
        """
        return np.stack([self._whole(run).aligned(names, where=f"the predictions of {run}") for run in runs])

    def _whole(self, run: Path) -> Predictions:
        parts = [read_fold(run, fold, self.catalog.taxonomy) for fold in self.used]
        names = tuple(name for part in parts for name in part.names)
        return Predictions(names, np.concatenate([part.scores for part in parts]))

    def comparison_data(self, videos: Sequence[Video], folds: Sequence[int] | None = None) -> ComparisonData:
        """Return the data for comparisons on `videos`, with the folds of the experiment or the given ones."""
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
        """Return the mean training time per fold in seconds, and the peak memory in MiB, of runs."""
        costs = [read_costs(run / f"fold{fold}") for run in runs for fold in self.used]
        return float(np.mean([seconds for seconds, _ in costs])), max(mebibytes for _, mebibytes in costs)


def _same_checkpointing(run: Path, recipe: Recipe) -> None:
    if not (run / "recipe.toml").exists():
        return
    begun = load_recipe(run / "recipe.toml").training.checkpointing
    if begun != recipe.training.checkpointing:
        raise RunError(f"{run} was started with training.checkpointing = {str(begun).lower()}; give another --out")


def refuse_folder(data: Path) -> None:
    """Refuse a folder of videos in place of a catalog.

    Raises:
        CatalogError: `data` is a folder.
    """
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
        shared.catalog,
        shared.folds,
        shared.distributed,
        shared.cache,
        shared.logger,
        data,
        out,
        used=used,
        options=options,
    )
