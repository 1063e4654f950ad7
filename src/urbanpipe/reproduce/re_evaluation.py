"""Re-evaluation of trained networks, with other evaluation settings or on other videos."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from urbanpipe.catalog.catalog_file import Video
from urbanpipe.contracts.predictions import Predictions, read_predictions, write_predictions
from urbanpipe.contracts.run_folder import DONE, WEIGHTS, read_json
from urbanpipe.errors import RunError
from urbanpipe.inference.torch_runtime import load_network
from urbanpipe.inputs.dataset import VideoDataset
from urbanpipe.locks import folder_lock
from urbanpipe.methods.recipe import Recipe
from urbanpipe.models.distributed import DistributedContext
from urbanpipe.outputs import remove, write_json
from urbanpipe.taxonomy import Taxonomy
from urbanpipe.training.evaluation_pass import predict_all
from urbanpipe.video.cache import FrameCache

PREDICTED = "predicted.json"


def re_evaluate(
    run: Path,
    recipe: Recipe,
    out: Path,
    *,
    videos: Mapping[int, Sequence[Video]],
    taxonomy: Taxonomy,
    distributed: DistributedContext,
    cache: FrameCache | None,
) -> None:
    """Predict videos with the networks of a run's folds; predictions with the same networks and settings are kept.

    Another call in the same folder is waited for, fold by fold.

    Args:
        run: a cross-validation with finished folds.
        recipe: the recipe of the run with other evaluation settings.
        out: output folder for `fold<k>/predictions.json`.
        videos: videos to predict with the network of each fold.
        taxonomy: the classes.
        distributed: the processes that share the videos.
        cache: frame cache, or None.

    Raises:
        VideoError: a video cannot be read.
        RunError: a network is damaged.
    """
    for fold, of_fold in videos.items():
        folder = out / f"fold{fold}"
        with folder_lock(folder, wait=True) if distributed.is_main else nullcontext():
            _predict_fold(
                run / f"fold{fold}" / WEIGHTS,
                recipe,
                folder,
                videos=of_fold,
                taxonomy=taxonomy,
                distributed=distributed,
                cache=cache,
            )


def _predict_fold(
    weights: Path,
    recipe: Recipe,
    folder: Path,
    *,
    videos: Sequence[Video],
    taxonomy: Taxonomy,
    distributed: DistributedContext,
    cache: FrameCache | None,
) -> None:
    path = folder / PREDICTED
    asked = {"by": distributed.on_main(partial(_fingerprint, weights, recipe, videos))}
    if distributed.on_main(partial(_read_predicted, path)) == asked:
        return
    distributed.log(f"{folder.parent.name} {folder.name}: predicting {len(videos)} videos")
    network = load_network(weights, recipe, taxonomy, distributed.device)
    dataset = VideoDataset(videos, recipe.view, cache)
    (predictions,) = predict_all(recipe, [network], dataset, distributed)
    if distributed.is_main:
        remove(path)  # it would describe other networks or settings than the new predictions
        table = Predictions(tuple(video.name for video in videos), np.stack([video.scores for video in predictions]))
        write_predictions(table, folder / "predictions.json", taxonomy)
        write_json(path, asked)
    distributed.from_main(None)  # a barrier: no process reads the predictions before they are written


def _read_predicted(path: Path) -> dict[str, Any]:
    return read_json(path) if path.exists() else {}


def _fingerprint(weights: Path, recipe: Recipe, videos: Sequence[Video]) -> str:
    settings = recipe.input.model_dump_json() + recipe.model.model_dump_json() + recipe.training.precision
    digest = hashlib.blake2b(settings.encode(), digest_size=16)
    digest.update(hashlib.blake2b(weights.read_bytes()).digest())
    for video in videos:
        digest.update(f"{video.name} {video.digest}\n".encode())
    return digest.hexdigest()


def read_fold(folder: Path, fold: int, taxonomy: Taxonomy) -> Predictions:
    """Read the predictions of a fold's network, from training or re-evaluation.

    Raises:
        RunError: the fold is not finished.
    """
    part = folder / f"fold{fold}"
    if not (part / DONE).exists() and not (part / PREDICTED).exists():
        raise RunError(f"{part} is not finished; run the same command again")
    return read_predictions(part / "predictions.json", taxonomy)
