"""Networks: backbones, heads, and the networks of the methods; plain modules that do not depend on training."""

from urbanpipe.models.config import BagHeadConfig, DenseHeadConfig, ModelConfig

__all__ = ["BagHeadConfig", "DenseHeadConfig", "ModelConfig"]
