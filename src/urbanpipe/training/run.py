"""The run folder: its content, and the check that a run resumes only with the recipe and data that it was started with.

- recipe.toml: every setting; environment.json: versions, commit, machine, precision, fingerprints of data and initial
  weights
- taxonomy.toml, labels.json, folds.csv, groups.csv: the data; left_out.csv: videos that could not be decoded, and why
- fold<k>/: weights.safetensors, metrics.csv, tensorboard/, predictions.json and .csv, done.json
- out_of_fold.json and .csv: every labelled video, predicted by the model that was not trained on it
- table6.csv, .md and .png: AP by class and fold; folds.png: labels by fold
- out_of_fold_segments.npz: scores of every frame or clip, for methods with many segments
- pooling.csv and .md: comparison of poolings, for frame runs
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import tomli_w
import torch

from urbanpipe.catalog.catalog_file import Video
from urbanpipe.contracts.run_folder import RUN_FORMAT, check_run_format, read_json
from urbanpipe.errors import RunError
from urbanpipe.methods.recipe import Recipe, difference, load_recipe, write_recipe
from urbanpipe.models.device import usable_precision
from urbanpipe.models.weights import content_of
from urbanpipe.outputs import write_csv, write_json, write_text
from urbanpipe.taxonomy import Taxonomy, taxonomy_table
from urbanpipe.training.environment import environment


def is_begun(run: Path, recipe: Recipe, taxonomy: Taxonomy, videos: Sequence[Video], folds: Mapping[str, int]) -> bool:
    """Return whether the folder already holds this run.

    Args:
        run: the run folder.
        recipe: the settings.
        taxonomy: the classes.
        videos: all labelled videos, including those that turn out to be unreadable.
        folds: fold of each video; empty without cross-validation.

    Raises:
        RunError: the folder holds a run of another recipe or of other data.
    """
    if not (run / "recipe.toml").exists():
        return False
    check_run_format(run)
    begun, recorded = load_recipe(run / "recipe.toml"), read_json(run / "environment.json")
    first, now = recorded.get("weights", ""), content_of(recipe.model.weights)
    if first and first == now:  # the same content, at any path
        same = begun.model.model_copy(update={"weights": recipe.model.weights})
        begun = begun.model_copy(update={"model": same})
    if changed := difference(recipe, begun):
        raise RunError(f"{run} was started with another recipe: {changed}; give another --out, or -r {run}/recipe.toml")
    if first and now and first != now:
        raise RunError(f"{recipe.model.weights} has changed since {run} was started with it; give another --out")
    if recorded.get("data") != _fingerprint(taxonomy, videos, folds):
        raise RunError(
            f"{run} was started with other videos, labels, classes or folds; give another --out, or the original data"
        )
    return True


def begin_run(
    run: Path,
    recipe: Recipe,
    taxonomy: Taxonomy,
    *,
    videos: Sequence[Video],
    folds: Mapping[str, int],
    left_out: Mapping[str, str],
    device: torch.device,
) -> None:
    """Write the inputs of a run; the recipe last, so that a folder with a recipe is complete.

    Args:
        run: the run folder.
        recipe: the settings.
        taxonomy: the classes.
        videos: all labelled videos.
        folds: fold of each video; empty without cross-validation.
        left_out: videos that could not be decoded, with the reason.
        device: device of the run, for the precision that it computes in.
    """
    used = [video for video in videos if video.name not in left_out]
    write_text(run / "taxonomy.toml", tomli_w.dumps(taxonomy_table(taxonomy)))
    labels = {video.name: [taxonomy.codes[index] for index in video.labels or ()] for video in used}
    write_json(run / "labels.json", labels)
    write_csv(run / "groups.csv", ["video", "group"], [[video.name, video.group] for video in used])
    if folds:
        write_csv(run / "folds.csv", ["video", "fold"], [[video.name, folds[video.name]] for video in used])
    write_csv(run / "left_out.csv", ["video", "reason"], sorted(left_out.items()))
    known = {
        "format": RUN_FORMAT,
        "data": _fingerprint(taxonomy, videos, folds),
        "weights": content_of(recipe.model.weights),
        "precision": usable_precision(device, recipe.training.precision),
    }
    write_json(run / "environment.json", known | environment())
    write_recipe(recipe, run / "recipe.toml")


def _fingerprint(taxonomy: Taxonomy, videos: Sequence[Video], folds: Mapping[str, int]) -> str:
    rows = sorted((video.name, video.digest, video.labels or (), folds.get(video.name, -1)) for video in videos)
    return hashlib.blake2b(json.dumps([taxonomy.codes, rows]).encode(), digest_size=16).hexdigest()
