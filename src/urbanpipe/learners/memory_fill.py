"""A feature memory filled with what a network sees of a training set, the work shared among the processes of a run."""

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

TOLD_AT_ONCE = 1 << 15  # features that processes send each other at once


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
    """Encode every segment of a training set once; afterwards all processes have the same memory.

    Args:
        memory: of this process; overwritten.
        network: whose `encode` makes the features, in evaluation mode while it does.
        dataset: the training set.
        recipe: precision, memory layout, loading processes.
        processes: those that share the videos.
        step: at which this is done.
        at_once: segments at once.

    Raises:
        VideoError: a video can no longer be read.
        RunError: a feature is no number.
    """
    training, device = recipe.training, distributed.device
    was_training, _ = network.training, network.eval()
    segments = [dataset.segment_count(index) for index in range(len(dataset))]
    batches = evaluation_batches(segments, at_once, distributed.count, distributed.rank)
    loader = BatchLoader(dataset, batches, training.workers, pin=device.type == "cuda")
    said = track(loader, len(batches), "filling the feature memory", "batches")
    with torch.inference_mode():
        for batch in said if distributed.is_main else loader:
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
    """Tell the other processes what this one has written; all take it over by rank, so that all end the same."""
    if distributed.count == 1:
        return
    rounds = max(distributed.gather(math.ceil(memory.dirty / TOLD_AT_ONCE)))
    for _ in range(rounds):
        for written in distributed.gather(memory.export_updates(TOLD_AT_ONCE)):
            memory.apply_updates(*written)
