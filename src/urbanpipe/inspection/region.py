"""A part of the picture."""

Region = tuple[float, float, float, float]
"""Left, top, width and height of a part of the picture, as shares of its width and height."""
