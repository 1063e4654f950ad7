"""Training and cross-validation; the training loop does not depend on the methods."""

from urbanpipe.training.crossval import CrossvalResult
from urbanpipe.training.options import FoldOptions, RunOptions

__all__ = ["CrossvalResult", "FoldOptions", "RunOptions"]
