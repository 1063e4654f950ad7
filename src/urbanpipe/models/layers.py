"""Which layer of a backbone is looked at, and how its output becomes channels over places."""

import difflib
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.video.mvit import MViT

from urbanpipe.errors import RunError
from urbanpipe.inputs.config import InputConfig
from urbanpipe.models.network import Network

_DEPTH = 2  # names of at most so many parts are tried by themselves: stages, blocks and norms, not what is inside them
_FINE_ENOUGH = 6  # places along a frame's shorter side; see `choose_layer`
_ODDEST = math.log(2)  # rounding up makes maps of other proportions than their input, but not more than this
Size = tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """What must be known of a backbone to read its outputs.

    Attributes:
        size: of its input: (height, width), or (frames, height, width).
        moments: steps of time of its token layers; 1 for images.
        extra_tokens: class and register tokens before those of places.
        channels_last: the backbone says that its maps are; decides where shapes do not.
        in_order: its tokens are row by row. Hiera's are not, and their map would be scrambled.
    """

    size: Size
    moments: int = 1
    extra_tokens: int = 0
    channels_last: bool = False
    in_order: bool = True

    def maps(self, output: Tensor) -> Tensor | None:
        """A layer's output as (N, C, h, w) or (N, C, t, h, w), a view of it; None if it has no map of several places.

        Args:
            output: channels first, channels last, or tokens (N, places, C) row by row.
        """
        if output.ndim == 3:
            return self._of_tokens(output) if self.in_order else None
        if output.ndim != len(self.size) + 2:
            return None
        first, last = self._oddness(output.shape[2:]), self._oddness(output.shape[1:-1])
        if min(first, last) > _ODDEST:
            return None
        is_last = last < first or (last == first and self.channels_last)
        return output.movedim(-1, 1) if is_last else output

    def _oddness(self, shape: Sequence[int]) -> float:
        """How far a map's proportions are from the input's; infinite where it cannot be one, or is a single place."""
        fits = all(0 < found <= whole for found, whole in zip(shape, self.size, strict=True))
        height, width = shape[-2:]
        if not fits or height * width == 1:
            return math.inf
        return abs(math.log(height * self.size[-1] / (width * self.size[-2])))

    def _of_tokens(self, output: Tensor) -> Tensor | None:
        grids = [(grid, extra) for extra in (0, self.extra_tokens) for grid in self._grids(output.shape[1] - extra)]
        if not grids:
            return None
        grid, extra = min(grids, key=lambda found: self._oddness(found[0]))
        if self._oddness(grid) > _ODDEST:
            return None
        return output[:, extra:].reshape(len(output), *grid, -1).movedim(-1, 1)

    def _grids(self, places: int) -> list[Size]:
        each, rest = divmod(places, self.moments)
        if rest or each < 1:
            return []
        time = (self.moments,) if len(self.size) == 3 else ()
        return [(*time, height, each // height) for height in range(1, each + 1) if each % height == 0]


def layout_of(net: nn.Module, size: Size) -> Layout:
    """The layout of a timm or torchvision network whose input is of `size`, as in `Layout`."""
    if isinstance(net, MViT):
        return Layout(size, moments=net.pos_encoding.temporal_size, extra_tokens=1)
    extra = getattr(net, "num_prefix_tokens", 0)
    is_last = getattr(net, "output_fmt", "NCHW") == "NHWC"
    return Layout(size, extra_tokens=extra, channels_last=is_last, in_order=not hasattr(net, "reroll"))


def choose_layer(
    network: Network, layout: Layout, image: Tensor, wanted: str | None, tiles: tuple[int, int] = (1, 1)
) -> str:
    """The name, in the backbone, of the layer to look at: the last one whose map is fine enough and counts.

    Fine enough are 6 places along a frame's shorter side. The paper takes the last map because it says most of classes,
    and has 7 places or more there; of a frame of 64 px the last map has two, which cannot point (docs/explain.md has
    the measurement). Where no map is that fine the last one serves. A map counts if the scores depend on it: not that
    of the last block of a Vision Transformer that classifies its class token.

    Args:
        network: on its device, in evaluation, its parameters without gradients.
        layout: of its backbone.
        image: one segment of any content, (1, ...).
        wanted: a module's name; None chooses.
        tiles: rows and columns of frames in the image.

    Raises:
        RunError: there is no such layer, it has no map, or the scores do not depend on the map.
    """
    net: nn.Module = network.backbone.net
    names = [name for name, _ in net.named_modules() if name]
    if wanted is not None and wanted not in names:
        raise RunError(f"the backbone has no layer {wanted!r}; {_hint(wanted, names)}")
    tried = [wanted] if wanted else [name for name in names if name.count(".") <= _DEPTH]
    with _ran(net, tried) as ran, torch.no_grad():
        network.segment_logits(image, _one(image))
    maps = ran.maps(layout)
    if wanted:
        _check_wanted(wanted, ran.outputs, wanted in maps and _counts(network, layout, wanted, image))
        return wanted
    whole = [name for name in maps if _is_whole(net, name, {name for name, _ in ran.outputs})]
    fine = [name for name in whole if _places(maps[name], tiles) >= _FINE_ENOUGH]
    for name in [*reversed(fine), *reversed(whole)]:
        if _counts(network, layout, name, image):
            return name
    raise RunError(f"no layer of the backbone has a map of several places for an input of {layout.size} px")


def first_layer(network: Network, layout: Layout, image: Tensor) -> str:
    """The name, in the backbone, of the first layer that has a map.

    Args:
        network: on its device, in evaluation.
        layout: of its backbone.
        image: one segment of any content, (1, ...).

    Raises:
        RunError: no layer has a map.
    """
    names = [name for name, _ in network.backbone.net.named_modules() if len(name) > 0 and name.count(".") <= _DEPTH]
    with _ran(network.backbone.net, names) as ran, torch.no_grad():
        network.segment_logits(image, _one(image))
    for name in ran.maps(layout):
        return name
    raise RunError(f"no layer of the backbone has a map of several places for an input of {layout.size} px")


def _one(image: Tensor) -> Tensor:
    """The number of frames that are not padding, for a segment of which it does not matter."""
    return torch.ones(1, dtype=torch.int64, device=image.device)


def _places(maps: Tensor, tiles: tuple[int, int]) -> float:
    """Along a frame's shorter side."""
    return min(side / parts for side, parts in zip(maps.shape[-2:], tiles, strict=True))


def _is_whole(net: nn.Module, name: str, ran: set[str]) -> bool:
    """Whether a layer is a stage, a block or a norm; or a block of a stage that is not run as a whole."""
    parent = name.rpartition(".")[0]
    inside = isinstance(net.get_submodule(parent), nn.Sequential) and parent not in ran
    return name.count(".") < _DEPTH or inside


def _check_wanted(wanted: str, ran: Sequence[tuple[str, Tensor]], is_fit: bool) -> None:
    """Say why a layer that the user named cannot be taken."""
    if is_fit:
        return
    if not ran:
        raise RunError(f"layer {wanted!r} is not run as a whole; give one inside it, or leave --layer out")
    shape = tuple(ran[0][1].shape)
    raise RunError(f"layer {wanted!r} puts out {shape}, in which no place of the picture counts; leave --layer out")


def _hint(wanted: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(wanted, names, n=5, cutoff=0.3)
    return f"near it: {', '.join(near)}" if near else f"it begins with {', '.join(names[:5])}"


@dataclass
class _Ran:
    """What ran in a backbone.

    Attributes:
        pictures: how many the backbone was given at once.
        outputs: layers in the order in which they ended, and what each put out, without its content.
    """

    pictures: int = 0
    outputs: list[tuple[str, Tensor]] = field(default_factory=list)

    def maps(self, layout: Layout) -> dict[str, Tensor]:
        """The layers with a map of each picture. What has a map of each of its windows has none of the picture."""
        whole = [(name, output) for name, output in self.outputs if output.ndim and len(output) == self.pictures]
        return {name: found for name, output in whole if (found := layout.maps(output)) is not None}


@contextmanager
def _ran(net: nn.Module, names: Sequence[str]) -> Iterator[_Ran]:
    """Notes on the named layers that run in the block.

    Those that do nothing are left out, so that the one with a name for what it does is found.
    """
    ran = _Ran()

    def counting(_module: nn.Module, inputs: Any) -> None:
        if not ran.pictures and inputs and isinstance(inputs[0], Tensor):
            ran.pictures = len(inputs[0])

    def noting(name: str) -> Any:
        def note(_module: nn.Module, _inputs: Any, output: Any) -> None:
            found = first_tensor(output)
            if isinstance(found, Tensor):
                ran.outputs.append((name, found.to("meta")))

        return note

    modules = {name: net.get_submodule(name) for name in names}
    handles = [module.register_forward_pre_hook(counting) for module in net.children()]
    handles += [
        module.register_forward_hook(noting(name))
        for name, module in modules.items()
        if not isinstance(module, nn.Identity)
    ]
    try:
        yield ran
    finally:
        for handle in handles:
            handle.remove()


def _counts(network: Network, layout: Layout, name: str, image: Tensor) -> bool:
    """Whether any score depends on the places of a layer, which runs once."""
    with recorded(network.backbone.net.get_submodule(name)) as kept, torch.enable_grad():
        score = network.segment_logits(image, _one(image)).sum()
    if len(kept) != 1 or not score.requires_grad:
        return False
    (gradient,) = torch.autograd.grad(score, kept, allow_unused=True)
    maps = None if gradient is None else layout.maps(gradient)
    return maps is not None and bool(maps.any())


@contextmanager
def recorded(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Keep what a layer puts out in the block, as leaves to take a gradient with respect to.

    The graph begins at the leaf, so the layers before it need no memory for gradients, provided that the parameters
    want none. What follows gets a copy: a ReLU in place would otherwise change what is kept.

    Yields:
        one tensor for each time the layer ran; of a layer that puts out a tuple, the first.
    """
    kept: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        kept.append(first_tensor(output).detach().requires_grad_())
        passed_on = kept[-1].clone()
        return (passed_on, *output[1:]) if isinstance(output, tuple) else passed_on

    handle = layer.register_forward_hook(keep)
    try:
        yield kept
    finally:
        handle.remove()


def first_tensor(output: Any) -> Tensor:
    """A layer's output, or the first of a tuple: MViT's blocks put out tokens and their grid."""
    first: Tensor = output[0] if isinstance(output, tuple) else output
    return first


def noise(config: InputConfig) -> Tensor:
    """Return one segment of noise, uint8 (1, *config.segment_shape), the same each time."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (1, *config.segment_shape), dtype=torch.uint8, generator=generator)
