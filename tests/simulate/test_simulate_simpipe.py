"""SimPipe-1000 stays what it is: the labels planned for all its videos, and the truth of a few scenes."""

import hashlib
import json

import pytest

from urbanpipe.simulate.compose import compose
from urbanpipe.simulate.plan import VideoPlan, met_again, plan_videos
from urbanpipe.taxonomy import default_taxonomy


def plans(videos: int, seed: int, seconds: tuple[float, float], brief: float, balance: float = 0.0) -> list[VideoPlan]:
    return plan_videos(videos, seed, default_taxonomy().codes, seconds, brief, balance)


def digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("videos", "seed", "seconds", "brief", "balance", "planned"),
    [
        (1000, 1000, (3.0, 25.0), 0.15, 0.0, "3c01fe004894a4d6"),
        (300, 1001, (3.0, 25.0), 0.15, 0.0, "96a3a5a7b6f46939"),
        (150, 1003, (3.0, 25.0), 0.3, 1.0, "001f336202faca6b"),
        (40, 1002, (120.0, 240.0), 0.0, 0.0, "b02fb5f3a5ace608"),
    ],
)
def test_the_planned_labels(
    videos: int, seed: int, seconds: tuple[float, float], brief: float, balance: float, planned: str
) -> None:
    drawn = plans(videos, seed, seconds, brief, balance)
    found = [(plan.name, plan.labels, plan.brief) for plan in (met_again(drawn, seed) if seconds[0] > 60 else drawn)]
    assert digest(found) == planned


def test_the_truth_of_the_first_scenes() -> None:
    """Classes, places and strengths, and which are missed by nine uniform frames."""
    found = [
        (plan.name, item.code, round(item.s, 2), round(item.severity, 2), item.seen.missed)
        for plan in plans(1000, 1000, (3.0, 25.0), 0.15)[:6]
        for item in compose(plan, 1000, "qv", 12.5, 4 / 3).placed
    ]
    assert digest(found) == "1cadb6af5b69adb1"
