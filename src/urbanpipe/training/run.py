"""The run folder: its content, and the check that a run resumes only with the recipe and data that it was started with.

- recipe.toml: every setting; environment.json: versions, commit, machine, precision, fingerprints of data and initial
  weights
- taxonomy.toml, labels.json, moments.json, folds.csv, groups.csv: the data; left_out.csv: videos that could not be
  decoded, and why; videos.json: digest, labels and fold of every video when the run began
- fold<k>/: weights.safetensors, metrics.csv, tensorboard/ (or logger.json), predictions.json and .csv, done.json
- out_of_fold.json and .csv: every labelled video, predicted by the model that was not trained on it
- table6.csv, .md and .png: AP by class and fold; folds.png: labels by fold
- out_of_fold_segments.npz: scores of every frame or clip, for methods with many segments
- pooling.csv and .md: comparison of poolings, for frame runs
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import tomli_w
import torch
from pydantic import ConfigDict, TypeAdapter

from urbanpipe.catalog.catalog_file import Video, printable
from urbanpipe.contracts.names import shortened
from urbanpipe.contracts.run_folder import (
    DONE,
    LEFT_OUT,
    RUN_FORMAT,
    TRAINING_STATE,
    check_run_format,
    read_column,
    read_json,
    read_left_out,
)
from urbanpipe.errors import RunError
from urbanpipe.methods.recipe import Recipe, difference, load_recipe, write_recipe
from urbanpipe.models.device import usable_precision
from urbanpipe.models.weights import content_of
from urbanpipe.outputs import remove, write_csv, write_json, write_text
from urbanpipe.taxonomy import Taxonomy, taxonomy_table
from urbanpipe.training.environment import environment

VIDEOS = "videos.json"
MOMENTS = "moments.json"
TRAIN_ONLY = -1  # the fold of videos that are in every training and in no evaluation


def is_begun(
    run: Path,
    recipe: Recipe,
    taxonomy: Taxonomy,
    *,
    videos: Sequence[Video],
    folds: Mapping[str, int],
    lost: Collection[str] = (),
) -> bool:
    """Return whether the folder already holds this run.

    Args:
        run: the run folder.
        recipe: the settings.
        taxonomy: the classes.
        videos: all labelled videos, including those that turn out to be unreadable.
        folds: fold of each video; empty without cross-validation.
        lost: names of videos that the run began with and that can no longer be read.

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
        raise RunError(
            f"{run} was started with another recipe: {changed}; give another --out, or the recipe of the run"
        )
    if first and now and first != now:
        raise RunError(f"{recipe.model.weights} has changed since {run} was started with it; give another --out")
    if recorded.get("data") != _fingerprint(taxonomy, rows_as_begun(run, video_rows(videos, folds), lost)):
        raise RunError(
            f"{run} was started with other videos, labels, classes or folds; give another --out, or the original data"
        )
    begun_with = read_json(run / MOMENTS) if (run / MOMENTS).exists() else {}
    if other := [video.name for video in videos if _moments(video, taxonomy) != begun_with.get(video.name, [])]:
        raise RunError(f"{run} was started with other moments of {shortened(other)}; give another --out")
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
        folds: fold of each video, or `TRAIN_ONLY`; empty without cross-validation.
        left_out: videos that could not be decoded, with the reason.
        device: device of the run, for the precision that it computes in.
    """
    used = [video for video in videos if video.name not in left_out and folds.get(video.name) != TRAIN_ONLY]
    write_text(run / "taxonomy.toml", tomli_w.dumps(taxonomy_table(taxonomy)))
    labels = {video.name: [taxonomy.codes[index] for index in video.labels or ()] for video in used}
    write_json(run / "labels.json", labels)
    write_json(run / MOMENTS, {video.name: _moments(video, taxonomy) for video in videos if video.moments})
    write_csv(run / "groups.csv", ["video", "group"], [[video.name, video.group] for video in used])
    if folds:
        write_csv(run / "folds.csv", ["video", "fold"], [[video.name, folds[video.name]] for video in used])
    write_csv(run / LEFT_OUT, ["video", "reason"], sorted(left_out.items()))
    rows = video_rows(videos, folds)
    write_begun(run, rows, videos)
    known = {
        "format": RUN_FORMAT,
        "data": _fingerprint(taxonomy, rows),
        "weights": content_of(recipe.model.weights),
        "precision": usable_precision(device, recipe.training.precision),
    }
    write_json(run / "environment.json", known | environment())
    write_recipe(recipe, run / "recipe.toml")


def _moments(video: Video, taxonomy: Taxonomy) -> list[list[str | float]]:
    return [[taxonomy.codes[label], seconds] for label, seconds in video.moments]


def leave_out(run: Path, lost: Mapping[str, str]) -> None:
    """Leave videos out of a run that has begun; those of finished folds remain in its tables.

    Unfinished folds start again, as their videos are others.

    Args:
        run: the run folder.
        lost: reasons, by name, of videos that can no longer be read.
    """
    left_out = read_left_out(run) | dict(lost)
    folds = read_column(run / "folds.csv", "fold") if (run / "folds.csv").exists() else {}
    gone = {name for name in lost if not (run / f"fold{folds.get(name)}" / DONE).exists()}
    for state in (run / TRAINING_STATE, *run.glob(f"fold*/{TRAINING_STATE}")):
        remove(state)
    labels = {name: classes for name, classes in read_json(run / "labels.json").items() if name not in gone}
    write_json(run / "labels.json", labels)
    for file, column in (("groups.csv", "group"), ("folds.csv", "fold")):
        if (run / file).exists():
            rows = [row for row in read_column(run / file, column).items() if row[0] not in gone]
            write_csv(run / file, ["video", column], rows)
    write_csv(run / LEFT_OUT, ["video", "reason"], sorted(left_out.items()))


Row = tuple[str, str, Sequence[int], int]
_BEGUN = TypeAdapter(list[tuple[str, str, list[int], int, str]], config=ConfigDict(strict=True))


def video_rows(videos: Sequence[Video], folds: Mapping[str, int]) -> list[Row]:
    """Return name, digest, labels and fold of videos, in order of their names."""
    return sorted(
        (video.name, video.digest, list(video.labels or ()), folds.get(video.name, TRAIN_ONLY)) for video in videos
    )


def rows_as_begun(run: Path, rows: list[Row], lost: Collection[str]) -> list[Row]:
    """Return rows as they were when the run began for the videos that were left out then or since, or are lost now."""
    left_out = {*read_left_out(run), *lost}
    begun = [row for row, _ in begun_rows(run) if row[0] in left_out]
    known = {row[0] for row in begun}
    return sorted([*begun, *(row for row in rows if row[0] not in known)])


def write_begun(run: Path, rows: Sequence[Row], videos: Sequence[Video]) -> None:
    """Write the rows of the videos that a run begins with, and their files."""
    paths = {video.name: printable(str(video.path)) for video in videos}
    write_json(run / VIDEOS, [(*row, paths[row[0]]) for row in rows])


def begun_rows(run: Path) -> list[tuple[Row, Path]]:
    """Return the rows of the videos that a run began with, and their files.

    There are none for a run of an earlier version, or if the file is damaged.
    """
    try:
        return [((*row[:4],), Path(row[4])) for row in _BEGUN.validate_json((run / VIDEOS).read_bytes())]
    except (OSError, ValueError):
        return []


def _fingerprint(taxonomy: Taxonomy, rows: Sequence[Row]) -> str:
    return hashlib.blake2b(json.dumps([taxonomy.codes, rows]).encode(), digest_size=16).hexdigest()
