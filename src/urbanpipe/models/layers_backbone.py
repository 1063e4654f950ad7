"""An image backbone whose features are statistics of its last feature maps."""

import inspect
from collections.abc import Callable
from typing import Any

import timm
import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode

from urbanpipe.errors import RecipeError
from urbanpipe.models.backbone import Backbone
from urbanpipe.models.config import ModelConfig

_CHANNELS: dict[tuple[str, tuple[int, int], int], list[int]] = {}  # it takes half a second to find them
_LEAST_VARIANCE = 1e-12  # the square root has no gradient at 0


class LayersBackbone(Backbone):
    """A backbone whose `pooled` is the mean and the standard deviation of its last feature maps over the positions.

    The last layers of a pretrained network are specific to the classes of its pretraining; where those are far from
    the classes wanted, earlier layers have more to say (Head2Toe, arXiv 2201.03529). The feature maps are those of
    timm's `forward_intermediates`: stages of a convolutional network, all parts of `blocks` in EfficientNet and
    MobileNet, blocks of a Transformer without class and register tokens.

    Args:
        config: name and options.
        image_size: width and height of the inputs.
        layers: number of feature maps, at least 1.

    Raises:
        RecipeError: as for `Backbone`; or the network has fewer feature maps, or timm cannot return them.
    """

    def __init__(self, config: ModelConfig, image_size: tuple[int, int], layers: int) -> None:
        super().__init__(config, image_size)
        forward: Callable[..., Any] | None = getattr(self.net, "forward_intermediates", None)
        if forward is None:
            raise RecipeError(f"input.layers = {layers}: timm returns no feature maps of {config.backbone}; use 0")
        self.layers = layers
        self._options = {"extra_blocks": True} if "extra_blocks" in inspect.signature(forward).parameters else {}
        key = (config.model_dump_json(), image_size, layers)
        if key not in _CHANNELS:
            _CHANNELS[key] = self._channels(image_size)
        self.pooled_width = 2 * sum(_CHANNELS[key])

    def pooled(self, images: Tensor) -> Tensor:
        """Return features (batch, pooled_width) of normalised images: the means of all maps, then the deviations."""
        maps = [found.float().flatten(2) for found in self._maps(images)]
        deviations = [found.var(2, correction=0).clamp_min(_LEAST_VARIANCE).sqrt() for found in maps]
        return torch.cat([*(found.mean(2) for found in maps), *deviations], 1)

    def _maps(self, images: Tensor) -> list[Tensor]:
        """Return the last feature maps, (batch, channels, height, width) each."""
        found: list[Tensor] = self.net.forward_intermediates(
            images, indices=self.layers, intermediates_only=True, **self._options
        )
        return found

    def _channels(self, image_size: tuple[int, int]) -> list[int]:
        """Return the channels of each feature map, without computing them.

        Raises:
            RecipeError: there are fewer feature maps.
        """
        width, height = image_size
        training = self.net.training
        self.net.eval()
        try:
            with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
                return [found.shape[1] for found in self._maps(torch.empty(1, 3, height, width))]
        except AssertionError as error:
            name = type(self.net).__name__
            raise RecipeError(f"input.layers = {self.layers}: {name} has fewer feature maps: {error}") from error
        finally:
            self.net.train(training)


def feature_map_count(backbone: str) -> int:
    """Return how many feature maps a network has at least, by its timm name; 0 if timm cannot return them."""
    with torch.device("meta"):
        net = timm.create_model(backbone, pretrained=False, num_classes=0)
    return len(net.feature_info) if hasattr(net, "forward_intermediates") else 0
