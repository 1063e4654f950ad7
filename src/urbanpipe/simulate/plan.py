"""Plan the videos and their defects from the seed alone, before any pixel is rendered."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

SIBLING_LIKENESS = 0.6
NORMAL = "ZC"
BRIEF_CLASSES = frozenset(("PL", "FS", "JG", "AJ", "CR", "TL", "SG", "SL", "ZW"))
"""Classes local enough to be outside the picture until the camera glances at them."""
_MORE_A_MINUTE = 0.5
"""Mean number of further defects of a class per minute in the video of a crawler."""


@dataclass(frozen=True)
class VideoPlan:
    """Plan of one video.

    Attributes:
        name: file name, `<site>_<n>.mp4`.
        site: number of the site, from 0.
        number: number of the video at its site, from 1.
        labels: codes of the visible defects, in the order of the taxonomy; empty if there are none. A class with
            several defects is repeated.
        duration_seconds: approximate duration.
        brief: the label, if any, that is visible only briefly, between two of nine uniform frames.
    """

    name: str
    site: int
    number: int
    labels: tuple[str, ...]
    duration_seconds: float
    brief: str | None = None


def plan_videos(
    videos: int,
    seed: int,
    classes: Sequence[str],
    *,
    seconds: tuple[float, float],
    brief: float = 0.15,
    balance: float = 0.0,
) -> list[VideoPlan]:
    """Draw sites, names, durations and label sets.

    Label sets are drawn as they occur in QV-Pipe (`field.toml`), so class frequencies, labels per video and pairs of
    labels match the data set; codes that are not in `classes` are removed from the sets. Videos of a site are often
    similar in their labels, as segments of one inspection are.

    Args:
        videos: number of videos.
        seed: seed of all random choices.
        classes: codes to draw, in the order of the taxonomy; with `NORMAL`, some videos show no defect.
        seconds: shortest and longest duration.
        brief: share of the videos with defects that show one only briefly, if their labels allow it.
        balance: 0 for the class frequencies of QV-Pipe, 1 for about equal frequencies.
    """
    rng = np.random.default_rng((seed, 0))
    sizes = _site_sizes(rng, videos)
    numbers = rng.choice(90000, size=len(sizes), replace=False) + 10000
    label_sets = _arrange(rng, _label_sets(rng, videos, classes, balance), sizes)
    durations = rng.uniform(*seconds, size=videos)
    wanted = _brief(rng, label_sets, brief)
    places = [(site, number) for site, size in enumerate(sizes) for number in range(1, size + 1)]
    return [
        VideoPlan(f"k{numbers[site]}_{number}.mp4", site, number, labels, float(duration), short)
        for (site, number), labels, duration, short in zip(places, label_sets, durations, wanted, strict=True)
    ]


def met_again(plans: Sequence[VideoPlan], seed: int) -> list[VideoPlan]:
    """Return the plans as long drives, in which a class may occur several times; more often in longer videos."""
    rng = np.random.default_rng((seed, 4))
    return [
        replace(
            plan,
            labels=tuple(
                code
                for code in plan.labels
                for _ in range(1 + int(rng.poisson(_MORE_A_MINUTE * plan.duration_seconds / 60)))
            ),
        )
        for plan in plans
    ]


@lru_cache
def field_sets() -> dict[tuple[str, ...], int]:
    """Return the label sets of QV-Pipe with their counts; (`NORMAL`,) is the set without a defect."""
    table = tomllib.loads((files("urbanpipe.simulate") / "field.toml").read_text(encoding="utf-8"))
    return {tuple(codes.split()): count for codes, count in table["sets"].items()}


def _label_sets(rng: np.random.Generator, videos: int, classes: Sequence[str], balance: float) -> list[tuple[str, ...]]:
    """Draw `videos` sets of defects.

    Each set is taken as often as the integer part of its expected count, so that small data sets miss no common class.
    """
    weights: dict[tuple[str, ...], float] = {}
    for codes, count in field_sets().items():
        kept = tuple(code for code in codes if code in classes)
        if kept:
            weights[kept] = weights.get(kept, 0.0) + count
    sets = list(weights)
    share = np.array([weights[codes] for codes in sets])
    often = {code: sum(weights[codes] for codes in sets if code in codes) for code in classes}
    rarest = np.array([max(sum(share) / often[code] for code in codes) for codes in sets])
    share = share * rarest**balance
    due = videos * share / share.sum()
    drawn = [codes for codes, count in zip(sets, due, strict=True) for _ in range(int(count))]
    rest = due - np.floor(due)
    if left := videos - len(drawn):
        chosen = _systematic(rng, rest / rest.sum(), left)
        drawn += [sets[index] for index in chosen]
    drawn = [drawn[index] for index in rng.permutation(len(drawn))]
    return [() if codes == (NORMAL,) else codes for codes in drawn]


def _systematic(rng: np.random.Generator, share: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Draw `count` items, each as often as expected to within one, by systematic sampling from one random start."""
    order = rng.permutation(len(share))
    marks = (rng.random() + np.arange(count)) / count
    found = np.searchsorted(np.cumsum(share[order]), marks * share.sum(), side="right")
    return order[np.minimum(found, len(share) - 1)].astype(np.int64)


def _site_sizes(rng: np.random.Generator, videos: int) -> list[int]:
    sizes: list[int] = []
    while (left := videos - sum(sizes)) > 0:
        sizes.append(min(left, int(rng.choice((1, 2, 3, 4, 7), p=(0.55, 0.24, 0.11, 0.07, 0.03)))))
    return sizes


def _arrange(rng: np.random.Generator, sets: list[tuple[str, ...]], sizes: Sequence[int]) -> list[tuple[str, ...]]:
    """Assign the label sets to the sites, so that videos of a site are often similar."""
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


def _brief(rng: np.random.Generator, sets: Sequence[tuple[str, ...]], share: float) -> list[str | None]:
    """Choose the briefly visible defect, or None, per video, in `share` of the videos with defects."""
    able = [index for index, labels in enumerate(sets) if BRIEF_CLASSES & set(labels)]
    count = min(len(able), round(share * sum(bool(labels) for labels in sets)))
    chosen = {able[index] for index in rng.permutation(len(able))[:count]}
    return [
        str(rng.choice(sorted(BRIEF_CLASSES & set(labels)))) if index in chosen else None
        for index, labels in enumerate(sets)
    ]
