"""The smooth maximum, by which one moment can decide and every moment is trained."""

import torch
from torch import Tensor


def smooth_max(logits: Tensor) -> Tensor:
    """Return the smooth maximum over segments, log(mean(exp)), which lies between their mean and maximum.

    The number of segments is a value of the graph, not a constant, so that an exported network takes any number.

    Args:
        logits: (segments, classes).

    Returns:
        (classes,), float32.
    """
    count = torch.zeros_like(logits[:, :1], dtype=torch.float32).logsumexp(0)  # log(segments)
    return logits.float().logsumexp(0) - count
