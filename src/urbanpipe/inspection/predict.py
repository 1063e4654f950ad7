"""Probabilities of every class for videos that nobody has labelled."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from urbanpipe.catalog.files import find_videos, video_names
from urbanpipe.catalog.labels import canonical_name
from urbanpipe.ensembling.rules import apply_exclusive
from urbanpipe.errors import CatalogError, OutOfMemoryError, OutputError, PredictionError, VideoError
from urbanpipe.evaluation.predictions import Predictions, read_predictions, write_predictions
from urbanpipe.inputs.view import View, make_view
from urbanpipe.inspection.members import Member, Models, distinct_inputs, load_models
from urbanpipe.outputs import output_folder, write_csv
from urbanpipe.progress import track
from urbanpipe.taxonomy import Taxonomy
from urbanpipe.training.data import loading_workers
from urbanpipe.training.forward import autocast, images_to
from urbanpipe.training.processes import choose_device
from urbanpipe.video.decode import index_frames, read_frames

Item = tuple[int, list[Tensor] | VideoError]


@dataclass(frozen=True)
class Predicted:
    """What `predict` found.

    Attributes:
        predictions: names and probabilities of the videos that could be read.
        failures: reasons, by name, of the others.
        videos_per_second: decoding and networks together.
        taxonomy: the classes.
    """

    predictions: Predictions
    failures: dict[str, str]
    videos_per_second: float
    taxonomy: Taxonomy

    def lines(self, top: int) -> Iterator[str]:
        """A line a video: its most probable classes, best first."""
        for name, scores in zip(self.predictions.names, self.predictions.scores, strict=True):
            best = np.argsort(-scores, kind="stable")[:top]
            yield f"{name}: " + ", ".join(f"{self.taxonomy.codes[index]} {scores[index]:.2f}" for index in best)


class NewVideos(Dataset[Item]):
    """The inputs of videos that are in no catalog: one tensor for each distinct input of the models."""

    def __init__(self, paths: Sequence[Path], views: Sequence[View]) -> None:
        self.paths, self.views = paths, views

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: int) -> Item:
        try:
            return place, self._inputs(self.paths[place])
        except VideoError as error:
            return place, error

    def _inputs(self, path: Path) -> list[Tensor]:
        index = index_frames(path)
        kept = [view.kept(index.frame_count) for view in self.views]
        pairs = zip(self.views, kept, strict=True)
        return [
            view.test_view(read_frames(path, rows[len(rows) // 2], view.frame_size, index, "conceal"))
            for view, rows in pairs
        ]


def predict(
    model: Path, videos: Sequence[Path], out: Path, device: str = "auto", workers: int = -1, batch_size: int = 8
) -> Predicted:
    """Rank every class in every video; a bad video is named and skipped.

    Args:
        model: a run folder, an ensemble's, or a study's, whose ensemble then predicts.
        videos: files and folders.
        out: gets the predictions as JSON, and as CSV beside it; also `<out>.failures.csv` where videos were bad.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        workers: decoding processes; -1 for as many as the machine allows.
        batch_size: videos at once.

    Raises:
        CatalogError: there is no video.
        RunError: the model cannot be loaded.
        PredictionError: none of the videos could be read.
        OutOfMemoryError: all networks are held at once, and a batch beside them.
        OutputError: the result cannot be written, which is tried before the work.
    """
    if workers < -1 or batch_size < 1:
        raise PredictionError(f"workers {workers}, batch size {batch_size}: give -1 or more, and 1 or more")
    output_folder(out.parent)
    found = named_videos(videos)
    chosen = choose_device(device)
    models = load_models(model, chosen)
    _check_out(out, models.taxonomy)
    recipes = distinct_inputs(models.members)
    names, paths = list(found), list(found.values())
    dataset = NewVideos(paths, [make_view(recipe.input, recipe.augment) for recipe in recipes])
    started = time.perf_counter()
    inputs = [recipe.input.model_dump_json() for recipe in recipes]
    try:
        scores, failures = _scores(models, inputs, dataset, chosen, workers, batch_size)
    except torch.OutOfMemoryError as error:
        advice = f"lower --batch-size (now {batch_size}), predict with one run instead of an ensemble, or --device cpu"
        raise OutOfMemoryError(f"out of memory on {chosen}: {advice}") from error
    seconds = time.perf_counter() - started
    bad = {names[place]: error.reason for place, error in failures.items()}
    if not scores:
        name, reason = next(iter(bad.items()))
        raise PredictionError(f"none of the {len(bad)} videos could be read; the first, {name}: {reason}")
    done = sorted(scores)
    predictions = Predictions(tuple(names[place] for place in done), np.stack([scores[place] for place in done]))
    write_predictions(predictions, out, models.taxonomy)
    _write_failures(out, bad)
    return Predicted(predictions, bad, len(names) / seconds, models.taxonomy)


def _check_out(out: Path, taxonomy: Taxonomy) -> None:
    """Refuse a name that is not a prediction file's, and to write over anything that is not one."""
    if out.suffix not in (".json", ".csv") or out.is_dir():
        raise OutputError(f"cannot write {out}: give the name of a .json or .csv file; the other form goes beside it")
    for path in (out.with_suffix(".json"), out.with_suffix(".csv")):
        if path.exists():
            try:
                read_predictions(path, taxonomy)
            except PredictionError:
                raise OutputError(
                    f"cannot write {path}: it is there and is no prediction file; give another --out"
                ) from None


def named_videos(videos: Sequence[Path]) -> dict[str, Path]:
    """Files by name: those given and those below the folders given; a name that recurs is told apart by its path.

    Raises:
        CatalogError: a path is missing, or a folder has no videos.
        PredictionError: two different files are given under one name.
    """
    found: dict[str, Path] = {}
    for given in videos:
        if given.is_dir():
            paths = find_videos(given).paths
            named = {name: paths[relative] for relative, name in video_names(list(paths)).items()}
        elif given.exists():
            named = {canonical_name(given.name): given}
        else:
            raise CatalogError(f"{given} is missing; give videos, or folders with videos")
        for name, path in named.items():
            if (other := found.setdefault(name, path)).absolute() != path.absolute():
                raise PredictionError(f"{other} and {path} have the same name; predict them one folder at a time")
    return found


def _scores(
    models: Models, inputs: Sequence[str], dataset: NewVideos, device: torch.device, workers: int, batch_size: int
) -> tuple[dict[int, NDArray[np.float64]], dict[int, VideoError]]:
    """Probabilities by place for the videos that could be read, and the errors of the others."""
    scores: dict[int, NDArray[np.float64]] = {}
    failures: dict[int, VideoError] = {}
    workers = min(loading_workers(workers), len(dataset))
    loader = DataLoader(dataset, batch_size=batch_size, num_workers=workers, collate_fn=list)
    with torch.inference_mode():
        for items in track(loader, len(loader), "predicting", "batches"):
            failures |= {place: item for place, item in items if isinstance(item, VideoError)}
            good = [(place, item) for place, item in items if not isinstance(item, VideoError)]
            if not good:
                continue
            images = {name: torch.stack([item[view] for _, item in good]) for view, name in enumerate(inputs)}
            parts = [
                _member_scores(m, images[m.recipe.input.model_dump_json()], device) * m.weight for m in models.members
            ]
            rows = np.sum(parts, axis=0)
            if models.exclusive_threshold is not None:
                rows = apply_exclusive(rows, models.taxonomy, models.exclusive_threshold)
            scores |= dict(zip((place for place, _ in good), rows, strict=True))
    return scores, failures


def _member_scores(member: Member, images: Tensor, device: torch.device) -> NDArray[np.float64]:
    """Mean probability over a member's folds, (videos, classes)."""
    training = member.recipe.training
    images = images_to(images, device, training.channels_last)
    with autocast(device, training.precision):
        each = [network(images).float().sigmoid().double() for network in member.networks]
    mean: NDArray[np.float64] = torch.stack(each).mean(0).cpu().numpy()
    return mean


def _write_failures(out: Path, failures: dict[str, str]) -> None:
    path = out.with_suffix(".failures.csv")
    if failures:
        write_csv(path, ["video", "reason"], failures.items())
    else:
        path.unlink(missing_ok=True)
