"""Multi-label losses by name: (logits (batch, classes), targets (batch, classes) in {0, 1}) -> scalar.

All are summed over the classes and averaged over the batch, so that one learning rate suits all.
"""

from collections.abc import Callable

import torch
from timm.loss import AsymmetricLossMultiLabel
from torch import Tensor
from torch.nn import functional
from torchvision.ops import sigmoid_focal_loss

from urbanpipe.learners.config import LossConfig

Loss = Callable[[Tensor, Tensor], Tensor]
LARGEST_WEIGHT = 10.0


def make_loss(config: LossConfig, targets: Tensor) -> Loss:
    """Return the loss function of a recipe.

    Args:
        config: name and constants of the loss.
        targets: labels of the training set for class weights, (videos, classes).
    """
    if config.name == "asymmetric":
        return AsymmetricLossMultiLabel(  # type: ignore[no-any-return]
            gamma_neg=config.gamma_negative, gamma_pos=config.gamma_positive, clip=config.clip, reduction="batchmean"
        )
    weight = positive_weights(targets) if config.class_weights else torch.ones(targets.shape[1])
    if config.name == "focal":
        return lambda logits, wanted: weighted_focal(logits, wanted, weight, config.gamma)
    return lambda logits, wanted: weighted_bce(logits, wanted, weight)


def weighted_bce(logits: Tensor, targets: Tensor, positive_weight: Tensor) -> Tensor:
    """Return the binary cross-entropy, summed over classes and averaged over videos.

    Args:
        logits: (videos, classes).
        targets: (videos, classes), 0 or 1.
        positive_weight: weight of the positives of each class, (classes,).
    """
    loss = functional.binary_cross_entropy_with_logits(
        logits.float(), targets, pos_weight=positive_weight.to(logits.device), reduction="sum"
    )
    return loss / len(logits)


def weighted_focal(logits: Tensor, targets: Tensor, positive_weight: Tensor, gamma: float) -> Tensor:
    """Return the focal loss (Lin et al., arXiv 1708.02002, equation 4), summed and averaged as `weighted_bce`.

    Args:
        logits: (videos, classes).
        targets: (videos, classes), 0 or 1.
        positive_weight: weight of the positives of each class, (classes,).
        gamma: exponent of the probability of the wrong answer.
    """
    loss = sigmoid_focal_loss(logits.float(), targets, alpha=-1, gamma=gamma, reduction="none")
    weights = torch.where(targets > 0, positive_weight.to(logits.device), torch.ones_like(loss))
    total: Tensor = (loss * weights).sum()
    return total / len(logits)


def positive_weights(targets: Tensor) -> Tensor:
    """Return the weight of positives per class, (classes,).

    The weight is the square root of negatives over positives, clamped to [1, LARGEST_WEIGHT], and 1 for a class without
    positives.
    """
    positives = targets.sum(0)
    weights = ((len(targets) - positives) / positives.clamp(min=1)).sqrt().clamp(1, LARGEST_WEIGHT)
    return torch.where(positives > 0, weights, torch.ones_like(weights))
