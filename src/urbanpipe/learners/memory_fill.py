"""Filling a feature memory with the features of a training set, divided among the processes of a run."""

import math

import numpy as np
import torch
from torch import Tensor

from urbanpipe.inputs.batches import Batch
from urbanpipe.inputs.dataset import VideoDataset
from urbanpipe.inputs.loading import BatchLoader, evaluation_batches
from urbanpipe.learners.config import RecipeSettings
from urbanpipe.learners.feature_memory import FeatureMemory
from urbanpipe.models.device import autocast, images_to
from urbanpipe.models.distributed import DistributedContext
from urbanpipe.models.network import Network
from urbanpipe.progress import track

TOLD_AT_ONCE = 1 << 15  # features per exchange between processes


def fill(
    memory: FeatureMemory,
    network: Network,
    dataset: VideoDataset,
    *,
    recipe: RecipeSettings,
    distributed: DistributedContext,
    step: int,
    at_once: int,
) -> None:
    """Encode every segment of a training set once; afterwards all processes hold the same memory.

    Args:
        memory: memory of this process; overwritten.
        network: network whose `encode` computes the features, in evaluation mode.
        dataset: the training set.
        recipe: precision, memory layout and loading processes.
        distributed: the processes that share the videos.
        step: current training step.
        at_once: segments per batch.

    Raises:
        VideoError: a video can no longer be read.
        RunError: a feature is not a finite number.
    """
    training, device = recipe.training, distributed.device
    was_training, _ = network.training, network.eval()
    segments = [dataset.segment_count(index) for index in range(len(dataset))]
    batches = evaluation_batches(segments, at_once, distributed.count, distributed.rank)
    loader = BatchLoader(dataset, batches, training.workers, pin=device.type == "cuda")
    tracked = track(loader, len(batches), "filling the feature memory", "batches")
    with torch.inference_mode():
        for batch in tracked if distributed.is_main else loader:
            if batch.failures:
                raise batch.failures[0][1]
            with autocast(device, training.precision):
                features = network.encode(
                    images_to(torch.from_numpy(batch.images), device, training.channels_last),
                    torch.from_numpy(batch.real),
                )
            write_batch(memory, batch, features, step)
    network.train(was_training)
    exchange(memory, distributed)


def write_batch(memory: FeatureMemory, batch: Batch, features: Tensor, step: int) -> None:
    """Write the features (segments, width) of a batch into the rows of its videos."""
    starts = np.cumsum([0, *batch.counts])
    for number, video in enumerate(batch.samples):
        part = slice(starts[number], starts[number + 1])
        memory.write(video, batch.rows[part], features[part], step)


def exchange(memory: FeatureMemory, distributed: DistributedContext) -> None:
    """Exchange updates with the other processes; all apply them in order of rank and end with the same memory."""
    if distributed.count == 1:
        return
    rounds = max(distributed.gather(math.ceil(memory.dirty / TOLD_AT_ONCE)))
    for _ in range(rounds):
        for written in distributed.gather(memory.export_updates(TOLD_AT_ONCE)):
            memory.apply_updates(*written)
