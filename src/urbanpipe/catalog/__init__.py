"""Catalog of the videos of an archive: labels, scan, groups and folds."""

from urbanpipe.catalog.catalog_file import Catalog, Video, read_catalog, write_catalog
from urbanpipe.catalog.folds import read_folds
from urbanpipe.catalog.labels import read_labels

__all__ = ["Catalog", "Video", "read_catalog", "read_folds", "read_labels", "write_catalog"]
