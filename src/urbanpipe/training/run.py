"""The run folder: what it holds, that it is one run's alone, and that it goes on only with what it was begun with.

- recipe.toml: every setting; environment.json: versions, commit, machine, fingerprints of data and first weights' file
- taxonomy.toml, labels.json, folds.csv, groups.csv: the data; left_out.csv: videos that could not be decoded, and why
- fold<k>/: weights.safetensors, metrics.csv, tensorboard/, predictions.json and .csv, done.json
- out_of_fold.json and .csv: every labelled video, judged by the model that has not seen it
- table6.csv, .md and .png: AP by class and fold; folds.png: labels by fold
- out_of_fold_pieces.npz: what every frame or clip says, where the method sees many; pooling.csv and .md of a frame run
"""

import csv
import fcntl
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tomli_w

from urbanpipe.catalog.table import Video
from urbanpipe.errors import RunError
from urbanpipe.models.weights import content_of
from urbanpipe.outputs import output_folder, write_csv, write_json, write_text
from urbanpipe.taxonomy import Taxonomy, taxonomy_table
from urbanpipe.training.environment import environment
from urbanpipe.training.recipe import Recipe, difference, load_recipe, write_recipe

_DAMAGED = "{path} is missing or damaged; delete {folder} to begin it again"


@contextmanager
def alone_in(folder: Path, wait: bool = False) -> Iterator[None]:
    """Hold a folder while the block runs; the hold ends with the process, however it ends.

    Args:
        folder: made if it is not there.
        wait: for another process to let go of it, instead of giving up.

    Raises:
        RunError: another process works in it.
        OutputError: it cannot be written to.
    """
    output_folder(folder)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not wait:
                raise RunError(f"another process is working in {folder}; wait for it, or give another --out") from None
            print(f"waiting for another process in {folder}", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def is_begun(run: Path, recipe: Recipe, taxonomy: Taxonomy, videos: Sequence[Video], folds: Mapping[str, int]) -> bool:
    """Whether the folder holds this very run already.

    Args:
        run: its folder.
        recipe: its settings.
        taxonomy: its classes.
        videos: all labelled videos, with those that will turn out to be unreadable.
        folds: fold of each video; empty where there is no cross-validation.

    Raises:
        RunError: the folder holds a run of another recipe or of other data.
    """
    if not (run / "recipe.toml").exists():
        return False
    begun, found = load_recipe(run / "recipe.toml"), read_json(run / "environment.json")
    first, now = found.get("weights", ""), content_of(recipe.model.weights)
    if first and first == now:  # the same file, wherever it lies
        same = begun.model.model_copy(update={"weights": recipe.model.weights})
        begun = begun.model_copy(update={"model": same})
    if changed := difference(recipe, begun):
        raise RunError(f"{run} was begun with another recipe: {changed}; give another --out, or -r {run}/recipe.toml")
    if first and now and first != now:
        raise RunError(f"{recipe.model.weights} is no longer the file with which {run} was begun; give another --out")
    if found.get("data") != _fingerprint(taxonomy, videos, folds):
        raise RunError(
            f"{run} was begun with other videos, labels, classes or folds; give another --out, or the first data"
        )
    return True


def begin_run(
    run: Path,
    recipe: Recipe,
    taxonomy: Taxonomy,
    videos: Sequence[Video],
    folds: Mapping[str, int],
    left_out: Mapping[str, str],
) -> None:
    """Write what the run is about; the recipe last, so that a folder with a recipe is complete.

    Args:
        run: its folder.
        recipe: its settings.
        taxonomy: its classes.
        videos: all labelled videos.
        folds: fold of each; empty where there is no cross-validation.
        left_out: videos that could not be decoded, with the reason.
    """
    used = [video for video in videos if video.name not in left_out]
    write_text(run / "taxonomy.toml", tomli_w.dumps(taxonomy_table(taxonomy)))
    write_json(run / "labels.json", {video.name: list(video.labels or ()) for video in used})
    write_csv(run / "groups.csv", ["video", "group"], [[video.name, video.group] for video in used])
    if folds:
        write_csv(run / "folds.csv", ["video", "fold"], [[video.name, folds[video.name]] for video in used])
    write_csv(run / "left_out.csv", ["video", "reason"], sorted(left_out.items()))
    known = {"data": _fingerprint(taxonomy, videos, folds), "weights": content_of(recipe.model.weights)}
    write_json(run / "environment.json", known | environment())
    write_recipe(recipe, run / "recipe.toml")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object that a run has written.

    Raises:
        RunError: it is missing or damaged.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(_DAMAGED.format(path=path, folder=path.parent)) from error
    if not isinstance(value, dict):
        raise RunError(_DAMAGED.format(path=path, folder=path.parent))
    return value


def read_left_out(run: Path) -> dict[str, str]:
    """The videos that could not be decoded when the run began, with the reason."""
    with (run / "left_out.csv").open(encoding="utf-8", newline="") as file:
        return {row["video"]: row["reason"] for row in csv.DictReader(file)}


def _fingerprint(taxonomy: Taxonomy, videos: Sequence[Video], folds: Mapping[str, int]) -> str:
    rows = sorted((video.name, video.digest, video.labels or (), folds.get(video.name, -1)) for video in videos)
    return hashlib.blake2b(json.dumps([taxonomy.codes, rows]).encode(), digest_size=16).hexdigest()
