"""Which labels, sites and names are drawn."""

import re
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from urbanpipe.simulate.plan import BRIEF_CLASSES, NORMAL, VideoPlan, field_sets, met_again, plan_videos
from urbanpipe.taxonomy import default_taxonomy

CODES = list(default_taxonomy().codes)
# Videos of each class and with each number of labels among the 6,399 training videos of QV-Pipe.
FIELD = dict(
    zip(
        CODES,
        (1690, 1502, 1128, 770, 646, 270, 492, 521, 374, 243, 340, 223, 164, 100, 98, 228, 133),
        strict=True,
    )
)
VIDEOS = 6399


def plans(videos: int, seed: int = 0, classes: list[str] = CODES, **more: float) -> list[VideoPlan]:
    return plan_videos(videos, seed, classes, seconds=(3, 8), **more)


def counts(made: list[VideoPlan]) -> Counter[str]:
    return Counter(code for plan in made for code in plan.labels or (NORMAL,))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_two_thousand_label_sets_are_those_of_the_field(seed: int) -> None:
    """Frequencies, labels a video, and the common pairs."""
    made = plans(2000, seed)
    found = counts(made)
    for code, videos in FIELD.items():
        due = 2000 * videos / VIDEOS
        assert abs(found[code] - due) < 5 + 0.08 * due, code
    numbers = Counter(len(plan.labels) or 1 for plan in made)
    assert numbers[1] / 2000 == pytest.approx(4335 / VIDEOS, abs=0.03)
    assert numbers[2] / 2000 == pytest.approx(1654 / VIDEOS, abs=0.03)
    assert sum(len(plan.labels) or 1 for plan in made) / 2000 == pytest.approx(1.39, abs=0.05)
    pairs = Counter(pair for plan in made for pair in combinations(sorted(plan.labels), 2))
    assert pairs["CJ", "CK"] == pytest.approx(2000 * 356 / VIDEOS, rel=0.1)
    assert pairs["CK", "ZW"] == pytest.approx(2000 * 172 / VIDEOS, rel=0.15)


def test_the_field_s_sets_hold_normal_alone() -> None:
    assert field_sets()[NORMAL,] == 1690
    assert all(len(codes) == 1 or NORMAL not in codes for codes in field_sets())
    assert sum(field_sets().values()) == VIDEOS


def test_balance_makes_rare_classes_common() -> None:
    classes = ["ZC", "CJ", "CK", "SG", "AJ"]
    rare, even = counts(plans(240, 0, classes)), counts(plans(240, 0, classes, balance=1.0))
    assert max(rare.values()) > 6 * min(rare.values())
    assert max(even.values()) < 2 * min(even.values())


@settings(max_examples=60)
@given(
    videos=st.integers(1, 120),
    seed=st.integers(0, 10**6),
    classes=st.lists(st.sampled_from(CODES), unique=True, min_size=1),
    brief=st.floats(0, 1),
    balance=st.floats(0, 1),
)
def test_plans_are_whole(videos: int, seed: int, classes: list[str], brief: float, balance: float) -> None:
    made = plans(videos, seed, classes, brief=brief, balance=balance)
    assert len(made) == len({plan.name for plan in made}) == videos
    for plan in made:
        assert set(plan.labels) <= set(classes) - {NORMAL}
        assert plan.labels or NORMAL in classes
        assert len(set(plan.labels)) == len(plan.labels)
        assert 3 <= plan.duration_seconds <= 8
        assert plan.brief is None or plan.brief in BRIEF_CLASSES & set(plan.labels)
        assert re.fullmatch(r"k\d{5}_[1-7]\.mp4", plan.name)


def test_the_wanted_share_is_brief() -> None:
    made = plans(600, brief=0.2)
    defective = [plan for plan in made if plan.labels]
    assert sum(plan.brief is not None for plan in defective) == round(0.2 * len(defective))


def test_sites_have_several_videos_with_alike_labels() -> None:
    made = plans(600)
    assert {1, 2, 3} < set(Counter(plan.site for plan in made).values())

    def likeness(pairs: list[tuple[VideoPlan, VideoPlan]]) -> float:
        shares = [len(set(a.labels) & set(b.labels)) / max(1, len(set(a.labels) | set(b.labels))) for a, b in pairs]
        return float(np.mean(shares))

    defective = [plan for plan in made if plan.labels]
    siblings = [(a, b) for a, b in combinations(defective, 2) if a.site == b.site]
    strangers = [(a, b) for a, b in combinations(defective[::5], 2) if a.site != b.site]
    assert likeness(siblings) > 2 * likeness(strangers)


def test_names_and_durations_say_nothing_of_the_labels() -> None:
    made = plans(1500)
    normal = np.array([not plan.labels for plan in made])
    numbers = np.array([int(plan.name[1:6]) for plan in made])
    seconds = np.array([plan.duration_seconds for plan in made])
    for values in (numbers, seconds):
        ranks = values.argsort().argsort() / len(values)
        assert abs(ranks[normal].mean() - ranks[~normal].mean()) < 0.06


def test_a_long_drive_meets_a_class_again_and_no_other() -> None:
    before = plan_videos(300, 0, CODES, seconds=(120, 240))
    after = met_again(before, 0)
    assert [set(plan.labels) for plan in after] == [set(plan.labels) for plan in before]
    more = sum(len(plan.labels) for plan in after) / sum(len(plan.labels) for plan in before) - 1
    assert more == pytest.approx(0.5 * 180 / 60, rel=0.15)
    assert all(list(plan.labels) == sorted(plan.labels, key=CODES.index) for plan in after)
    assert met_again(before, 0) == after
