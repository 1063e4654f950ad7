"""Names that distinguish inspected videos: the same in the index, in tables and in messages."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from urbanpipe.contracts.findings import VideoFacts
from urbanpipe.contracts.names import canonical_name


def distinct_names(videos: Sequence[VideoFacts], folders: Sequence[Path]) -> list[str]:
    """Return the file name of each video; for equal names, the shortest ends of their paths that differ.

    Args:
        videos: the inspected files.
        folders: the folder of each inspection; its name is added where one file was inspected twice.
    """
    again = [f"{canonical_name(video.name)} [{folder.name}]" for video, folder in zip(videos, folders, strict=True)]
    return distinct_file_names([(video.name, video.path) for video in videos], again)


def distinct_file_names(files: Sequence[tuple[str, str]], fallback: Sequence[str]) -> list[str]:
    """Return the name of each file; for equal names, the shortest ends of their paths that differ.

    Args:
        files: name and path of each file.
        fallback: names for equal names where one path occurs twice.
    """
    names = [canonical_name(name) for name, _ in files]
    indices_by_name: defaultdict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(names):
        indices_by_name[name].append(index)
    for indices in indices_by_name.values():
        if len(indices) > 1:
            paths = [re.split(r"[\\/]+", canonical_name(files[index][1])) for index in indices]
            labels = _tails(paths) or [fallback[index] for index in indices]
            for index, label in zip(indices, labels, strict=True):
                names[index] = label
    return names


def equal_contents(digests: Iterable[str]) -> list[list[int]]:
    """Return the indices of videos with equal contents, in groups of at least two, from their digests."""
    indices_by_digest: defaultdict[str, list[int]] = defaultdict(list)
    for index, digest in enumerate(digests):
        indices_by_digest[digest].append(index)
    return [indices for indices in indices_by_digest.values() if len(indices) > 1]


def _tails(paths: Sequence[Sequence[str]]) -> list[str] | None:
    """Return the shortest ends of paths that differ; None if a path occurs twice."""
    for depth in range(2, max(map(len, paths)) + 1):
        tails = ["/".join(path[-depth:]) for path in paths]
        if len(set(tails)) == len(tails):
            return tails
    return None
