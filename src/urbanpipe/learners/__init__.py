"""Learners, which turn a batch into gradients, with their losses and configs."""

from urbanpipe.learners.config import LossConfig, MemoryConfig, OptimiserConfig, TrainingConfig

__all__ = ["LossConfig", "MemoryConfig", "OptimiserConfig", "TrainingConfig"]
