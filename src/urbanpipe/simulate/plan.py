"""Which videos there will be, and what is to be seen in each: drawn before any pixel, from the seed alone."""

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
"""Classes local enough to be out of the picture until the camera glances at them."""
_MORE_A_MINUTE = 0.5
"""Further defects of a class that a crawler meets, on average."""


@dataclass(frozen=True)
class VideoPlan:
    """One video to be made.

    Attributes:
        name: file name, `<site>_<n>.mp4`.
        site: number of the site, from 0.
        number: number of the video at its site, from 1.
        labels: codes of the defects to be seen, in the order of the taxonomy; empty where there is none. A class that
            is to be met several times stands there as often.
        duration_seconds: about how long it will be.
        brief: the label, if any, that is to be seen for a moment only, between two of nine uniform frames.
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

    Label sets are drawn as QV-Pipe has them (`field.toml`), so that frequencies, numbers of labels a video and pairs of
    labels are those of the field; what is not in `classes` is left out of them. The videos of a site are alike in their
    labels more often than not, as pieces of one inspection are.

    Args:
        videos: how many.
        seed: of everything.
        classes: codes to be drawn, in the order of the taxonomy; with `NORMAL` some videos show no defect.
        seconds: shortest and longest duration.
        brief: share of the videos with a defect that show one for a moment only, where their labels allow it.
        balance: 0 draws classes as often as the field has them, 1 about equally often.
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
    """The same videos as long drives, in which a defect's class may be met several times, the more the longer."""
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
    """Label sets of QV-Pipe and how many videos have each; (`NORMAL`,) is the set without a defect."""
    table = tomllib.loads((files("urbanpipe.simulate") / "field.toml").read_text(encoding="utf-8"))
    return {tuple(codes.split()): count for codes, count in table["sets"].items()}


def _label_sets(rng: np.random.Generator, videos: int, classes: Sequence[str], balance: float) -> list[tuple[str, ...]]:
    """`videos` sets of defects: in whole shares as often as they are due, so that small sets miss no common class."""
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
    """`count` draws that hit every item as often as it is due, to less than one: one random start, even steps."""
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


def _brief(rng: np.random.Generator, sets: Sequence[tuple[str, ...]], share: float) -> list[str | None]:
    """For each video the defect to be seen for a moment only, or None, in `share` of those that have one."""
    able = [index for index, labels in enumerate(sets) if BRIEF_CLASSES & set(labels)]
    count = min(len(able), round(share * sum(bool(labels) for labels in sets)))
    chosen = {able[index] for index in rng.permutation(len(able))[:count]}
    return [
        str(rng.choice(sorted(BRIEF_CLASSES & set(labels)))) if index in chosen else None
        for index, labels in enumerate(sets)
    ]
