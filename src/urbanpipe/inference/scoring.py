"""A recipe's network, and what it says of videos: used by training to judge itself and by prediction."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from urbanpipe.errors import VideoError
from urbanpipe.inference.prediction import VideoPrediction
from urbanpipe.inputs.batches import Batch
from urbanpipe.inputs.config import InputConfig, SuperImageConfig, VideoConfig
from urbanpipe.methods.recipe import Recipe
from urbanpipe.models.bag import BagClassifier
from urbanpipe.models.device import autocast, images_to
from urbanpipe.models.network import Network

_AXIS = {"horizontal": -1, "vertical": -2}


@dataclass
class _Waiting:
    """What was seen so far of a video of which more is to come: [network][part], and the parts' seconds."""

    seen: list[list[Tensor]]
    seconds: list[NDArray[np.float64]]


def predict_batches(
    recipe: Recipe, networks: Sequence[Network], batches: Iterable[Batch], device: torch.device
) -> Iterator[tuple[int, list[VideoPrediction] | VideoError]]:
    """What networks say of each video once all its segments have come, as (index, one for each network or the error).

    Of a video only what `aggregate` needs is kept, a few numbers a segment, so memory does not grow with its pixels.
    """
    for network in networks:
        network.eval()
    eyes = _eyes(networks)
    waiting: dict[int, _Waiting] = {}
    for batch in batches:
        for index, error in batch.failures:
            waiting.pop(index, None)
            yield index, error
        if not batch.samples:
            continue
        first = {eye: place for place, eye in enumerate(dict.fromkeys(eyes))}
        seen = encode(recipe, [networks[eye] for eye in first], batch, device)
        parts = [tuple(sample[first[eye]] for eye in eyes) for sample in seen]
        spans = np.split(batch.seconds, np.cumsum(batch.counts)[:-1])
        for index, part, span, whole in zip(batch.samples, parts, spans, batch.whole, strict=True):
            held = waiting.setdefault(index, _Waiting([[] for _ in networks], []))
            for tensors, tensor in zip(held.seen, part, strict=True):
                tensors.append(tensor)
            held.seconds.append(span)
            if whole:
                done = waiting.pop(index)
                yield index, aggregate(recipe, networks, done.seen, np.concatenate(done.seconds), device)


def _eyes(networks: Sequence[Network]) -> list[int]:
    """For each network the first that sees the same: bags of one frozen backbone need its features once."""
    eyes: list[int] = []
    for number, network in enumerate(networks):
        alike = (earlier for earlier in dict.fromkeys(eyes) if _sees_alike(networks[earlier], network))
        eyes.append(next(alike, number))
    return eyes


def _sees_alike(one: Network, other: Network) -> bool:
    if not isinstance(one, BagClassifier) or not isinstance(other, BagClassifier):
        return False
    first, second = one.backbone.state_dict(), other.backbone.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


@torch.inference_mode()
def encode(recipe: Recipe, networks: Sequence[Network], batch: Batch, device: torch.device) -> list[tuple[Tensor, ...]]:
    """What each network sees of each sample: [sample][network]."""
    images = images_to(batch.images, device, recipe.training.channels_last)
    views = [images.flip(axes) if axes else images for axes in mirrored(recipe.input)]
    with autocast(device, recipe.training.precision):
        seen = [
            torch.stack([network.encode(view, batch.real).float() for view in views]).mean(0) for network in networks
        ]
    return [*zip(*(torch.split(each, batch.counts) for each in seen), strict=True)]


def mirrored(config: InputConfig) -> list[tuple[int, ...]]:
    """The axes of an input along which each view of it is mirrored that is judged; first none of them."""
    flips = config.test_flips if isinstance(config, SuperImageConfig | VideoConfig) else ()
    return [(), *((_AXIS[flip],) for flip in flips)]


@torch.inference_mode()
def aggregate(
    recipe: Recipe,
    networks: Sequence[Network],
    seen: Sequence[Sequence[Tensor]],
    seconds: NDArray[np.float64],
    device: torch.device,
) -> list[VideoPrediction]:
    """What each network says of a video.

    Args:
        recipe: of the networks.
        networks: on the device.
        seen: what each saw of the video's segments, in parts: [network][part], as `encode` gives it.
        seconds: begin and end of all segments, (segments, 2).
        device: of the networks.
    """
    concluded = []
    for network, parts in zip(networks, seen, strict=True):
        with autocast(device, recipe.training.precision):
            video, segments = network.aggregate(torch.cat([*parts]), torch.from_numpy(seconds).to(device))
        concluded.append(VideoPrediction(video.cpu().numpy(), segments.cpu().numpy(), seconds))
    return concluded
