"""Grad-CAM: which positions of a layer's output contribute to a score (Selvaraju et al., arXiv 1610.02391)."""

from torch import Tensor


def grad_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Return the map of each input, by equations 1 and 2 of the paper, for images and clips.

    The weight of a channel is the mean of its gradient over all positions. The map is the weighted sum of the channels,
    with negative values set to 0. If the score is a linear layer over the mean of the channels, this is CAM (arXiv
    1512.04150) divided by the number of positions.

    Args:
        activations: (N, C, ...), the last axes being height and width, or time, height and width.
        gradients: gradients of the score with respect to the activations, same shape.

    Returns:
        (N, ...), same dtype, non-negative, without an upper bound.
    """
    axes = tuple(range(2, activations.ndim))
    weights = gradients.mean(axes, keepdim=True)
    return (weights * activations).sum(1).relu()
