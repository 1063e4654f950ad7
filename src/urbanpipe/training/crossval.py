"""`crossval`: from videos and labels to fold models, out-of-fold predictions, tables and an ensemble."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from urbanpipe.catalog.catalog_file import Catalog, Video
from urbanpipe.contracts.predictions import Predictions, read_predictions, write_predictions
from urbanpipe.contracts.run_folder import DONE, FOLD_TABLE, OUT_OF_FOLD_SEGMENTS, SEGMENTS, read_done, read_left_out
from urbanpipe.contracts.segment_scores import joined, read_segment_scores, write_segment_scores
from urbanpipe.ensembling.ensemble import ensemble as make_ensemble
from urbanpipe.errors import CatalogError, FoldError, RunError
from urbanpipe.evaluation.fold_report import write_fold_tables
from urbanpipe.evaluation.pooling import write_pooling
from urbanpipe.inputs.dataset import VideoDataset
from urbanpipe.inputs.loading import unreadable
from urbanpipe.locks import folder_lock
from urbanpipe.methods.recipe import Recipe, load_recipe
from urbanpipe.models.weights import load_weights
from urbanpipe.progress import track
from urbanpipe.taxonomy import Taxonomy
from urbanpipe.training.experiment import Experiment, open_experiment
from urbanpipe.training.fold_job import FoldJob
from urbanpipe.training.loop import train_model
from urbanpipe.training.lost_videos import lost_videos
from urbanpipe.training.options import FoldOptions, RunOptions
from urbanpipe.training.run import begin_run, is_begun, leave_out
from urbanpipe.video.cache import FrameCache


@dataclass(frozen=True)
class CrossvalResult:
    """The result of a cross-validation.

    Attributes:
        folder: folder of the experiment.
        runs: run folders, one per recipe.
        ensemble: folder of the ensemble, for `predict`; None until every fold is done.
    """

    folder: Path
    runs: tuple[Path, ...]
    ensemble: Path | None

    @property
    def tables(self) -> list[Path]:
        """The Markdown tables of each finished run, then of the ensemble."""
        tables = [run / FOLD_TABLE for run in self.runs]
        if self.ensemble:
            tables.append(self.ensemble / "table3.md")
        return [table for table in tables if table.exists()]


def crossval(
    data: Path,
    recipes: Sequence[str | Path],
    *,
    out: Path,
    labels: Path | None = None,
    taxonomy: Path | None = None,
    overrides: Sequence[str] = (),
    split: FoldOptions = FoldOptions(),
    options: RunOptions = RunOptions(),
) -> CrossvalResult:
    """Train every recipe on every fold, predict each video with the model that was not trained on it, and ensemble.

    Args:
        data: a catalog, or a folder of videos, which is scanned first.
        recipes: names or files of recipes.
        out: folder of the experiment: a run folder per recipe, `ensemble/`, and `catalog.csv` and `folds.csv` unless
            they are given. The same command resumes an interrupted cross-validation.
        labels: label file, if `data` is a folder.
        taxonomy: the classes; default: those of the catalog, or the 17 QV-Pipe classes.
        overrides: `section.key=value` for all recipes.
        split: the folds; with `only`, tables and ensemble are made once all folds are done.
        options: device, frame cache and logger.

    Raises:
        UrbanpipeError: an argument cannot be used; existing files stay unchanged.
    """
    loaded = [load_recipe(recipe, list(overrides)) for recipe in recipes]
    _check_names(loaded)
    experiment = open_experiment(data, out, labels=labels, taxonomy=taxonomy, split=split, options=options)
    runs = tuple(out / recipe.name for recipe in loaded)
    for recipe, run in zip(loaded, runs, strict=True):
        run_folds(run, resolve(recipe, experiment.catalog), experiment, split.only)
    ensemble = None
    if experiment.distributed.is_main and all((run / "out_of_fold.json").exists() for run in runs):
        ensemble = out / "ensemble"
        make_ensemble(runs, out=ensemble)
    return CrossvalResult(out, runs, ensemble)


def _check_names(recipes: Sequence[Recipe]) -> None:
    if not recipes:
        raise RunError("no recipe; give --recipe NAME, `urbanpipe recipes` lists the shipped ones")
    names = [recipe.name.lower() for recipe in recipes]  # of folders, in which some systems ignore case
    if double := {name for name in names if names.count(name) > 1}:
        raise RunError(
            f"two recipes are called {double.pop()}; its name is also its folder: give --set name=... or edit one"
        )
    if bad := {"ensemble", "catalog.csv", "folds.csv", "experiment.json"} & set(names):
        raise RunError(f"a recipe must not be called {bad.pop()}; the experiment has another file of that name")


def resolve(recipe: Recipe, catalog: Catalog) -> Recipe:
    """Return the recipe with `input.aspect = "frame"` replaced by the most common frame shape of the catalog.

    Raises:
        CatalogError: the aspect is "frame", but no video can be read.
    """
    if recipe.input.aspect != "frame":
        return recipe
    shapes = [f"{video.width}:{video.height}" for video in catalog.ok]
    if not shapes:
        raise CatalogError('input.aspect = "frame" is the shape of the videos, but no video of the catalog is readable')
    commonest = max(sorted(set(shapes)), key=shapes.count)
    return recipe.model_copy(update={"input": recipe.input.model_copy(update={"aspect": commonest})})


def run_folds(
    run: Path, recipe: Recipe, experiment: Experiment, only_folds: Sequence[int] = (), *, folds_after: int = 0
) -> None:
    """Cross-validate one recipe in its run folder; finished folds are kept.

    Args:
        run: the run folder.
        recipe: the recipe, with its aspect resolved.
        experiment: videos, folds, processes and cache.
        only_folds: train only these folds.
        folds_after: folds that the caller trains after these, for the time left.

    Raises:
        FoldError: a fold does not exist, or has no readable videos.
        RunError: the folder holds a run of another recipe or of other data.
    """
    experiment.check_folds(only_folds)
    numbers, distributed = experiment.fold_numbers, experiment.distributed
    good = begin_run_videos(run, recipe, experiment)
    wanted = [*(only_folds or numbers)]
    for position, number in enumerate(wanted):
        later = sum(not (run / f"fold{other}" / DONE).exists() for other in wanted[position + 1 :])
        job = fold_job(run, recipe, experiment, good, number)
        train_model(replace(job, folds_after=later + folds_after), distributed)
    if distributed.is_main:
        with folder_lock(run, wait=True):
            if all(read_done(run / f"fold{number}") for number in numbers):
                _finish(run, recipe, experiment.catalog.taxonomy, numbers)
    distributed.from_main(None)


def begin_run_videos(run: Path, recipe: Recipe, experiment: Experiment) -> list[Video]:
    """Return the videos of the run that can be decoded; rank 0 creates the run folder, or checks it."""
    folds, distributed = experiment.folds, experiment.distributed
    videos = [video for video in experiment.catalog.labelled if not folds or video.name in folds]
    left_out = distributed.on_main(lambda: _left_out(run, recipe, experiment, videos))
    for name, reason in left_out.items():
        distributed.log(f"{recipe.name}: left out {name}: {reason}")
    return [video for video in videos if video.name not in left_out]


def _left_out(run: Path, recipe: Recipe, experiment: Experiment, videos: Sequence[Video]) -> dict[str, str]:
    taxonomy, folds = experiment.catalog.taxonomy, experiment.folds
    with folder_lock(run, wait=True):
        lost = lost_videos(run, experiment, videos)
        if is_begun(run, recipe, taxonomy, videos=videos, folds=folds, lost=lost):
            if lost:
                _check_left(videos, folds, read_left_out(run) | lost)
                leave_out(run, lost)
            return read_left_out(run)
        model = recipe.network(len(taxonomy))  # fails for a wrong name or file before the run folder is created
        load_weights(model.backbone, recipe.model.backbone, recipe.model.weights)
        left_out = find_unreadable(recipe, videos, experiment.cache)
        _check_left(videos, folds, left_out)
        device = experiment.distributed.device
        begin_run(run, recipe, taxonomy, videos=videos, folds=folds, left_out=left_out, device=device)
        return left_out


def _check_left(videos: Sequence[Video], folds: Mapping[str, int], left_out: Mapping[str, str]) -> None:
    """Refuse a run in which unreadable videos leave a fold empty, or leave no videos at all."""
    kept = {folds.get(video.name, 0) for video in videos if video.name not in left_out}
    if not kept or len(kept) < len(set(folds.values())):
        name, reason = next(iter(left_out.items()), ("none", "no videos"))
        raise FoldError(
            f"{len(left_out)} of {len(videos)} videos cannot be read, which leaves a fold empty; {name}: {reason}"
        )


def find_unreadable(recipe: Recipe, videos: Sequence[Video], cache: FrameCache | None) -> dict[str, str]:
    """Read all videos once, which also fills the cache; return the errors, by name, of those that cannot be decoded."""
    dataset = VideoDataset(videos, recipe.view, cache)
    checks = track(unreadable(dataset, recipe.training.workers), len(videos), f"{recipe.name}: reading frames")
    return {videos[index].name: error.reason for index, error in checks if error is not None}


def fold_job(run: Path, recipe: Recipe, experiment: Experiment, videos: Sequence[Video], number: int) -> FoldJob:
    """Return the job of the model that is validated on fold `number`."""
    folds = experiment.folds
    train = [video for video in videos if folds[video.name] != number]
    valid = [video for video in videos if folds[video.name] == number]
    if not train or not valid:
        raise FoldError(
            f"fold {number} leaves {len(train)} videos for training and {len(valid)} for validation; "
            "both need at least one"
        )
    name, taxonomy = f"{recipe.name} fold {number}", experiment.catalog.taxonomy
    folder = run / f"fold{number}"
    return FoldJob(recipe, taxonomy, train, valid, folder, experiment.cache, name, experiment.logger)


def _finish(run: Path, recipe: Recipe, taxonomy: Taxonomy, folds: Sequence[int]) -> None:
    """Join the predictions of the folds and write the tables."""
    parts = [read_predictions(run / f"fold{number}" / "predictions.json", taxonomy) for number in folds]
    names = tuple(name for part in parts for name in part.names)
    whole = Predictions(names, np.concatenate([part.scores for part in parts]))
    if all((run / f"fold{number}" / SEGMENTS).exists() for number in folds):
        segments = [read_segment_scores(run / f"fold{number}" / SEGMENTS, taxonomy) for number in folds]
        write_segment_scores(joined(segments), run / OUT_OF_FOLD_SEGMENTS, taxonomy)
    write_predictions(whole, run / "out_of_fold.json", taxonomy)
    if recipe.input.compares_pools:
        write_pooling(run)
    write_fold_tables(run)
