"""Inspection of many videos into one folder with an index."""

from urbanpipe.archive.results import InspectedVideo, Inspections

__all__ = ["InspectedVideo", "Inspections"]
