"""From trained models and new videos to what is in them."""

from urbanpipe.inspection.inspector import Inspected, Inspector

__all__ = ["Inspected", "Inspector"]
