"""Inspect many videos into one folder with an index."""
