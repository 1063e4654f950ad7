"""Features of frozen networks: each frame is encoded once for all folds, heads and validations, and stored on disk.

The store is the frame cache. An entry holds all features of a video; its key is a digest of the network and the video.
"""

import hashlib
import json
from collections.abc import Iterator
from importlib.metadata import version
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from urbanpipe.inputs.dataset import VideoDataset
from urbanpipe.inputs.loading import BatchLoader, evaluation_batches
from urbanpipe.inputs.reading import frame_timeline_of, unchanged
from urbanpipe.learners.config import RecipeSettings
from urbanpipe.models.backbone import Backbone
from urbanpipe.models.device import autocast, images_to, usable_precision
from urbanpipe.models.distributed import DistributedContext
from urbanpipe.models.video import VideoBackbone
from urbanpipe.progress import track

VERSION = b"upfeatures1"  # raise it when the same network and video give different features


class Encoder(Protocol):
    """The part of a network that turns segments into features; see `models.network.Network`."""

    @property
    def backbone(self) -> Backbone | VideoBackbone:
        """The backbone, whose weights determine the features."""

    def encode(self, images: Tensor, real: Tensor) -> Tensor:
        """Return the features of each segment, (segments, width)."""


def encoded(
    network: Encoder, dataset: VideoDataset, recipe: RecipeSettings, distributed: DistributedContext
) -> Iterator[tuple[int, Tensor]]:
    """Yield the features of the videos of this process, stored ones first.

    Args:
        network: network on the device, of which only the backbone is used.
        dataset: the videos; features are stored if it has a cache.
        recipe: precision, memory layout, loading processes and batch size.
        distributed: the processes that share the videos.

    Yields:
        Index of the video, and features (frames, width), float32, on the CPU.

    Raises:
        VideoError: a video can no longer be read.
    """
    store = FeatureStore(dataset, network, recipe, distributed.device) if dataset.cache else None
    counts = [0] * len(dataset)
    for index in range(distributed.rank, len(dataset), distributed.count):
        if store and (features := store.read(index)) is not None:
            yield index, torch.from_numpy(features)
        else:
            counts[index] = dataset.segment_count(index)
    for index, encoded_features in _encode(network, dataset, counts, recipe, distributed):
        if store:
            store.write(index, encoded_features.numpy())
        yield index, encoded_features


def _encode(
    network: Encoder, dataset: VideoDataset, counts: list[int], recipe: RecipeSettings, distributed: DistributedContext
) -> Iterator[tuple[int, Tensor]]:
    """Encode the videos with a non-zero count of frames; see `encoded`."""
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
        split = torch.split(features, batch.counts)
        for index, part, whole in zip(batch.samples, split, batch.whole, strict=True):
            parts.setdefault(index, []).append(part)
            if whole:
                yield index, torch.cat(parts.pop(index))


class FeatureStore:
    """Features of a data set's videos by one network.

    Args:
        dataset: the videos, with a cache.
        network: the network whose backbone computes the features.
        recipe: input, precision and memory layout.
        device: the device that computes the features.
    """

    def __init__(self, dataset: VideoDataset, network: Encoder, recipe: RecipeSettings, device: torch.device) -> None:
        assert dataset.cache is not None
        self._dataset, self._cache, self._width = dataset, dataset.cache, network.backbone.pooled_width
        self._jpeg_quality = bytes([dataset.cache.quality])
        self._encoder = encoder_digest(network, recipe, device)

    def read(self, index: int) -> NDArray[np.float32] | None:
        """Return the features (frames, width) of a video; None if they are not stored.

        Raises:
            VideoError: the video is missing or has changed since it was scanned.
        """
        unchanged(video := self._dataset.videos[index], self._cache)
        content = self._cache.read(self._key(index)) if video.digest else None
        if content is None:
            return None
        return np.frombuffer(bytearray(content), np.float32).reshape(-1, self._width)

    def holds(self, index: int) -> bool:
        """Return whether the features of a video are stored."""
        return bool(self._dataset.videos[index].digest) and self._cache.has(self._key(index))

    def write(self, index: int, features: NDArray[np.float32]) -> None:
        """Store the features (frames, width) of a video, if the video has a digest."""
        if self._dataset.videos[index].digest:
            self._cache.write(self._key(index), np.ascontiguousarray(features, np.float32).tobytes())

    def _key(self, index: int) -> bytes:
        video = self._dataset.videos[index]
        frames = self._dataset.view.evaluation_sample(frame_timeline_of(video)).frames
        return b"\0".join(
            (VERSION, self._encoder, self._jpeg_quality, video.digest.encode(), frames.astype("<i8").tobytes())
        )


def encoder_digest(network: Encoder, recipe: RecipeSettings, device: torch.device) -> bytes:
    """Return a digest of what features depend on besides the pixels: backbone, weights, input, device and versions."""
    backbone = network.backbone
    parts = [
        [recipe.model.backbone, recipe.model.options, backbone.mean, backbone.std, backbone.layers],
        recipe.input.pixels(),
        [usable_precision(device, recipe.training.precision), recipe.training.channels_last, device.type],
        [version("torch"), version("timm")],
    ]
    digest = hashlib.blake2b(json.dumps(parts).encode(), digest_size=16)
    for name, tensor in backbone.state_dict().items():
        digest.update(name.encode() + str(tensor.dtype).encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.digest()
