"""Pixels out of files: probe, exact frame access, frame sampling, frame cache."""
