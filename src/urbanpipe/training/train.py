"""`train`: one model, trained on all labelled videos or on all but one fold."""

from collections.abc import Sequence
from pathlib import Path

from urbanpipe.catalog.catalog_file import read_catalog
from urbanpipe.errors import CatalogError, FoldError
from urbanpipe.inputs.dataset import frame_cache
from urbanpipe.methods.recipe import load_recipe
from urbanpipe.models.distributed import join_distributed
from urbanpipe.outputs import output_folder
from urbanpipe.taxonomy import given_taxonomy
from urbanpipe.training.crossval import begin_run_videos, fold_job, resolve
from urbanpipe.training.experiment import Experiment, checked_folds, labels_line, warn_of_folds
from urbanpipe.training.fold_job import FoldJob
from urbanpipe.training.loggers import LoggerChoice, check_logger
from urbanpipe.training.loop import train_model
from urbanpipe.training.options import RunOptions


def train(
    data: Path,
    recipe: str | Path,
    *,
    out: Path,
    taxonomy: Path | None = None,
    folds: Path | None = None,
    fold: int | None = None,
    overrides: Sequence[str] = (),
    options: RunOptions = RunOptions(),
) -> Path:
    """Train one model; the same call resumes an interrupted run.

    Args:
        data: a catalog.
        recipe: name or file of a recipe.
        out: the run folder, for `predict`.
        taxonomy: the classes; default: those of the catalog.
        folds: CSV `video,fold`. With it, the model is validated on `fold` and the best epoch is kept. Without it, the
            model is trained on every labelled video, without validation, and the last epoch is kept.
        fold: fold for validation.
        overrides: `section.key=value`.
        options: device, frame cache and logger.

    Returns:
        The run folder.

    Raises:
        UrbanpipeError: an argument cannot be used.
    """
    if (folds is None) != (fold is None):
        raise FoldError("--folds FILE and --fold K require each other; without both, all labelled videos are used")
    check_logger(options.logger)
    distributed = join_distributed(options.device)
    catalog = read_catalog(data, given_taxonomy(taxonomy))
    if not catalog.labelled:
        raise CatalogError(f"{data} has no video that is both readable and labelled: see its columns status and labels")
    settings = resolve(load_recipe(recipe, list(overrides)), catalog)
    assignment = {} if folds is None else checked_folds(catalog, folds)
    if fold is not None and fold not in assignment.values():
        raise FoldError(f"there is no fold {fold} in {folds}; it has {sorted(set(assignment.values()))}")
    output_folder(out)  # before anything is logged
    distributed.log(labels_line(catalog))
    if assignment:
        warn_of_folds(catalog, assignment, distributed)
    frames = frame_cache(options.cache, options.cache_gb)
    experiment = Experiment(catalog, assignment, distributed, frames, LoggerChoice(options.logger, out))
    good = begin_run_videos(out, settings, experiment)
    if fold is None:
        job = FoldJob(settings, catalog.taxonomy, good, (), out, frames, settings.name, experiment.logger)
    else:
        job = fold_job(out, settings, experiment, good, fold)
    train_model(job, distributed)
    return out
