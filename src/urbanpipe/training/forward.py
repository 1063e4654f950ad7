"""A recipe's network, and what it says of videos: used by training to judge itself and by prediction."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from urbanpipe.models.classifier import ImageClassifier
from urbanpipe.taxonomy import Taxonomy
from urbanpipe.training.data import VideoDataset, judging_batches, make_loader
from urbanpipe.training.processes import Processes
from urbanpipe.training.recipe import Recipe

MODELS = {"super-image": ImageClassifier}
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def build_model(recipe: Recipe, taxonomy: Taxonomy) -> ImageClassifier:
    """The network of the recipe's method with random weights, on the CPU."""
    return MODELS[recipe.input.method](recipe.model, recipe.input.image_size, len(taxonomy))


def place(model: nn.Module, recipe: Recipe, device: torch.device) -> None:
    """Move a network to its device and memory layout."""
    model.to(device)
    if recipe.training.channels_last:
        model.to(memory_format=torch.channels_last)


def predict_scores(
    recipe: Recipe, networks: Sequence[nn.Module], dataset: VideoDataset, processes: Processes
) -> NDArray[np.float64]:
    """Probabilities (networks, videos, classes) of a data set read once, the videos shared among the processes.

    Raises:
        VideoError: a video cannot be read.
    """
    for network in networks:
        network.eval()
    device = processes.device
    batches = judging_batches(len(dataset), recipe.training.batch_size, processes.count, processes.rank)
    mine: dict[int, NDArray[np.float64]] = {}
    with torch.inference_mode():
        for batch in make_loader(dataset, batches, recipe.training.workers, pin=device.type == "cuda"):
            if batch.failures:
                raise batch.failures[0][1]
            images = images_to(batch.images, device, recipe.training.channels_last)
            with autocast(device, recipe.training.precision):
                logits = torch.stack([network(images).float() for network in networks], dim=1)
            mine |= dict(zip(batch.indices, logits.sigmoid().double().cpu().numpy(), strict=True))
    scores = {index: rows for part in processes.gather(mine) for index, rows in part.items()}
    return np.stack([scores[index] for index in range(len(dataset))], axis=1)


def images_to(images: Tensor, device: torch.device, channels_last: bool) -> Tensor:
    """Images on the device, in the network's memory layout."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return images.to(device, non_blocking=True, memory_format=layout)


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Mixed precision of the recipe."""
    return torch.autocast(device.type, PRECISIONS[precision], enabled=precision != "fp32")
