"""Video files of a folder tree, and their names."""

import os
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from urbanpipe.catalog.catalog_file import group_of, printable
from urbanpipe.contracts.name_matching import match_names, near_text
from urbanpipe.contracts.names import canonical_name
from urbanpipe.errors import CatalogError, LabelError
from urbanpipe.locations import local_path

_VIDEO = """
    264 265 3g2 3gp amv asf avi divx dv f4v flv gxf h264 h265 hevc ivf m1v m2p m2t m2ts m2v m4v mj2
    mjpeg mjpg mkv mod mov mp4 mpe mpeg mpg mpv mts mxf nut obu ogm ogv qt rm rmvb tod ts vob webm wmv
    wtv y4m
"""
EXTENSIONS = frozenset(f".{ending}" for ending in _VIDEO.split())


@dataclass(frozen=True)
class FoundVideos:
    """The video files of a folder tree.

    Attributes:
        paths: the file of each relative POSIX path (in Unicode normal form C), in order.
        left_out: number of files with each other extension.
        closed: folders that cannot be read.
    """

    paths: dict[str, Path]
    left_out: Counter[str] = field(default_factory=Counter)
    closed: list[str] = field(default_factory=list)


def find_videos(folder: Path) -> FoundVideos:
    """Find all files with a video extension below `folder`; hidden files and folders are skipped.

    Links to folders are followed; each folder is visited once.

    Raises:
        CatalogError: `folder` is missing, is not a folder or has no videos, or two files have the same name.
    """
    folder = local_path(folder)
    if not folder.is_dir():
        raise CatalogError(f"{folder} is {'a file' if folder.exists() else 'missing'}; give the folder with the videos")
    folder = folder.resolve()
    found = FoundVideos({})
    visited: set[tuple[int, int]] = set()
    for here, below, files in os.walk(
        folder, followlinks=True, onerror=lambda error: found.closed.append(error.filename)
    ):
        status = Path(here).stat()
        if (status.st_dev, status.st_ino) in visited:
            below.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in files:
            if not name.startswith("."):
                _add(found, folder, Path(here, name))
    if not found.paths:
        others = f"; of its {found.left_out.total()} files none has a video extension" if found.left_out else ""
        closed = f"; {found.closed[0]} cannot be opened" if found.closed else ""
        raise CatalogError(f"no videos in {folder}{others}{closed}")
    ordered = {key: found.paths[key] for key in sorted(found.paths)}
    return FoundVideos(ordered, found.left_out, found.closed)


def _add(found: FoundVideos, folder: Path, path: Path) -> None:
    extension = path.suffix.lower()
    if extension not in EXTENSIONS:
        found.left_out[extension or "no extension"] += 1
        return
    relative = canonical_name(printable(path.relative_to(folder).as_posix()))
    if (other := found.paths.setdefault(relative, path)) != path:
        raise CatalogError(f"{other!r} and {path!r} have the same name except for the encoding of accents; rename one")


def video_names(relatives: Sequence[str]) -> dict[str, str]:
    """Return the name of each video by its relative path.

    The name is the file name if it is unique in the tree, otherwise the relative path. A file directly in the top
    folder whose file name also occurs further down is called `./name`.
    """
    repeated = Counter(PurePosixPath(relative).name for relative in relatives)
    names = {}
    for relative in relatives:
        base = PurePosixPath(relative).name
        names[relative] = base if repeated[base] == 1 else relative if "/" in relative else f"./{relative}"
    return names


def video_groups(names: dict[str, str], digests: dict[str, str]) -> dict[str, str]:
    """Return the group of each video by its relative path.

    The group is the root of the file name (`group_of`). If file names recur in several folders, the numbering starts
    anew in each folder, so the folder is part of the group. Identical files (equal digests) are the same recording:
    their groups are merged.

    Args:
        names: video name by relative path.
        digests: content digest by relative path, of the videos that can be read.
    """
    recurring = {group_of(PurePosixPath(relative).name) for relative, name in names.items() if "/" in name}
    groups = {}
    for relative in names:
        root = group_of(PurePosixPath(relative).name)
        groups[relative] = group_of(relative) if root in recurring else root
    return _joined(groups, digests)


def _joined(groups: dict[str, str], digests: dict[str, str]) -> dict[str, str]:
    parent = {group: group for group in groups.values()}

    def top(group: str) -> str:
        while parent[group] != group:
            parent[group] = group = parent[parent[group]]
        return group

    first: dict[str, str] = {}
    for relative, digest in digests.items():
        group, other = top(groups[relative]), top(first.setdefault(digest, groups[relative]))
        parent[max(group, other)] = min(group, other)
    return {relative: top(group) for relative, group in groups.items()}


class LabelMatches(NamedTuple):
    """The files that a label file means.

    Attributes:
        names: name in the label file by relative path.
        differing: relative path by labelled name, where the two match only after folding.
        near: for each labelled name without a file, the files that it may mean.
    """

    names: dict[str, str]
    differing: dict[str, str]
    near: dict[str, tuple[str, ...]]


def match_labels(labels: Collection[str], names: dict[str, str], where: str) -> LabelMatches:
    """Find the file of every labelled name; see `match_names` for names that differ from their file.

    Args:
        labels: labelled names, which are file names or paths relative to the folder.
        names: video name by relative path.
        where: beginning of error messages.

    Raises:
        LabelError: a file name occurs in several folders, a file has two labels, or no name has a file.
    """
    by_base: dict[str, list[str]] = defaultdict(list)
    for relative in names:
        by_base[PurePosixPath(relative).name].append(relative)
    matched: dict[str, str] = {}
    missing = []
    for name in labels:
        relatives = _candidates(name, names, by_base)
        if len(relatives) > 1:
            places = " and ".join(relatives[:2]) + (f" and {len(relatives) - 2} more" if len(relatives) > 2 else "")
            raise LabelError(f"{where}: {name!r} may be {places}; label each by its relative path")
        if not relatives:
            missing.append(name)
            continue
        if (other := matched.setdefault(relatives[0], name)) != name:
            raise LabelError(f"{where}: {other!r} and {name!r} are the same file; keep one")
    found = match_names(missing, names, taken=set(matched))
    matched |= {relative: name for name, relative in found.matched.items()}
    if not matched:
        first = f"{missing[0]!r}{near_text(found.near[missing[0]])}"
        raise LabelError(
            f"{where}: none of the {len(labels)} names has a video, the first is {first}; "
            "correct the names or give the folder that they are from"
        )
    return LabelMatches(matched, found.matched, found.near)


def _candidates(name: str, relatives: Iterable[str], by_base: dict[str, list[str]]) -> list[str]:
    for spelling in (name, name.replace("\\", "/")):
        if "/" not in spelling and spelling in by_base:
            return by_base[spelling]
        if "/" in spelling and (path := str(PurePosixPath(spelling))) in relatives:
            return [path]
    return []
