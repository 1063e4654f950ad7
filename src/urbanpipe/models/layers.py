"""Choice of a backbone layer for heat maps, and conversion of its output to feature maps."""

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

_DEPTH = 2  # maximum depth of the layers that are tried: stages, blocks and norms, but not the parts inside them
_FINE_ENOUGH = 6  # positions along a frame's shorter side; see `choose_layer`
_ODDEST = math.log(
    2
)  # largest deviation of a map's aspect ratio from its input's, in logarithms; it comes from rounding
_EARLY_REDUCTION = 8  # coarsest maps, in input pixels per position, that `early_layers` counts as early
Size = tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """The properties of a backbone that are needed to interpret layer outputs.

    Attributes:
        size: size of the input: (height, width), or (frames, height, width).
        moments: time steps of token layers; 1 for images.
        extra_tokens: number of class and register tokens before the position tokens.
        channels_last: whether the backbone declares channels-last maps; used where shapes are ambiguous.
        in_order: whether tokens are ordered row by row. Hiera's are not, and their map would be scrambled.
    """

    size: Size
    moments: int = 1
    extra_tokens: int = 0
    channels_last: bool = False
    in_order: bool = True

    def maps(self, output: Tensor) -> Tensor | None:
        """Return a view of a layer's output as (N, C, h, w) or (N, C, t, h, w); None if it is not a feature map.

        Args:
            output: channels first, channels last, or tokens (N, positions, C) row by row.
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
        """Return the deviation of a map's aspect ratio from the input's; infinite for a shape that cannot be a map."""
        fits = all(0 < side <= whole for side, whole in zip(shape, self.size, strict=True))
        height, width = shape[-2:]
        if not fits or height * width == 1:
            return math.inf
        return abs(math.log(height * self.size[-1] / (width * self.size[-2])))

    def _of_tokens(self, output: Tensor) -> Tensor | None:
        grids = [(grid, extra) for extra in (0, self.extra_tokens) for grid in self._grids(output.shape[1] - extra)]
        if not grids:
            return None
        grid, extra = min(grids, key=lambda pair: self._oddness(pair[0]))
        if self._oddness(grid) > _ODDEST:
            return None
        return output[:, extra:].reshape(output.shape[0], *grid, -1).movedim(-1, 1)

    def _grids(self, positions: int) -> list[Size]:
        per_step, rest = divmod(positions, self.moments)
        if rest or per_step < 1:
            return []
        time = (self.moments,) if len(self.size) == 3 else ()
        return [(*time, height, per_step // height) for height in range(1, per_step + 1) if per_step % height == 0]


def layout_of(net: nn.Module, size: Size) -> Layout:
    """Return the layout of a timm or torchvision network with an input of `size`, as in `Layout`."""
    if isinstance(net, MViT):
        return Layout(size, moments=net.pos_encoding.temporal_size, extra_tokens=1)
    extra = getattr(net, "num_prefix_tokens", 0)
    is_last = getattr(net, "output_fmt", "NCHW") == "NHWC"
    return Layout(size, extra_tokens=extra, channels_last=is_last, in_order=not hasattr(net, "reroll"))


def choose_layer(
    network: Network, layout: Layout, image: Tensor, wanted: str | None, tiles: tuple[int, int] = (1, 1)
) -> str:
    """Return the name, in the backbone, of the layer for Grad-CAM.

    This is the last layer with a map that is fine enough and on which the scores depend. Fine enough means at least 6
    positions along a frame's shorter side. The Grad-CAM paper uses the last map, which is the most class-specific, and
    has at least 7 positions there; the last map of a 64 px frame has only two, too few to localise (docs/explain.md has
    the measurement). If no map is fine enough, the last one is used. Scores do not depend, for example, on the map of
    the last block of a Vision Transformer that classifies its class token.

    Args:
        network: network on its device, in evaluation mode, with parameters that need no gradients.
        layout: layout of its backbone.
        image: one segment with any content, (1, ...).
        wanted: name of a module; None chooses automatically.
        tiles: rows and columns of frames in the image.

    Raises:
        RunError: the layer does not exist, has no map, or the scores do not depend on the map.
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
    raise RunError(f"no layer of the backbone has a feature map for an input of {layout.size} px")


def early_layers(network: Network, layout: Layout, image: Tensor) -> list[str]:
    """Return the names, in the backbone, of the layers that end its stem and first stages, in order.

    Of a timm network these are the levels of its `feature_info` at 1/8 of the input's size or finer, or its first two
    levels if none is. Of a network without that table they are the first two parts of its longest list of modules.
    Levels without a map are left out. If none is left, the first layer that has a map is returned.

    Args:
        network: network on its device, in evaluation mode.
        layout: layout of its backbone.
        image: one segment with any content, (1, ...).

    Raises:
        RunError: no layer has a map.
    """
    net: nn.Module = network.backbone.net
    shallow = [name for name, _ in net.named_modules() if name and name.count(".") <= _DEPTH]
    levels = _early_levels(net)
    with _ran(net, [*levels, *(name for name in shallow if name not in levels)]) as ran, torch.no_grad():
        network.segment_logits(image, _one(image))
    maps = list(ran.maps(layout))
    if not maps:
        raise RunError(f"no layer of the backbone has a feature map for an input of {layout.size} px")
    return [name for name in levels if name in maps] or maps[:1]


def _early_levels(net: nn.Module) -> list[str]:
    """Return the names of the modules that `early_layers` prefers, whether they have maps or not."""
    table = getattr(net, "feature_info", None)
    if isinstance(table, list) and table:
        levels = [(level["module"], level["reduction"]) for level in table if level.get("module")]
        return [name for name, reduction in levels if reduction <= _EARLY_REDUCTION] or [name for name, _ in levels[:2]]
    lists = {name: module for name, module in net.named_children() if isinstance(module, nn.Sequential | nn.ModuleList)}
    if not lists:
        return []
    longest = max(lists, key=lambda name: len(lists[name]))
    return [f"{longest}.{part}" for part, _ in list(lists[longest].named_children())[:2]]


def _one(image: Tensor) -> Tensor:
    """Return a placeholder for the number of frames that are not padding, (1,)."""
    return torch.ones(1, dtype=torch.int64, device=image.device)


def _places(maps: Tensor, tiles: tuple[int, int]) -> float:
    """Return the number of positions along a frame's shorter side."""
    return min(side / parts for side, parts in zip(maps.shape[-2:], tiles, strict=True))


def _is_whole(net: nn.Module, name: str, ran: set[str]) -> bool:
    """Return whether a layer is a stage, a block or a norm, or a block of a stage that is not run as a whole."""
    parent = name.rpartition(".")[0]
    inside = isinstance(net.get_submodule(parent), nn.Sequential) and parent not in ran
    return name.count(".") < _DEPTH or inside


def _check_wanted(wanted: str, ran: Sequence[tuple[str, Tensor]], is_fit: bool) -> None:
    """Raise an error that explains why a layer that the user named cannot be used."""
    if is_fit:
        return
    if not ran:
        raise RunError(f"layer {wanted!r} is not run as a whole; give a layer inside it, or omit --layer")
    shape = tuple(ran[0][1].shape)
    raise RunError(f"the output {shape} of layer {wanted!r} is not a feature map that affects scores; omit --layer")


def _hint(wanted: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(wanted, names, n=5, cutoff=0.3)
    return f"similar names: {', '.join(near)}" if near else f"its first layers are {', '.join(names[:5])}"


@dataclass
class _Ran:
    """The layers that ran in a backbone.

    Attributes:
        pictures: batch size of the backbone's input.
        outputs: layers in the order in which they finished, with meta tensors of their outputs.
    """

    pictures: int = 0
    outputs: list[tuple[str, Tensor]] = field(default_factory=list)

    def maps(self, layout: Layout) -> dict[str, Tensor]:
        """Return the layers with a map of each picture, which excludes layers with a map of each window."""
        whole = [(name, output) for name, output in self.outputs if output.ndim and len(output) == self.pictures]
        return {name: maps for name, output in whole if (maps := layout.maps(output)) is not None}


@contextmanager
def _ran(net: nn.Module, names: Sequence[str]) -> Iterator[_Ran]:
    """Record the named layers that run in the block.

    Identity layers are left out, so that a layer with a meaningful name is found.
    """
    ran = _Ran()

    def counting(_module: nn.Module, inputs: Any) -> None:
        if not ran.pictures and inputs and isinstance(inputs[0], Tensor):
            ran.pictures = len(inputs[0])

    def noting(name: str) -> Any:
        def note(_module: nn.Module, _inputs: Any, output: Any) -> None:
            first = first_tensor(output)
            if isinstance(first, Tensor):
                ran.outputs.append((name, first.to("meta")))

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
    """Return whether any score depends on the map of a layer, and the layer runs once."""
    with recorded(network.backbone.net.get_submodule(name)) as kept, torch.enable_grad():
        score = network.segment_logits(image, _one(image)).sum()
    if len(kept) != 1 or not score.requires_grad:
        return False
    (gradient,) = torch.autograd.grad(score, kept, allow_unused=True)
    maps = None if gradient is None else layout.maps(gradient)
    return maps is not None and bool(maps.any())


@contextmanager
def recorded(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Record the outputs of a layer in the block, as leaf tensors for gradients.

    The graph begins at the leaf, so that the layers before it need no memory for gradients, provided that no parameter
    requires one. Later layers get a copy, because an in-place ReLU would otherwise change the recorded tensor.

    Yields:
        A list with one tensor per run of the layer; for a layer that returns a tuple, its first element.
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
    """Return a layer's output, or the first element of a tuple: MViT's blocks return tokens and their grid."""
    first: Tensor = output[0] if isinstance(output, tuple) else output
    return first


def noise(config: InputConfig) -> Tensor:
    """Return one segment of noise, uint8 (1, *config.segment_shape), the same on every call."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (1, *config.segment_shape), dtype=torch.uint8, generator=generator)
