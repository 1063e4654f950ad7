"""Where and when a trained network saw a class."""

from urbanpipe.explain.writing import Explanation

__all__ = ["Explanation"]
