"""Grad-CAM: which places of a layer's output speak for a score (Selvaraju et al., arXiv 1610.02391)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


def grad_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """The map of each input: equations 1 and 2 of the paper, for images and for clips.

    A channel weighs what the mean of its gradient over all places is; the map is the weighted sum of the channels, and
    what speaks against the score is set to 0. Where the score is a linear layer over the mean of the channels, this is
    CAM (arXiv 1512.04150) divided by the number of places.

    Args:
        activations: (N, C, ...), the last axes being height and width, or time, height and width.
        gradients: of the score with respect to them, same shape.

    Returns:
        (N, ...), same dtype, 0 or more, without an upper bound.
    """
    places = tuple(range(2, activations.ndim))
    weights = gradients.mean(places, keepdim=True)
    return (weights * activations).sum(1).relu()


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
