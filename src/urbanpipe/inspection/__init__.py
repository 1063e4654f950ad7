"""Inspection of new videos with trained models."""

from urbanpipe.inspection.inspector import Inspected, Inspector

__all__ = ["Inspected", "Inspector"]
