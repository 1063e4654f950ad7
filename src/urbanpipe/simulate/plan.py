"""Which videos there will be, and what is to be seen in each: drawn before any pixel, from the seed alone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MAX_LABELS = 3
FLOOR = 10
NORMAL_SHARE = 0.2
SIBLING_LIKENESS = 0.6
_SHARES = {"CJ": 0.30, "CK": 0.24, "ZW": 0.18, "JG": 0.16, "PL": 0.13, "SG": 0.10, "FZ": 0.09, "AJ": 0.09}


@dataclass(frozen=True)
class VideoPlan:
    """One video to be made.

    Attributes:
        name: file name, `<site>_<n>.mp4`.
        site: number of the site, from 0.
        number: number of the video at its site, from 1.
        labels: codes of the defects to be seen; empty where there is none.
        duration_seconds: about how long it will be.
    """

    name: str
    site: int
    number: int
    labels: tuple[str, ...]
    duration_seconds: float


def plan_videos(
    videos: int, seed: int, defects: Sequence[str], with_normal: bool, seconds: tuple[float, float]
) -> list[VideoPlan]:
    """Draw sites, names, durations and label sets.

    Every class gets at least `FLOOR` videos where `videos` allows it. The videos of a site are alike in their labels
    more often than not, as pieces of one inspection are.
    """
    rng = np.random.default_rng((seed, 0))
    sizes = _site_sizes(rng, videos)
    numbers = rng.choice(90000, size=len(sizes), replace=False) + 10000
    label_sets = _arrange(rng, _label_sets(rng, videos, defects, with_normal), sizes)
    durations = rng.uniform(*seconds, size=videos)
    places = [(site, number) for site, size in enumerate(sizes) for number in range(1, size + 1)]
    return [
        VideoPlan(f"k{numbers[site]}_{number}.mp4", site, number, labels, float(duration))
        for (site, number), labels, duration in zip(places, label_sets, durations, strict=True)
    ]


def _site_sizes(rng: np.random.Generator, videos: int) -> list[int]:
    sizes: list[int] = []
    while (left := videos - sum(sizes)) > 0:
        sizes.append(min(left, int(rng.choice((1, 2, 3, 4), p=(0.45, 0.3, 0.15, 0.1)))))
    return sizes


def _label_sets(
    rng: np.random.Generator, videos: int, defects: Sequence[str], with_normal: bool
) -> list[tuple[str, ...]]:
    """`videos` label sets: each with 1 to MAX_LABELS defects, or none where the video is a normal one."""
    if not defects:
        return [()] * videos
    normal = max(round(NORMAL_SHARE * videos), min(FLOOR, videos // 4)) if with_normal else 0
    sets: list[set[str]] = [set() for _ in range(videos - normal)]
    floor = min(FLOOR, max(1, int(1.5 * len(sets) / len(defects))))
    for code in _slots(rng, len(sets), defects, floor):
        open_sets = [labels for labels in sets if code not in labels and len(labels) < MAX_LABELS]
        empty = [labels for labels in open_sets if not labels]
        if candidates := empty or open_sets:
            candidates[int(rng.integers(len(candidates)))].add(code)
    return [tuple(code for code in defects if code in labels) for labels in sets] + [()] * normal


def _slots(rng: np.random.Generator, videos: int, defects: Sequence[str], floor: int) -> list[str]:
    """Codes to deal out, mixed: at least one for each video, at least `floor` of each class."""
    wanted = {code: max(floor, round(_SHARES[code] * videos)) for code in defects}
    total = sum(_SHARES[code] for code in defects)
    missing = videos - sum(wanted.values())
    if missing > 0:
        for code in defects:
            wanted[code] += math.ceil(missing * _SHARES[code] / total)
    slots = [code for code in defects for _ in range(min(wanted[code], videos))]
    return [slots[index] for index in rng.permutation(len(slots))]


def _arrange(rng: np.random.Generator, sets: list[tuple[str, ...]], sizes: Sequence[int]) -> list[tuple[str, ...]]:
    """Deal the label sets to the sites, so that the videos of a site are often alike."""
    left = [sets[index] for index in rng.permutation(len(sets))]
    dealt: list[tuple[str, ...]] = []
    for size in sizes:
        first = left.pop()
        dealt.append(first)
        for _ in range(size - 1):
            alike = rng.random() < SIBLING_LIKENESS
            nearest = max(range(len(left)), key=lambda index: _likeness(first, left[index])) if alike else -1
            dealt.append(left.pop(nearest))
    return dealt


def _likeness(one: tuple[str, ...], other: tuple[str, ...]) -> float:
    return len(set(one) & set(other)) / max(1, len(set(one) | set(other))) if one or other else 1.0
