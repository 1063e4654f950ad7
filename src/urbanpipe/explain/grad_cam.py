"""Grad-CAM: which places of a layer's output speak for a score (Selvaraju et al., arXiv 1610.02391)."""

from torch import Tensor


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
