import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from urbanpipe.errors import PredictionError
from urbanpipe.evaluation.average_precision import average_precision, average_precisions, ranking, score
from urbanpipe.taxonomy import DefectClass, Taxonomy, default_taxonomy

SMALL = Taxonomy("small", tuple(DefectClass(i, code, code) for i, code in enumerate(("OK", "A", "B"))), exclusive="OK")


def official(scores: list[float], targets: list[bool]) -> float:
    """The public scorer's definition, step by step: seeded shuffle, stable sort, mean precision at the positives."""
    state = random.getstate()
    random.seed(0)
    order = random.sample(range(len(scores)), len(scores))
    random.setstate(state)
    pairs = [(scores[i], targets[i]) for i in order]
    pairs.sort(key=lambda pair: pair[0], reverse=True)
    found, total = 0, 0.0
    for rank, (_, positive) in enumerate(pairs, start=1):
        if positive:
            found += 1
            total += found / rank
    return total / found if found else 0.0


def column(levels: st.SearchStrategy[float]) -> st.SearchStrategy[list[tuple[float, bool]]]:
    return st.lists(st.tuples(levels, st.booleans()), min_size=1, max_size=60)


tied = column(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]))
untied = column(st.floats(0, 1)).filter(lambda pairs: len({s for s, _ in pairs}) == len(pairs))


@given(tied | column(st.floats(0, 1)))
@settings(max_examples=300)
def test_equals_the_official_definition_bit_for_bit(pairs: list[tuple[float, bool]]) -> None:
    scores, targets = [s for s, _ in pairs], [t for _, t in pairs]
    assert average_precision(scores, targets) == official(scores, targets)


@pytest.mark.parametrize("digits", [1, 3, 17])
def test_equals_the_official_definition_at_real_size(digits: int) -> None:
    rng = np.random.default_rng(digits)
    scores, targets = rng.random(6399).round(digits), rng.random(6399) < 0.2
    assert average_precision(scores, targets) == official(scores.tolist(), targets.tolist())


@pytest.mark.slow
@given(untied)
def test_equals_scikit_learn_without_ties(pairs: list[tuple[float, bool]]) -> None:
    scores, targets = [s for s, _ in pairs], [t for _, t in pairs]
    if any(targets):
        assert average_precision(scores, targets) == pytest.approx(average_precision_score(targets, scores), abs=1e-12)


@given(tied)
def test_ties_move_it_no_further_than_the_best_and_worst_order(pairs: list[tuple[float, bool]]) -> None:
    scores, targets = np.array([s for s, _ in pairs]), np.array([t for _, t in pairs])
    nudge = 1e-6 * targets
    ap = average_precision(scores, targets)
    assert (
        average_precision(scores - nudge, targets) - 1e-12 <= ap <= average_precision(scores + nudge, targets) + 1e-12
    )


def test_ties_are_not_those_of_scikit_learn() -> None:
    targets = np.arange(50) % 5 == 0
    scores = np.full(50, 0.5)
    assert average_precision_score(targets, scores) == pytest.approx(0.2)
    assert average_precision(scores, targets) == official(scores.tolist(), targets.tolist())
    assert abs(average_precision(scores, targets) - 0.2) > 0.001


@given(tied)
def test_depends_on_the_order_of_the_scores_alone(pairs: list[tuple[float, bool]]) -> None:
    scores, targets = np.array([s for s, _ in pairs]), [t for _, t in pairs]
    assert average_precision(scores, targets) == average_precision(4 * scores - 7, targets)


def test_known_values() -> None:
    assert average_precision([0.9, 0.8, 0.1], [True, False, True]) == (1 + 2 / 3) / 2
    assert average_precision([3, 2, 1], [1, 1, 0]) == 1.0
    assert average_precision([0.9, 0.1], [False, False]) == 0.0
    assert average_precision([], []) == 0.0


def test_leaves_the_global_random_state_alone() -> None:
    random.seed(5)
    expected = [random.random() for _ in range(3)]
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002 - it is the global state that is looked at
    before = np.random.get_state()[1].copy()  # type: ignore[index]  # noqa: NPY002
    average_precision([0.5] * 777, [True] * 777)
    assert [random.random() for _ in range(3)] == expected
    assert (np.random.get_state()[1] == before).all()  # type: ignore[index]  # noqa: NPY002


def test_ranking_is_a_permutation_by_falling_score() -> None:
    scores = np.random.default_rng(0).random(500).round(1)
    order = ranking(scores)
    assert sorted(order.tolist()) == list(range(500))
    assert (np.diff(scores[order]) <= 0).all()


def test_refuses_what_is_no_score() -> None:
    with pytest.raises(PredictionError, match="first in row 1"):
        average_precision([0.1, float("nan")], [True, False])
    with pytest.raises(ValueError, match="must both be"):
        average_precision([0.1, 0.2], [True])
    with pytest.raises(PredictionError, match="first in row 0"):
        score([[0.1, 0.2, float("nan")]], [[1, 0, 0]], SMALL)
    with pytest.raises(ValueError, match=r"\(n, 3\)"):
        score([[0.1, 0.2]], [[1, 0]], SMALL)
    with pytest.raises(ValueError, match="zero, skip"):
        score([[0.1, 0.2, 0.3]], [[1, 0, 0]], SMALL, empty="none")  # type: ignore[arg-type]


def test_means_with_and_without_the_exclusive_class() -> None:
    rng = np.random.default_rng(1)
    scores, targets = rng.random((200, 17)), rng.random((200, 17)) < 0.3
    found = score(scores, targets, default_taxonomy())
    each: NDArray[np.float64] = np.array(
        [official(s.tolist(), t.tolist()) for s, t in zip(scores.T, targets.T, strict=True)]
    )
    assert (found.ap == each).all()
    assert found.map_all == pytest.approx(each.mean())
    assert found.map_defects == pytest.approx(each[1:].mean())
    assert found.positives.tolist() == targets.sum(axis=0).tolist()
    assert found.videos == 200
    assert found.empty_classes == ()


def test_class_without_positives_counts_as_zero_or_not_at_all() -> None:
    scores, targets = [[0.9, 0.8, 0.3], [0.1, 0.2, 0.3]], [[1, 1, 0], [0, 0, 0]]
    zero, skip = score(scores, targets, SMALL, "zero"), score(scores, targets, SMALL, "skip")
    assert zero.empty_classes == skip.empty_classes == ("B",)
    assert zero.map_all == pytest.approx(2 / 3)
    assert zero.map_defects == pytest.approx(1 / 2)
    assert (skip.map_all, skip.map_defects) == (1.0, 1.0)
    assert zero.to_json()["ap"] == {"OK": 1.0, "A": 1.0, "B": 0.0}
    assert skip.to_json()["ap"]["B"] is None


def test_no_positives_at_all() -> None:
    nothing = [[0, 0, 0], [0, 0, 0]]
    assert score([[0.1, 0.2, 0.3]] * 2, nothing, SMALL).map_all == 0.0
    assert score([[0.1, 0.2, 0.3]] * 2, nothing, SMALL, "skip").to_json()["map_all"] is None


def test_many_rankings_at_once_are_those_of_one_after_the_other() -> None:
    rng = np.random.default_rng(4)
    scores, targets = rng.random((3, 5, 40)).round(1), rng.random((5, 40)) > 0.8  # with ties
    targets[0] = False
    found = average_precisions(scores, targets)
    assert found.shape == (3, 5)
    assert found.tolist() == [[average_precision(*pair) for pair in zip(each, targets, strict=True)] for each in scores]
    assert found[:, 0].tolist() == [0.0] * 3
    assert average_precisions(np.zeros((2, 0)), np.zeros((2, 0), bool)).tolist() == [0.0, 0.0]
