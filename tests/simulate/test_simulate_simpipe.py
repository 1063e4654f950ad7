"""SimPipe-1000 stays what it is: the labels planned for all its videos, and the truth of a few scenes."""

import hashlib
import json
from typing import Literal

import pytest

from urbanpipe.simulate.compose import compose
from urbanpipe.simulate.plan import VideoPlan, plan_videos
from urbanpipe.taxonomy import default_taxonomy


def plans(videos: int, seed: int, seconds: tuple[float, float], brief: float) -> list[VideoPlan]:
    return plan_videos(videos, seed, default_taxonomy().codes, seconds, brief)


def digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("videos", "seed", "seconds", "brief", "planned"),
    [
        (1000, 1000, (3.0, 25.0), 0.15, "TRAIN"),
        (300, 1001, (3.0, 25.0), 0.15, "TEST"),
        (40, 1002, (120.0, 240.0), 0.0, "CCTV"),
    ],
)
def test_the_planned_labels(
    videos: int, seed: int, seconds: tuple[float, float], brief: float, planned: str
) -> None:
    found = [(plan.name, plan.labels, plan.brief) for plan in plans(videos, seed, seconds, brief)]
    assert digest(found) == planned


@pytest.mark.parametrize(
    ("kind", "seed", "seconds", "truth"),
    [("qv", 1000, (3.0, 25.0), "QVTRUTH")],
)
def test_the_truth_of_the_first_scenes(
    kind: Literal["qv", "cctv"], seed: int, seconds: tuple[float, float], truth: str
) -> None:
    """Classes and places exactly; the seconds in view to a quarter."""
    found = []
    for plan in plans(1000, seed, seconds, 0.15)[:6]:
        for item in compose(plan, seed, kind, 12.5, 4 / 3).placed:
            found.append((plan.name, item.code, round(item.s, 2), round(item.severity, 2), item.seen.missed))
    assert digest(found) == truth
