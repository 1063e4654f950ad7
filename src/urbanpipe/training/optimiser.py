"""AdamW's parameter groups and the learning-rate schedule."""

import math
from typing import Any

from timm.optim import param_groups_layer_decay
from torch import nn
from torch.amp import GradScaler
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from urbanpipe.learners.config import OptimiserConfig
from urbanpipe.models.network import Network


def parameter_groups(model: Network, config: OptimiserConfig) -> list[dict[str, Any]]:
    """Return parameter groups with peak learning rate `lr` and `weight_decay`.

    Biases and norms have no weight decay; lower layers have a smaller learning rate.
    """
    net = model.backbone.net
    unregularised = net.no_weight_decay() if hasattr(net, "no_weight_decay") else ()
    groups: list[dict[str, Any]] = param_groups_layer_decay(
        net, config.weight_decay, no_weight_decay_list=unregularised, layer_decay=config.layer_decay
    )
    for group in groups:
        group["lr"] = config.learning_rate * config.backbone_lr_scale * group.pop("lr_scale")
    of_backbone = {id(parameter) for parameter in net.parameters()}
    return [*groups, *_head_groups([p for p in model.parameters() if id(p) not in of_backbone], config)]


def _head_groups(others: list[nn.Parameter], config: OptimiserConfig) -> list[dict[str, Any]]:
    parameters = [p for p in others if p.requires_grad]
    matrices, vectors = [p for p in parameters if p.ndim > 1], [p for p in parameters if p.ndim <= 1]
    split = [(matrices, config.weight_decay), (vectors, 0.0)]
    return [{"params": group, "lr": config.learning_rate, "weight_decay": decay} for group, decay in split if group]


def make_optimiser(model: Network, config: OptimiserConfig, on_gpu: bool) -> AdamW:
    """Return AdamW over `parameter_groups`."""
    return AdamW(parameter_groups(model, config), lr=config.learning_rate, fused=config.fused and on_gpu)


def make_schedule(optimiser: AdamW, config: OptimiserConfig, epochs: int, steps_per_epoch: int) -> LRScheduler:
    """Return the learning-rate schedule, with `epochs * steps_per_epoch` steps, one per optimiser step.

    `onecycle` is torch's version of Smith's schedule (arXiv 1708.07120). `cosine` rises linearly over the warm-up, then
    falls as half a cosine.
    """
    total = epochs * steps_per_epoch
    warmup = min(config.warmup_epochs / epochs, 0.9)
    if config.schedule == "onecycle" and total > 3:  # torch's schedule divides by zero if either phase has no step
        rates = [group["lr"] for group in optimiser.param_groups]
        return OneCycleLR(
            optimiser, max_lr=rates, total_steps=total, pct_start=min(max(warmup, 2 / total), 1 - 2 / total)
        )
    return LambdaLR(optimiser, lambda step: cosine_factor(step, warmup * total, total))


def cosine_factor(step: int, warmup_steps: float, total_steps: int) -> float:
    """Return the share of the peak rate at `step`: linear from 0 to 1 over the warm-up, then half a cosine to 0."""
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup_steps) / max(1.0, total_steps - warmup_steps))))


def step_scaled(scaler: GradScaler, optimiser: AdamW, schedule: LRScheduler) -> None:
    """Step the optimiser, and the schedule unless the scaler skipped the step because of an fp16 overflow."""
    before = scaler.get_scale()
    scaler.step(optimiser)
    scaler.update()
    optimiser.zero_grad(set_to_none=True)
    if scaler.get_scale() >= before:
        schedule.step()
