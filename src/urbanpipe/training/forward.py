"""A recipe's network, and what it says of videos: used by training to judge itself and by prediction."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from urbanpipe.errors import RecipeError, RunError, VideoError
from urbanpipe.evaluation.pieces import Pieces
from urbanpipe.inputs.config import BagConfig, DenseConfig, FrameConfig, InputConfig, SuperImageConfig, VideoConfig
from urbanpipe.models.backbone import Backbone
from urbanpipe.models.bag import BagClassifier
from urbanpipe.models.classifier import PieceClassifier
from urbanpipe.models.dense import DenseClassifier
from urbanpipe.models.video import VideoBackbone, is_video_backbone
from urbanpipe.taxonomy import Taxonomy
from urbanpipe.training.data import Batch
from urbanpipe.training.recipe import Recipe

Network = PieceClassifier | DenseClassifier | BagClassifier
_AXIS = {"horizontal": -1, "vertical": -2}
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def build_model(recipe: Recipe, taxonomy: Taxonomy) -> Network:
    """The network of the recipe's method with random weights, on the CPU.

    Raises:
        RecipeError: the backbone is not known, or is not of the kind that the method needs.
    """
    config, classes = recipe.input, len(taxonomy)
    of_clips = isinstance(config, VideoConfig) or (isinstance(config, DenseConfig) and config.encoder == "video")
    if is_video_backbone(recipe.model.backbone) != of_clips:
        wanted = "a network of clips" if of_clips else "an image network"
        raise RecipeError(f"model.backbone = {recipe.model.backbone!r}: this input needs {wanted}")
    backbone = (
        VideoBackbone(recipe.model, config.frame_size, config.frames)
        if of_clips
        else Backbone(recipe.model, config.image_size)
    )
    if isinstance(config, DenseConfig):
        return DenseClassifier(backbone, recipe.dense, classes)
    if isinstance(config, BagConfig):
        assert isinstance(backbone, Backbone)
        return BagClassifier(backbone, recipe.bag, classes)
    return PieceClassifier(
        recipe.model, backbone, classes, config.pooling if isinstance(config, FrameConfig) else "mean"
    )


def place(model: nn.Module, recipe: Recipe, device: torch.device) -> None:
    """Move a network to its device and memory layout."""
    model.to(device)
    if recipe.training.channels_last:
        for module in model.modules():  # weights of 3-D convolutions have no such layout
            if isinstance(module, nn.Conv2d):
                module.to(memory_format=torch.channels_last)


def load_network(file: Path, recipe: Recipe, taxonomy: Taxonomy, device: torch.device) -> Network:
    """A trained network, ready to judge.

    Raises:
        RunError: the weights are damaged or of another recipe.
    """
    model = build_model(recipe, taxonomy)
    try:
        model.load_state_dict(load_file(file))
    except (SafetensorError, RuntimeError, OSError) as error:
        raise RunError(f"{file} is damaged or not of its recipe: {str(error).splitlines()[0]}") from error
    place(model, recipe, device)
    return model.eval()


@dataclass(frozen=True, eq=False)
class Judged:
    """What a network says of a video.

    Attributes:
        scores: probabilities (classes,), float64.
        pieces: probabilities (pieces, classes) of what it saw of it at once, float64.
        seconds: begin and end of each piece, (pieces, 2).
    """

    scores: NDArray[np.float64]
    pieces: NDArray[np.float64]
    seconds: NDArray[np.float64]


def pieces_of(names: tuple[str, ...], judged: Sequence[Judged]) -> Pieces:
    """What was said of the pieces of videos, to be written."""
    return Pieces(
        names=names,
        starts=np.cumsum([0, *(len(video.pieces) for video in judged)], dtype=np.int64),
        seconds=np.concatenate([video.seconds for video in judged]),
        scores=np.concatenate([video.pieces for video in judged]),
    )


@dataclass
class _Waiting:
    """What was seen so far of a video of which more is to come: [network][part], and the parts' seconds."""

    seen: list[list[Tensor]]
    seconds: list[NDArray[np.float64]]


def judge(
    recipe: Recipe, networks: Sequence[Network], batches: Iterable[Batch], device: torch.device
) -> Iterator[tuple[int, list[Judged] | VideoError]]:
    """What networks say of each video once all its pieces have come, as (index, one for each network or the error).

    Of a video only what `conclude` needs is kept, a few numbers a piece, so memory does not grow with its pixels.
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
        seen = see(recipe, [networks[eye] for eye in first], batch, device)
        parts = [tuple(sample[first[eye]] for eye in eyes) for sample in seen]
        spans = np.split(batch.seconds, np.cumsum(batch.counts)[:-1])
        for index, part, span, whole in zip(batch.samples, parts, spans, batch.whole, strict=True):
            held = waiting.setdefault(index, _Waiting([[] for _ in networks], []))
            for tensors, tensor in zip(held.seen, part, strict=True):
                tensors.append(tensor)
            held.seconds.append(span)
            if whole:
                done = waiting.pop(index)
                yield index, conclude(recipe, networks, done.seen, np.concatenate(done.seconds), device)


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
def see(recipe: Recipe, networks: Sequence[Network], batch: Batch, device: torch.device) -> list[tuple[Tensor, ...]]:
    """What each network sees of each sample: [sample][network]."""
    images = images_to(batch.images, device, recipe.training.channels_last)
    views = [images.flip(axes) if axes else images for axes in mirrored(recipe.input)]
    with autocast(device, recipe.training.precision):
        seen = [torch.stack([network.see(view, batch.real).float() for view in views]).mean(0) for network in networks]
    return [*zip(*(torch.split(each, batch.counts) for each in seen), strict=True)]


def mirrored(config: InputConfig) -> list[tuple[int, ...]]:
    """The axes of an input along which each view of it is mirrored that is judged; first none of them."""
    flips = config.test_flips if isinstance(config, SuperImageConfig | VideoConfig) else ()
    return [(), *((_AXIS[flip],) for flip in flips)]


@torch.inference_mode()
def conclude(
    recipe: Recipe,
    networks: Sequence[Network],
    seen: Sequence[Sequence[Tensor]],
    seconds: NDArray[np.float64],
    device: torch.device,
) -> list[Judged]:
    """What each network says of a video.

    Args:
        recipe: of the networks.
        networks: on the device.
        seen: what each saw of the video's pieces, in parts: [network][part], as `see` gives it.
        seconds: begin and end of all pieces, (pieces, 2).
        device: of the networks.
    """
    concluded = []
    for network, parts in zip(networks, seen, strict=True):
        with autocast(device, recipe.training.precision):
            video, pieces = network.conclude(torch.cat([*parts]), torch.from_numpy(seconds).to(device))
        concluded.append(Judged(video.cpu().numpy(), pieces.cpu().numpy(), seconds))
    return concluded


def images_to(images: Tensor, device: torch.device, channels_last: bool) -> Tensor:
    """Images on the device, in the network's memory layout."""
    layout = torch.channels_last if channels_last and images.ndim == 4 else torch.contiguous_format
    return images.to(device, non_blocking=True, memory_format=layout)


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Mixed precision of the recipe."""
    return torch.autocast(device.type, PRECISIONS[precision], enabled=precision != "fp32")
