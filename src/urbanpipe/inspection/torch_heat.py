"""Heat maps by Grad-CAM, which needs torch."""

import numpy as np
import torch
from numpy.typing import NDArray

from urbanpipe.errors import OutOfMemoryError
from urbanpipe.explain.explain import frame_maps
from urbanpipe.explain.network import Explained
from urbanpipe.inference.members import Member
from urbanpipe.inference.torch_runtime import TorchRuntime
from urbanpipe.inputs.frame_maps import Maps
from urbanpipe.models.device import images_to
from urbanpipe.models.layers import choose_layer, layout_of, noise
from urbanpipe.taxonomy import Taxonomy


class TorchHeat:
    """Grad-CAM of a member's first network. See `inspection.heat_maker.HeatMaker`.

    Args:
        member: the member, whose networks run in torch.
        taxonomy: the classes.
        device: device of the network.
    """

    def __init__(self, member: Member, taxonomy: Taxonomy, device: str) -> None:
        runtime, config = member.runtimes[0], member.recipe.input
        assert isinstance(runtime, TorchRuntime), "a bundle has one runtime"
        self._device, self._channels_last = torch.device(device), member.recipe.training.channels_last
        self._loaded = Explained(member.recipe, taxonomy, runtime.network, None, ())
        self._layout = layout_of(runtime.network.backbone.net, config.backbone_size)
        image = self._placed(noise(config))
        self._layer = choose_layer(runtime.network, self._layout, image, None, config.tile_grid)

    def maps(self, image: NDArray[np.uint8], real: int, label: int) -> Maps:
        """Return raw, non-negative maps (real, h, w)."""
        placed = self._placed(torch.from_numpy(image))
        try:
            return frame_maps(self._loaded, self._layer, self._layout, image=placed, real=real, index=label)
        except torch.OutOfMemoryError as error:
            raise OutOfMemoryError(f"out of memory on {self._device}") from error

    def forget(self) -> None:
        """Keep nothing."""

    def _placed(self, image: torch.Tensor) -> torch.Tensor:
        return images_to(image, self._device, self._channels_last)
