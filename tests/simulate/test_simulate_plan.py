"""Which labels, sites and names are drawn."""

import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from urbanpipe.simulate.defects import DRAW
from urbanpipe.simulate.plan import MAX_LABELS, VideoPlan, plan_videos

DEFECTS = list(DRAW)


def plans(videos: int, seed: int = 0, defects: list[str] = DEFECTS, normal: bool = True) -> list[VideoPlan]:
    return plan_videos(videos, seed, defects, normal, (3, 8))


@pytest.mark.parametrize("videos", [60, 100, 150])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_class_has_at_least_eight_videos(videos: int, seed: int) -> None:
    counts = Counter(code for plan in plans(videos, seed) for code in plan.labels or ("ZC",))
    assert counts.keys() == {"ZC", *DEFECTS}
    assert min(counts.values()) >= 8


def test_rare_classes_are_rarer() -> None:
    counts = Counter(code for plan in plans(600) for code in plan.labels)
    assert counts["CJ"] > 1.5 * counts["PL"] > counts["AJ"]


@settings(max_examples=60, deadline=None)
@given(
    videos=st.integers(1, 120),
    seed=st.integers(0, 10**6),
    defects=st.lists(st.sampled_from(DEFECTS), unique=True),
    normal=st.booleans(),
)
def test_plans_are_whole(videos: int, seed: int, defects: list[str], normal: bool) -> None:
    if not defects and not normal:
        return
    made = plans(videos, seed, defects, normal)
    assert len(made) == len({plan.name for plan in made}) == videos
    for plan in made:
        assert len(plan.labels) <= MAX_LABELS
        assert len(set(plan.labels)) == len(plan.labels)
        assert set(plan.labels) <= set(defects)
        assert plan.labels or normal
        assert 3 <= plan.duration_seconds <= 8
        assert re.fullmatch(r"k\d{5}_[1-4]\.mp4", plan.name)


def test_sites_have_one_to_four_videos_and_alike_labels() -> None:
    made = plans(600)
    sites = Counter(plan.site for plan in made)
    assert set(sites.values()) == {1, 2, 3, 4}

    def likeness(pairs: list[tuple[VideoPlan, VideoPlan]]) -> float:
        shares = [len(set(a.labels) & set(b.labels)) / max(1, len(set(a.labels) | set(b.labels))) for a, b in pairs]
        return sum(shares) / len(shares)

    defective = [plan for plan in made if plan.labels]
    siblings = [(a, b) for a in defective for b in defective if a.site == b.site and a.number < b.number]
    strangers = [(a, b) for a in defective[:60] for b in defective[300:360] if a.site != b.site]
    assert likeness(siblings) > 2 * likeness(strangers)


def test_neither_name_nor_duration_tells_the_labels() -> None:
    made = plans(1500)
    for code in ("ZC", *DEFECTS):
        has = [plan for plan in made if code in (plan.labels or ("ZC",))]
        rest = [plan for plan in made if code not in (plan.labels or ("ZC",))]
        for value in (lambda plan: int(plan.name[1:6]), lambda plan: plan.duration_seconds):
            middle = sorted(map(value, made))[len(made) // 2]
            low = [sum(value(plan) < middle for plan in group) / len(group) for group in (has, rest)]
            assert abs(low[0] - low[1]) < 0.15


def test_the_seed_decides() -> None:
    assert plans(50, 4) == plans(50, 4)
    assert [plan.labels for plan in plans(50, 4)] != [plan.labels for plan in plans(50, 5)]
