"""Heat maps of where and when a trained network detects a class."""

from urbanpipe.explain.writing import Explanation

__all__ = ["Explanation"]
