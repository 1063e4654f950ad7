"""How a training step learns from a batch."""

from urbanpipe.learners.config import LossConfig, MemoryConfig, OptimiserConfig, TrainingConfig

__all__ = ["LossConfig", "MemoryConfig", "OptimiserConfig", "TrainingConfig"]
