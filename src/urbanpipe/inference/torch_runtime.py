"""Networks that run in torch."""

from collections.abc import Sequence
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from urbanpipe.errors import OutOfMemoryError, RunError, UrbanpipeError
from urbanpipe.inference.prediction import VideoPrediction
from urbanpipe.inference.runtime import Encoded, Runtime
from urbanpipe.learners.config import RecipeSettings
from urbanpipe.methods.recipe import Recipe
from urbanpipe.models.device import autocast, images_to, place
from urbanpipe.models.layers import Layout, early_layers, first_tensor, layout_of, noise
from urbanpipe.models.limited_size import limited_size
from urbanpipe.models.network import Network
from urbanpipe.models.weights_file import check_finite
from urbanpipe.taxonomy import Taxonomy


def load_network(file: Path, recipe: Recipe, taxonomy: Taxonomy, device: torch.device) -> Network:
    """Return a trained network in evaluation mode.

    The network must fit the weights: what a recipe from an untrusted source asks for is not allocated beyond that.

    Raises:
        RunError: the weights are damaged or belong to another recipe.
        WeightsError: the weights have NaN or infinite values.
        RecipeError: the recipe does not describe a network.
    """
    try:
        state = load_file(file)
        with limited_size(sum(tensor.numel() for tensor in state.values())):
            network = recipe.network(len(taxonomy))
        network.load_state_dict(state)
        check_finite(state, file)
    except UrbanpipeError:
        raise
    except Exception as error:  # torch and timm raise any type for options that make no network
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise RunError(f"{file} is damaged or belongs to another recipe: {reason}") from error
    place(network, recipe.training.channels_last, device)
    return network.eval()


class TorchRuntime:
    """Runs a network in torch, with the precision and memory layout of its recipe. See `inference.runtime.Runtime`.

    Args:
        network: network on the device; it is set to evaluation mode.
        recipe: recipe of the network.
        device: device of the network.
    """

    def __init__(self, network: Network, recipe: RecipeSettings, device: torch.device) -> None:
        self.network, self.recipe, self.device = network.eval(), recipe, device

    def shares_encoder(self, other: Runtime) -> bool:
        """Return whether both have the same frozen backbone."""
        return isinstance(other, TorchRuntime) and self.network.shares_encoder(other.network)

    @torch.inference_mode()
    def encode(self, images: NDArray[np.uint8], real: NDArray[np.int64], observe: bool = False) -> Encoded:
        """Encode segments, averaged over the mirrored views of the recipe.

        Raises:
            OutOfMemoryError: the device is out of memory.
        """
        training = self.recipe.training
        placed = images_to(torch.from_numpy(images), self.device, training.channels_last)
        views = [placed.flip(axes) if axes else placed for axes in self.recipe.input.flip_axes]
        count = torch.from_numpy(real)
        early = EarlyStatistics(self.network, *self.early_layers) if observe else None
        try:
            with early or nullcontext(), autocast(self.device, training.precision):
                features = torch.stack([self.network.encode(view, count).float() for view in views]).mean(0)
        except torch.OutOfMemoryError as error:
            raise OutOfMemoryError(f"out of memory on {self.device}") from error
        observed = (early.mean() * len(images)).cpu().numpy() if early else None
        return Encoded(features.cpu().numpy(), observed)

    @torch.inference_mode()
    def aggregate(self, features: NDArray[np.float32], seconds: NDArray[np.float64]) -> VideoPrediction:
        """Return the prediction for a video."""
        encoded, spans = (torch.from_numpy(array).to(self.device) for array in (features, seconds))
        with autocast(self.device, self.recipe.training.precision):
            video, segments = self.network.aggregate(encoded, spans)
        return VideoPrediction(video.cpu().numpy(), segments.cpu().numpy(), seconds)

    @cached_property
    def early_layers(self) -> tuple[Layout, list[str]]:
        """Layout of the backbone, and the names of the layers that end its stem and first stages."""
        config = self.recipe.input
        layout = layout_of(self.network.backbone.net, config.backbone_size)
        image = images_to(noise(config), self.device, self.recipe.training.channels_last)
        return layout, early_layers(self.network, layout, image)


def load_runtimes(
    files: Sequence[Path], recipe: Recipe, taxonomy: Taxonomy, device: torch.device
) -> tuple[TorchRuntime, ...]:
    """Return one runtime per weight file.

    Raises:
        RunError: weights are damaged or belong to another recipe.
    """
    return tuple(TorchRuntime(load_network(file, recipe, taxonomy, device), recipe, device) for file in files)


class EarlyStatistics:
    """Records statistics of the outputs of a network's early layers while the block runs.

    Args:
        network: the network.
        layout: layout of its backbone.
        layers: names of layers that have a map.
    """

    def __init__(self, network: Network, layout: Layout, layers: Sequence[str]) -> None:
        self.layout = layout
        self.modules = [network.backbone.net.get_submodule(layer) for layer in layers]
        self.recorded: dict[nn.Module, Tensor] = {}

    def __enter__(self) -> None:
        self.recorded.clear()
        self.handles = [module.register_forward_hook(self._record) for module in self.modules]

    def __exit__(self, *_: object) -> None:
        for handle in self.handles:
            handle.remove()

    def _record(self, module: nn.Module, _inputs: Any, output: Any) -> None:
        """Record mean and standard deviation over positions, (maps, 2, channels), of the first of mirrored views."""
        if module in self.recorded:
            return
        maps = self.layout.maps(first_tensor(output))
        assert maps is not None, "the layer was chosen for its map"
        positions = maps.float().movedim(1, -1).flatten(1, -2)  # torch.std_mean takes seven times as long as two steps
        mean = positions.mean(1, keepdim=True)
        deviation = (positions - mean).square_().mean(1, keepdim=True).sqrt()
        self.recorded[module] = torch.cat([mean, deviation], dim=1)

    def mean(self) -> Tensor:
        """Return the mean over segments of mean and standard deviation of the channels of all layers, (2, channels).

        If a layer has several maps per segment, such as one per frame of a clip, they are averaged.
        """
        return torch.cat([self.recorded[module].double().mean(0) for module in self.modules], dim=1)
