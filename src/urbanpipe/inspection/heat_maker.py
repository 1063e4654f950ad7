"""Heat maps of buffered segments, by whatever runs the network."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from urbanpipe.inference.bundle import Bundle
from urbanpipe.inference.choose_runtime import GRAPHS
from urbanpipe.inference.graph_runtime import GraphRuntime
from urbanpipe.inference.members import Member
from urbanpipe.inputs.config import InputConfig
from urbanpipe.inputs.frame_maps import Maps, of_frames


class HeatMaker(Protocol):
    """Computes where in the frames of a segment a network detects a class."""

    def maps(self, image: NDArray[np.uint8], real: int, label: int) -> Maps:
        """Return raw, non-negative maps (real, h, w) of the frames that are not padding.

        Args:
            image: the segment in the shape of the view, (1, ...).
            real: number of its frames that are not padding.
            label: index of the class.

        Raises:
            OutOfMemoryError: the device is out of memory.
        """

    def forget(self) -> None:
        """Forget what was kept of the previous video."""


class NoHeat:
    """Maps of zeros, for runtimes that have none. See `HeatMaker`."""

    def maps(self, image: NDArray[np.uint8], real: int, label: int) -> Maps:
        """Return zeros (real, 1, 1)."""
        del image, label
        return np.zeros((real, 1, 1), np.float32)

    def forget(self) -> None:
        """Keep nothing."""


class GraphHeat:
    """Maps that an exported graph computes. See `HeatMaker` and `GraphRuntime.class_maps`.

    Args:
        runtime: the network; its graph has maps.
        config: the input config of its method.
    """

    def __init__(self, runtime: GraphRuntime, config: InputConfig) -> None:
        self._runtime, self._config = runtime, config
        self._of_all_classes: dict[int, tuple[NDArray[np.uint8], Maps]] = {}

    def maps(self, image: NDArray[np.uint8], real: int, label: int) -> Maps:
        """Return raw, non-negative maps (real, h, w); classes that ask for the same segment share a run."""
        if id(image) not in self._of_all_classes:  # the image is kept, so that its id is not used again
            self._of_all_classes[id(image)] = image, self._runtime.class_maps(image, real)
        return of_frames(self._of_all_classes[id(image)][1][:, label], self._config)[:real]

    def forget(self) -> None:
        """Forget the maps of the previous video."""
        self._of_all_classes.clear()


def heat_maker(member: Member, bundle: Bundle) -> HeatMaker:
    """Return what makes the heat maps of a member's first network."""
    runtime = member.runtimes[0]
    if bundle.runtime == "torch":
        from urbanpipe.inspection.torch_heat import TorchHeat

        return TorchHeat(member, bundle.models.taxonomy, bundle.device)
    if bundle.runtime in GRAPHS and isinstance(runtime, GraphRuntime) and runtime.has_maps:
        return GraphHeat(runtime, member.recipe.input)
    return NoHeat()
