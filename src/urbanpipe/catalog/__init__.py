"""Catalog of the videos of an archive: labels, scan, groups and folds."""
