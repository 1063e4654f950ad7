"""Networks: an image backbone, a head, and the methods made of them. Plain modules that know nothing of training."""

from urbanpipe.models.config import BagHeadConfig, DenseHeadConfig, ModelConfig

__all__ = ["BagHeadConfig", "DenseHeadConfig", "ModelConfig"]
