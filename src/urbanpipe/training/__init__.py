"""Recipes and the loop that follows them. The loop knows nothing of methods."""

from urbanpipe.training.crossval import CrossvalResult
from urbanpipe.training.options import FoldOptions, RunOptions

__all__ = ["CrossvalResult", "FoldOptions", "RunOptions"]
