"""Copies of an archive, of which a test can lose videos or in which it can hide trouble."""

import shutil
from dataclasses import replace
from pathlib import Path

from helpers.troubled_decoder import TROUBLES
from urbanpipe.catalog.catalog_file import Catalog, read_catalog, write_catalog


def copied_archive(archive: Path, folder: Path, count: int) -> Path:
    """Write a catalog of copies of the first labelled videos of an archive, and return it."""
    rows = read_catalog(archive / "catalog.csv")
    (folder / "videos").mkdir()
    videos = []
    for video in rows.labelled[:count]:
        path = Path(shutil.copy2(video.path, folder / "videos" / video.path.name))
        videos.append(replace(video, path=path, modified_ns=path.stat().st_mtime_ns))
    write_catalog(Catalog(tuple(videos), rows.taxonomy), folder / "catalog.csv")
    return folder / "catalog.csv"


def add_trouble(catalog: Path) -> set[str]:
    """Rename the first videos to those that a troubled decoder stumbles over; return the names of the others."""
    rows = read_catalog(catalog)
    videos = list(rows.videos)
    for number, name in enumerate(TROUBLES):
        path = videos[number].path.rename(videos[number].path.with_name(name))
        videos[number] = replace(videos[number], name=name, path=path, group=name)
    write_catalog(Catalog(tuple(videos), rows.taxonomy), catalog)
    return {video.name for video in videos[len(TROUBLES) :]}
