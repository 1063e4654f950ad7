"""Export of networks as graphs, which ONNX Runtime and OpenVINO run without torch.

The graph of an encoder may have two more outputs: the statistics that the detection of out-of-distribution videos
needs, and maps of all classes. These maps are class activation maps of an inner layer. The weight of a channel is the
mean of its gradient over segments of training videos, where Grad-CAM (arXiv 1610.02391) takes the gradient of the
segment itself, which a graph without a backward pass cannot compute. For a linear layer on the mean of the channels
both are the same (arXiv 1512.04150).
"""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from urbanpipe.inference.graph import (
    FEATURES,
    IMAGES,
    MAPS,
    OBSERVED,
    REAL,
    SECONDS,
    SEGMENTS,
    VIDEO,
    not_installed,
)
from urbanpipe.inference.torch_runtime import EarlyStatistics, TorchRuntime
from urbanpipe.models.layers import Layout, choose_layer, first_tensor, layout_of, noise, recorded
from urbanpipe.models.network import Network
from urbanpipe.outputs import whole_path

_EXAMPLES = 3  # segments of the example input; 0 and 1 would become constants of the graph


@dataclass(frozen=True, eq=False)
class MapLayer:
    """The layer that gives the maps of classes.

    Attributes:
        name: name of the layer in the backbone.
        layout: layout of the backbone.
        weights: weight of each channel for each class, (classes, channels).
    """

    name: str
    layout: Layout
    weights: Tensor


def map_layer(runtime: TorchRuntime, images: Tensor, real: Tensor) -> MapLayer:
    """Choose a layer as `choose_layer` does, and weigh its channels by their mean gradients over segments.

    Args:
        runtime: the network; none of its parameters may require a gradient.
        images: segments of training videos, in the shape of the view.
        real: number of frames of each segment that are not padding.
    """
    network, config = runtime.network, runtime.recipe.input
    layout = layout_of(network.backbone.net, config.backbone_size)
    name = choose_layer(network, layout, noise(config), None, config.tile_grid)
    with recorded(network.backbone.net.get_submodule(name)) as kept, torch.enable_grad():
        logits = network.segment_logits(images, real).sum(0)
    weights = []
    for logit in logits:
        (gradient,) = torch.autograd.grad(logit, kept, retain_graph=True)
        maps = layout.maps(gradient)
        assert maps is not None, "the layer was chosen for its map"
        weights.append(maps.float().mean((0, *range(2, maps.ndim))))
    return MapLayer(name, layout, torch.stack(weights))


class EncoderGraph(nn.Module):
    """What the graph of an encoder computes: features, then statistics and maps of classes where they are given.

    Args:
        runtime: the network.
        layer: the layer of maps, of the member's first network; None leaves statistics and maps out.
    """

    def __init__(self, runtime: TorchRuntime, layer: MapLayer | None) -> None:
        super().__init__()
        self.network, self._flip_axes = runtime.network, runtime.recipe.input.flip_axes
        self._layer = layer
        self._early = EarlyStatistics(self.network, *runtime.early_layers) if layer else None
        if layer:
            self.register_buffer("weights", layer.weights)

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs."""
        return [FEATURES, OBSERVED, MAPS] if self._layer else [FEATURES]

    def forward(self, images: Tensor, real: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs for segments, see `Runtime.encode`."""
        with self._early or nullcontext(), _kept(self.network, self._layer) as kept:
            views = [images.flip(axes) if axes else images for axes in self._flip_axes]
            features = torch.stack([self.network.encode(view, real).float() for view in views]).mean(0)
        if not (self._layer and self._early):
            return (features,)
        maps = [
            self._class_maps(output).flip(axes) if axes else self._class_maps(output)
            for output, axes in zip(kept, self._flip_axes, strict=True)
        ]
        return features, self._early.mean(), torch.stack(maps).mean(0)

    def _class_maps(self, output: Tensor) -> Tensor:
        """Return maps (N, classes, ...) of the output of the layer."""
        assert self._layer is not None
        maps = self._layer.layout.maps(output)
        assert maps is not None, "the layer was chosen for its map"
        return torch.einsum("lc,nc...->nl...", self.weights, maps.float()).relu()


class HeadGraph(nn.Module):
    """What the graph of a head computes: the probabilities of a video and of its segments."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: Tensor, seconds: Tensor) -> tuple[Tensor, Tensor]:
        """Return the outputs for the encoded segments of a video, see `Network.aggregate`."""
        return self.network.aggregate(features, seconds)


def export_encoder(runtime: TorchRuntime, layer: MapLayer | None, file: Path, *, half: bool) -> None:
    """Write the graph of a network's encoder, for any number of segments.

    Args:
        runtime: the network, on the CPU.
        layer: see `EncoderGraph`.
        file: the ONNX file.
        half: whether weights are stored in half precision; they are computed with in full precision.

    Raises:
        BundleError: the extra `onnx` is not installed.
        OutputError: the file cannot be written.
    """
    graph = EncoderGraph(runtime, layer)
    images = noise(runtime.recipe.input).repeat(_EXAMPLES, *[1] * len(runtime.recipe.input.segment_shape))
    real = torch.full((_EXAMPLES,), runtime.recipe.input.frames)
    _export(graph, {IMAGES: images, REAL: real}, graph.outputs, file, half=half)


def export_head(runtime: TorchRuntime, width: int, file: Path, *, half: bool) -> None:
    """Write the graph of a network's head, for any number of segments; arguments and errors as for `export_encoder`.

    Args:
        runtime: the network, on the CPU.
        width: number of values of an encoded segment.
        file: the ONNX file.
        half: whether weights are stored in half precision.
    """
    examples = 2 * _EXAMPLES + 1  # no square, so that TransMIL's square is not a constant
    features, seconds = torch.randn(examples, width), torch.rand(examples, 2, dtype=torch.float64)
    _export(HeadGraph(runtime.network), {FEATURES: features, SECONDS: seconds}, [VIDEO, SEGMENTS], file, half=half)


def _export(graph: nn.Module, inputs: dict[str, Tensor], outputs: Sequence[str], file: Path, *, half: bool) -> None:
    try:
        import onnx
        from onnxscript import optimizer
    except ImportError as error:
        raise not_installed("onnx") from error
    segments = {0: torch.export.Dim("segments")}
    with _quiet(), _plain_attention(graph), torch.no_grad():
        program = torch.onnx.export(
            graph.eval(),
            tuple(inputs.values()),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=[segments] * len(inputs),
            dynamo=True,
            verbose=False,
            optimize=not half,  # weights merged with those of norms would be rounded anew
        )
    assert program is not None, "the exporter of torch.export returns a program"
    if half:  # what else `optimize` does: without it, norms that runtimes cannot merge make networks three times slower
        optimizer.fold_constants(program.model)
        optimizer.remove_unused_nodes(program.model)
    model = program.model_proto
    _strip(model)
    if half:
        _store_in_half(model)
    with whole_path(file) as temporary:
        onnx.save(model, temporary)


def _strip(model: Any) -> None:
    """Remove the exporter's notes, which hold paths of the machine."""
    for item in (*model.graph.node, *model.graph.initializer, *model.graph.value_info, model.graph):
        item.doc_string = ""
        del item.metadata_props[:]
    del model.graph.value_info[:]


def _store_in_half(model: Any) -> None:
    """Store weights of an ONNX model in half precision; nodes convert them back, which runtimes do when they load."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for weight in [tensor for tensor in model.graph.initializer if tensor.data_type == TensorProto.FLOAT]:
        values = numpy_helper.to_array(weight)
        if values.size < 64:
            continue
        name = weight.name
        weight.CopyFrom(numpy_helper.from_array(values.astype("float16"), f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


@contextmanager
def _kept(network: Network, layer: MapLayer | None) -> Iterator[list[Tensor]]:
    """Keep the outputs of the layer in the block, one per view."""
    kept: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: Any, output: Any) -> None:
        kept.append(first_tensor(output))

    if layer is None:
        yield kept
        return
    handle = network.backbone.net.get_submodule(layer.name).register_forward_hook(keep)
    try:
        yield kept
    finally:
        handle.remove()


@contextmanager
def _plain_attention(graph: nn.Module) -> Iterator[None]:
    """Let timm's attention layers run step by step in the block: fused attention over windows is not exported."""
    fused = [module for module in graph.modules() if getattr(module, "fused_attn", False)]
    for module in fused:
        module.fused_attn = False  # type: ignore[assignment]
    try:
        yield
    finally:
        for module in fused:
            module.fused_attn = True  # type: ignore[assignment]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's notes on its own work from the user."""
    logger = logging.getLogger("onnxscript")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
