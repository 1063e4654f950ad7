import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from urbanpipe.review.learning_order import learning_order, uncertainty
from urbanpipe.review_store.control_share import is_control

Given = tuple[NDArray[np.float64], list[str], NDArray[np.bool_]]


@st.composite
def pools(draw: st.DrawFn) -> Given:
    """Probabilities with missing rows, groups of several videos, and videos that are reviewed already."""
    n, classes = draw(st.integers(0, 30)), draw(st.integers(1, 5))
    probabilities = draw(hnp.arrays(np.float64, (n, classes), elements=st.floats(0, 1)))
    probabilities[draw(hnp.arrays(np.bool_, n))] = np.nan
    groups = [f"g{number}" for number in draw(hnp.arrays(np.int64, n, elements=st.integers(0, 6)))]
    return probabilities, groups, draw(hnp.arrays(np.bool_, n))


@given(pools(), st.booleans())
@settings(deadline=None)
def test_the_order_is_a_permutation_of_the_open_videos_and_always_the_same(pool: Given, has_features: bool) -> None:
    probabilities, groups, reviewed = pool
    features = np.arange(3.0 * len(groups)).reshape(-1, 3) % 7 if has_features else None
    order = learning_order(probabilities, groups, reviewed=reviewed, features=features)
    assert sorted(order) == np.flatnonzero(~reviewed).tolist()
    again = learning_order(probabilities.copy(), np.array(groups), reviewed=reviewed.copy(), features=features)
    assert np.array_equal(order, again)


@given(pools(), st.booleans())
@settings(deadline=None)
def test_no_group_has_a_further_turn_before_every_other_had_its_own(pool: Given, has_features: bool) -> None:
    probabilities, groups, reviewed = pool
    features = np.arange(3.0 * len(groups)).reshape(-1, 3) % 7 if has_features else None
    left = [groups[video] for video in np.flatnonzero(~reviewed)]
    taken = dict.fromkeys(left, 0)
    for video in learning_order(probabilities, groups, reviewed=reviewed, features=features):
        group = groups[video]
        waiting = [count for other, count in taken.items() if count < left.count(other)]
        assert taken[group] == min(waiting)
        taken[group] += 1


def test_the_most_uncertain_video_is_first_and_the_surest_last() -> None:
    probabilities = np.array([[0.99, 0.02], [0.5, 0.45], [0.0, 1.0], [0.7, 0.2]])
    assert learning_order(probabilities, list("abcd")).tolist() == [1, 3, 0, 2]


def test_twenty_neighbours_from_one_pipe_take_turns_with_the_others() -> None:
    probabilities = np.concatenate([np.full((20, 3), 0.5), np.full((5, 3), 0.9)])
    groups = ["pipe"] * 20 + [f"other{number}" for number in range(5)]
    assert learning_order(probabilities, groups)[:7].tolist() == [0, 20, 21, 22, 23, 24, 1]


def test_with_features_videos_that_look_alike_are_not_reviewed_one_after_the_other() -> None:
    probabilities, groups = np.array([[0.5], [0.49], [0.48], [0.3]]), list("abcd")
    features = np.array([[0.0, 0.0], [0.0, 0.1], [0.1, 0.0], [5.0, 5.0]])
    assert learning_order(probabilities, groups).tolist() == [0, 1, 2, 3]
    assert learning_order(probabilities, groups, features=features)[:2].tolist() == [0, 3]


def test_equal_features_leave_every_video_in_the_order() -> None:
    order = learning_order(np.array([[0.1], [0.5], [np.nan]]), list("abc"), features=np.ones((3, 4)))
    assert sorted(order) == [0, 1, 2]
    assert order[0] == 1


def test_a_rare_class_counts_as_much_as_a_frequent_one() -> None:
    frequent, rare = np.full(100, 0.4), np.full(100, 0.01)
    frequent[0], rare[1] = 0.5, 0.2
    assert learning_order(np.column_stack([frequent, rare]), [str(number) for number in range(100)])[0] == 1


def test_videos_without_probabilities_come_last_and_are_never_lost() -> None:
    probabilities = np.array([[np.nan, 0.5], [0.9, 0.9], [np.nan, np.nan], [0.5, 0.5]])
    assert learning_order(probabilities, list("abcd")).tolist() == [3, 1, 0, 2]
    assert learning_order(np.full((3, 2), np.nan), list("aab")).tolist() == [0, 2, 1]


def test_a_single_video_equal_videos_and_none() -> None:
    assert learning_order(np.array([[0.3]]), ["a"]).tolist() == [0]
    assert learning_order(np.full((4, 2), 0.3), list("abcd")).tolist() == [0, 1, 2, 3]
    assert learning_order(np.zeros((4, 2)), list("abcd")).tolist() == [0, 1, 2, 3]
    assert learning_order(np.zeros((0, 2)), []).tolist() == []
    assert learning_order(np.zeros((2, 2)), ["a", "b"], reviewed=np.array([True, True])).tolist() == []


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match=r"equal length, not \[2, 1, 2\]"):
        learning_order(np.zeros((2, 3)), ["a"])


def test_uncertainty_is_none_where_nothing_is_known() -> None:
    found = uncertainty(np.array([[0.5, 0.5], [np.nan, 0.5], [0.0, 1.0]]))
    assert found[0] > 0
    assert np.isnan(found[1])
    assert found[2] == 0


def test_the_control_share_is_a_random_share_that_the_digest_decides() -> None:
    digests = [hashlib.blake2b(str(number).encode(), digest_size=16).hexdigest() for number in range(20_000)]
    chosen = [is_control(digest) for digest in digests]
    assert chosen == [is_control(digest) for digest in digests]
    assert abs(np.mean(chosen) - 0.1) < 0.01
    assert abs(np.mean([is_control(digest, 0.3) for digest in digests]) - 0.3) < 0.015
    assert all(is_control(digest, 0.3) for digest, is_one in zip(digests, chosen, strict=True) if is_one)


def test_a_control_share_of_nothing_and_of_everything() -> None:
    digests = [f"{number:032x}" for number in range(100)]
    assert not any(is_control(digest, 0.0) for digest in digests)
    assert all(is_control(digest, 1.0) for digest in digests)
