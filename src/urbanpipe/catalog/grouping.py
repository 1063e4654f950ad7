"""Whether the groups that names suggest are inspections, or only a running number or a time at the end of the names."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from urbanpipe.catalog.catalog_file import Catalog, Source, column_values, group_of, source_of

_MAX_SHARE = 0.25  # of all videos in one group
_MIN_MEMBERS = 4  # smaller groups are few segments of one inspection, in however small an archive
_MAX_MEMBERS = 50  # the largest group of the 6,399 QV-Pipe videos has 17
_COUNTER_DIGITS = 4
_MAX_SEGMENT = 99  # the largest segment number of QV-Pipe is 34
_DATE = re.compile(r"(19|20)?\d\d[-.]?(0[1-9]|1[0-2])[-.]?(0[1-9]|[12]\d|3[01])", re.ASCII)
_TIME = re.compile(r"([01]\d|2[0-3])[0-5]\d([0-5]\d)?", re.ASCII)
_SHOWN = 3


def suspicious_groups(names: Sequence[str], groups: Sequence[str]) -> dict[str, str]:
    """Return the groups that are probably no inspections, and why.

    A group is suspicious if it holds more than a quarter of all videos or more than 50, or if the numbers at the end
    of its names are times or running numbers and so cannot be the numbers of segments.

    Args:
        names: the videos.
        groups: group of each.
    """
    members: dict[str, list[str]] = defaultdict(list)
    for name, group in zip(names, groups, strict=True):
        members[group].append(name)
    reasons = {}
    for group, videos in members.items():
        if len(videos) >= _MIN_MEMBERS and len(videos) > min(_MAX_SHARE * len(names), _MAX_MEMBERS):
            reasons[group] = f"it holds {len(videos)} of {len(names)} videos"
        elif len(videos) > 1 and (number := _running_number(group, videos)):
            reasons[group] = f"its names differ only in {number}"
    return reasons


def _running_number(group: str, names: Sequence[str]) -> str:
    """Return what the numbers at the end of a group's names are, if they cannot be the numbers of segments."""
    stems = [PurePosixPath(name).stem for name in names]
    root = PurePosixPath(group).name
    if any(PurePosixPath(group_of(name)).name != root for name in names):
        return ""  # not grouped by name
    numbers = [stem[len(root) + 1 :] for stem in stems if stem != root]
    if _DATE.search(root) and all(map(_TIME.fullmatch, numbers)):
        return "the time of day"
    if all(len(number) >= _COUNTER_DIGITS or int(number) > _MAX_SEGMENT for number in numbers):
        return "" if all(map(_DATE.fullmatch, numbers)) else "a running number"
    return ""


def plausible_groups(names: Sequence[str], groups: Sequence[str]) -> list[str]:
    """Return the group of each video, with every video of a suspicious group in one of its own."""
    suspicious = suspicious_groups(names, groups)
    return [name if group in suspicious else group for name, group in zip(names, groups, strict=True)]


def folder_groups(data: Source) -> list[str]:
    """Return the folder of each video: of its file if the source is a catalog, else of its name."""
    if data.catalog is not None:
        return [str(video.path.parent) for video in data.catalog.labelled]
    return [str(PurePosixPath(name.replace("\\", "/")).parent) for name in data.names]


def group_warnings(names: Sequence[str], groups: Sequence[str], advice: str) -> list[str]:
    """Return one line on each kind of suspicious group, with `advice` on what to group by instead."""
    reasons = suspicious_groups(names, groups)
    by_kind: dict[str, list[str]] = defaultdict(list)
    for group, reason in reasons.items():
        by_kind["a large share" if reason.startswith("it holds") else reason].append(group)
    return list(_lines(by_kind, reasons, advice))


def catalog_group_warnings(catalog: Catalog) -> list[str]:
    """Return the same on the readable videos of a catalog, labelled or not."""
    videos = tuple(replace(video, labels=video.labels or ()) for video in catalog.ok)
    data = source_of(Catalog(videos, catalog.taxonomy))
    return group_warnings(data.names, data.groups, f"when you make folds, {grouping_advice(data)}")


def _lines(by_kind: Mapping[str, Sequence[str]], reasons: Mapping[str, str], advice: str) -> Iterator[str]:
    for groups in by_kind.values():
        first = f"group {groups[0]!r} is probably not one inspection: {reasons[groups[0]]}"
        more = f" (and {len(groups) - 1} more groups)" if len(groups) > 1 else ""
        yield f"{first}{more}; {advice}"


def grouping_advice(data: Source, n_folds: int = 2) -> str:
    """Return what to group by instead of the names: only what gives at least `n_folds` groups of a plausible size."""
    ways = []
    if _is_usable(data.names, folder_groups(data), n_folds):
        ways.append("--group-by folder if each folder is an inspection")
    columns = _usable_columns(data, n_folds)
    ways += [f"--group-by {column}" for column in columns]
    if not columns:
        where = "the catalog" if data.catalog is not None else "a catalog from `urbanpipe scan`"
        ways.append(f"--group-by COLUMN with a column of your own in {where} that names the inspection")
    if len(data.names) >= n_folds:
        ways.append("--group-by none if every video is an inspection of its own")
    return f"use {', '.join(ways[:-1])}{' or ' if len(ways) > 1 else ''}{ways[-1]}"


def _is_usable(names: Sequence[str], groups: Sequence[str], n_folds: int) -> bool:
    sizes = Counter(groups)
    return len(sizes) >= n_folds and max(sizes.values()) * n_folds <= 2 * len(names)


def _usable_columns(data: Source, n_folds: int) -> list[str]:
    if data.catalog is None:
        return []
    videos = data.catalog.labelled
    columns = dict.fromkeys(key for video in videos for key in video.extra)
    values = {column: column_values(videos, column) or [] for column in columns}
    usable = [
        column
        for column, cells in values.items()
        if all(map(str.strip, cells)) and _is_usable(data.names, cells, n_folds)
    ]
    return usable[:_SHOWN]
