"""How long the cross-validation of a recipe will take, from one measured step."""

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from urbanpipe.catalog.catalog_file import Video
from urbanpipe.inputs.dataset import VideoDataset
from urbanpipe.learners.features import FeatureStore
from urbanpipe.methods.recipe import Recipe
from urbanpipe.models.device import autocast, images_to, place
from urbanpipe.models.weights import load_weights
from urbanpipe.training.loop import memory_errors_explained
from urbanpipe.training.run import TRAIN_ONLY
from urbanpipe.video.cache import FrameCache

_PROBE_IMAGES = 16
_PROBE_VIDEOS = 256
_CALLS = 3
_OVERHEAD = 1.3  # for reading, validation and writing


def crossval_seconds(
    recipe: Recipe,
    videos: Sequence[Video],
    folds: Mapping[str, int],
    *,
    classes: int,
    device: torch.device,
    cache: FrameCache | None = None,
) -> float:
    """Return the expected seconds of a cross-validation, from a step that is measured on blank images.

    Args:
        recipe: the recipe, with its aspect resolved.
        videos: labelled videos.
        folds: fold by name of the video; those of `TRAIN_ONLY` are in every training.
        classes: number of classes.
        device: device of the training.
        cache: frame cache, which may have features of frozen networks.

    Raises:
        OutOfMemoryError: memory is too small for the step.
    """
    dataset = VideoDataset(videos, recipe.view, cache)
    is_frozen = recipe.input.frozen_backbone
    to_encode = _share_to_encode(recipe, dataset, classes, device) if is_frozen else 0.0
    if is_frozen and not to_encode:
        return 0.0
    segments = [dataset.segment_count(index) for index in range(len(videos))]
    of_videos = [folds[video.name] for video in videos]
    evaluated = sum(count for count, fold in zip(segments, of_videos, strict=True) if fold != TRAIN_ONLY)
    with memory_errors_explained(recipe, device):
        forward, both = _seconds_per_segment(recipe, classes, device)
    if is_frozen:  # each frame is encoded once for all folds
        return _OVERHEAD * sum(segments) * to_encode * forward
    training, numbers = recipe.training, set(of_videos) - {TRAIN_ONLY}
    trained = sum(fold != number for number in numbers for fold in of_videos)
    steps = training.epochs * trained * recipe.input.train_segments
    validations = -(-training.epochs // training.validate_every) * (2 if training.ema_decay else 1)  # raw weights
    views = validations * len(recipe.input.flip_axes)
    return _OVERHEAD * (steps * both + views * evaluated * forward)


def _share_to_encode(recipe: Recipe, dataset: VideoDataset, classes: int, device: torch.device) -> float:
    """Return the share of some videos, spread over all, whose features by a frozen backbone are not stored."""
    if dataset.cache is None:
        return 1.0
    torch.manual_seed(recipe.training.seed)  # as in training, for random weights
    network = recipe.network(classes)
    load_weights(network.backbone, recipe.model.backbone, recipe.model.weights)
    store = FeatureStore(dataset, network, recipe, device)
    some = np.unique(np.linspace(0, len(dataset) - 1, _PROBE_VIDEOS).round().astype(int)).tolist()
    return sum(not store.holds(index) for index in some) / len(some)


def _seconds_per_segment(recipe: Recipe, classes: int, device: torch.device) -> tuple[float, float]:
    """Return the seconds of a segment's forward pass, and of its forward and backward pass."""
    network, training = recipe.network(classes).train(), recipe.training
    place(network, training.channels_last, device)
    count = min(_PROBE_IMAGES, training.batch_size * recipe.input.train_segments)
    images = images_to(torch.zeros(count, *recipe.input.segment_shape), device, training.channels_last)
    real = torch.ones(count, dtype=torch.int64)

    def forward() -> None:
        with torch.inference_mode(), autocast(device, training.precision):
            network.encode(images, real)

    def both() -> None:
        with autocast(device, training.precision):
            network.segment_logits(images, real).float().sum().backward()  # type: ignore[no-untyped-call]

    once = _fastest_call(forward, device) / count
    return once, once if recipe.input.frozen_backbone else _fastest_call(both, device) / count


def _fastest_call(work: Callable[[], None], device: torch.device) -> float:
    """Return the seconds of the fastest of a few calls after one to warm up; other processes slow some of them down."""
    work()
    return min(_seconds(work, device) for _ in range(_CALLS))


def _seconds(work: Callable[[], None], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started
