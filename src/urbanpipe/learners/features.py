"""Features of frozen networks: each frame encoded once for all folds, heads and validations, and kept on disk.

The store is the frame cache: an entry is all features of a video, under the content of the network and of the video.
"""

import hashlib
import json
from collections.abc import Iterator
from importlib.metadata import version

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from urbanpipe.inputs.dataset import VideoDataset
from urbanpipe.inputs.loading import BatchLoader, evaluation_batches
from urbanpipe.inputs.reading import frame_timeline_of, unchanged
from urbanpipe.learners.config import RecipeSettings
from urbanpipe.models.device import autocast, images_to
from urbanpipe.models.distributed import DistributedContext
from urbanpipe.models.network import Network
from urbanpipe.progress import track

VERSION = b"upfeatures1"  # raise it when the same network and video give other features


def encoded(
    network: Network, dataset: VideoDataset, recipe: RecipeSettings, distributed: DistributedContext
) -> Iterator[tuple[int, Tensor]]:
    """What a frozen network sees of each video that is this process's, those from the store first.

    Args:
        network: on the device; its backbone alone matters.
        dataset: the videos; with its cache goes the store.
        recipe: precision, memory layout, loading distributed, segments at once.
        processes: those that share the videos.

    Yields:
        (index, features (frames, width), float32, on the CPU).

    Raises:
        VideoError: a video can no longer be read.
    """
    store = FeatureStore(dataset, network, recipe, distributed.device) if dataset.cache else None
    counts = [dataset.segment_count(index) for index in range(len(dataset))]
    for index in range(distributed.rank, len(dataset), distributed.count):
        if store and (found := store.read(index)) is not None:
            counts[index] = 0
            yield index, torch.from_numpy(found)
    for index, features in _encode(network, dataset, counts, recipe, distributed):
        if store:
            store.write(index, features.numpy())
        yield index, features


def _encode(
    network: Network, dataset: VideoDataset, counts: list[int], recipe: RecipeSettings, distributed: DistributedContext
) -> Iterator[tuple[int, Tensor]]:
    """The same of the videos that have a count of frames, from their pixels."""
    training, device = recipe.training, distributed.device
    batches = evaluation_batches(
        counts, training.batch_size * recipe.input.train_segments, distributed.count, distributed.rank
    )
    if not batches:
        return
    loader = BatchLoader(dataset, batches, training.workers, pin=device.type == "cuda")
    shown = track(loader, len(batches), f"{recipe.name}: encoding frames", "batches") if distributed.is_main else loader
    parts: dict[int, list[Tensor]] = {}
    for batch in shown:
        if batch.failures:
            raise batch.failures[0][1]
        images = images_to(torch.from_numpy(batch.images), device, training.channels_last)
        with torch.inference_mode(), autocast(device, training.precision):
            features = network.encode(images, torch.from_numpy(batch.real)).float().cpu()
        each = zip(batch.samples, torch.split(features, batch.counts), batch.whole, strict=True)
        for index, part, whole in each:
            parts.setdefault(index, []).append(part)
            if whole:
                yield index, torch.cat(parts.pop(index))


class FeatureStore:
    """Features of a data set's videos by one network.

    Args:
        dataset: the videos, with a cache.
        network: whose backbone makes the features.
        recipe: input, precision and memory layout.
        device: that computes them.
    """

    def __init__(self, dataset: VideoDataset, network: Network, recipe: RecipeSettings, device: torch.device) -> None:
        assert dataset.cache is not None
        self._dataset, self._cache, self._width = dataset, dataset.cache, network.backbone.pooled_width
        self._jpeg_quality = bytes([dataset.cache.quality])
        self._encoder = encoder_digest(network, recipe, device)

    def read(self, index: int) -> NDArray[np.float32] | None:
        """Features (frames, width) of a video; None where they are not there.

        Raises:
            VideoError: the video is gone, or no longer the one that was scanned.
        """
        unchanged(video := self._dataset.videos[index], self._cache)
        content = self._cache.read(self._key(index)) if video.digest else None
        if content is None:
            return None
        return np.frombuffer(bytearray(content), np.float32).reshape(-1, self._width)

    def write(self, index: int, features: NDArray[np.float32]) -> None:
        """Keep the features (frames, width) of a video that has a digest."""
        if self._dataset.videos[index].digest:
            self._cache.write(self._key(index), np.ascontiguousarray(features, np.float32).tobytes())

    def _key(self, index: int) -> bytes:
        video = self._dataset.videos[index]
        frames = self._dataset.view.evaluation_sample(frame_timeline_of(video)).frames
        return b"\0".join(
            (VERSION, self._encoder, self._jpeg_quality, video.digest.encode(), frames.astype("<i8").tobytes())
        )


def encoder_digest(network: Network, recipe: RecipeSettings, device: torch.device) -> bytes:
    """What decides a feature beside the pixels: the backbone with its content, the input, and what computes it."""
    backbone = network.backbone
    parts = [
        [recipe.model.backbone, recipe.model.options, backbone.mean, backbone.std],
        recipe.input.pixels(),
        [recipe.training.precision, recipe.training.channels_last, device.type],
        [version("torch"), version("timm")],
    ]
    digest = hashlib.blake2b(json.dumps(parts).encode(), digest_size=16)
    for name, tensor in backbone.state_dict().items():
        digest.update(name.encode() + str(tensor.dtype).encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.digest()
