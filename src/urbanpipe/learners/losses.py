"""Multi-label losses by name: (logits (batch, classes), targets (batch, classes) in {0, 1}) -> scalar.

All are sums over the classes and means over the batch, so that one rate suits all.
"""

from collections.abc import Callable

import torch
from timm.loss import AsymmetricLossMultiLabel
from torch import Tensor
from torch.nn import functional

from urbanpipe.learners.config import LossConfig

Loss = Callable[[Tensor, Tensor], Tensor]
LARGEST_WEIGHT = 10.0


def make_loss(config: LossConfig, targets: Tensor) -> Loss:
    """The loss of the recipe.

    Args:
        config: its name and constants.
        targets: (videos, classes) of the training set, for class weights.
    """
    if config.name == "asymmetric":
        return AsymmetricLossMultiLabel(  # type: ignore[no-any-return]
            gamma_neg=config.gamma_negative, gamma_pos=config.gamma_positive, clip=config.clip, reduction="batchmean"
        )
    weight = positive_weights(targets) if config.class_weights else torch.ones(targets.shape[1])
    gamma = config.gamma if config.name == "focal" else 0.0
    return lambda logits, wanted: weighted_bce(logits, wanted, weight, gamma)


def weighted_bce(logits: Tensor, targets: Tensor, positive_weight: Tensor, gamma: float = 0.0) -> Tensor:
    """Binary cross-entropy; with gamma > 0 the focal loss (Lin et al., arXiv 1708.02002, equation 4)."""
    logits = logits.float()
    loss = functional.binary_cross_entropy_with_logits(
        logits, targets, pos_weight=positive_weight.to(logits.device), reduction="none"
    )
    if gamma:
        probability = logits.sigmoid()
        loss = loss * (1 - torch.where(targets > 0, probability, 1 - probability)) ** gamma
    return loss.sum() / len(logits)


def positive_weights(targets: Tensor) -> Tensor:
    """(classes,): square root of negatives over positives, 1 to `LARGEST_WEIGHT`; 1 for a class without positives."""
    positives = targets.sum(0)
    weights = ((len(targets) - positives) / positives.clamp(min=1)).sqrt().clamp(1, LARGEST_WEIGHT)
    return torch.where(positives > 0, weights, torch.ones_like(weights))
