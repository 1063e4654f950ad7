from collections import Counter
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from helpers.evaluation_sets import labelled
from urbanpipe.decision.exclusive import apply_exclusive
from urbanpipe.decision.thresholds import UNKNOWN, decision_metrics, f1_thresholds, nested_decisions, recall_thresholds
from urbanpipe.ensembling import weights as weights_module
from urbanpipe.ensembling.weights import (
    EligibleMembers,
    Search,
    best_per_class,
    equal_weights,
    given_weights,
    mean_map,
    read_weights,
    search_bagged,
    search_nested,
    search_simplex,
    search_weights,
    weighted_mean,
    weights_by,
)
from urbanpipe.errors import RecipeError
from urbanpipe.evaluation.average_precision import average_precision, score
from urbanpipe.evaluation.evaluation_set import EvaluationSet
from urbanpipe.taxonomy import DefectClass, Taxonomy

SMALL = Taxonomy("small", tuple(DefectClass(i, c, c) for i, c in enumerate(("A", "OK", "B"))), exclusive="OK")
PLAIN = Taxonomy("plain", SMALL.classes)
FOLDS = np.arange(200) % 5

pairs = st.lists(
    st.tuples(st.sampled_from([0.0, 0.2, 0.4, 0.4 + 1e-16, 0.7, 1.0]), st.booleans()), min_size=1, max_size=12
)


def test_rule_sets_what_is_surely_in_order_to_one_and_the_rest_to_zero() -> None:
    scores = np.array([[0.5, 0.91, 0.2], [0.5, 0.9, 0.2], [0.9, 0.1, 0.95]])
    found = apply_exclusive(scores, SMALL, 0.9)
    assert found.tolist() == [[0, 1, 0], [0.5, 0.9, 0.2], [0.9, 0.1, 0.95]]
    assert scores[0, 0] == 0.5, "the scores given are left alone"
    assert (apply_exclusive(found, SMALL, 0.9) == found).all()


def test_rule_left_out() -> None:
    scores = np.array([[0.5, 0.99, 0.2]])
    assert (apply_exclusive(scores, SMALL, None) == scores).all()
    assert (apply_exclusive(scores, PLAIN, 0.9) == scores).all()


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_rule_refuses_impossible_thresholds(threshold: float) -> None:
    with pytest.raises(RecipeError, match=r"in \[0, 1\], or off"):
        apply_exclusive(np.zeros((1, 3)), SMALL, threshold)


def f1_of(threshold: float, scores: list[float], targets: list[bool]) -> float:
    said = [s >= threshold for s in scores]
    right = sum(a and b for a, b in zip(said, targets, strict=True))
    return 2 * right / (sum(said) + sum(targets))


@pytest.mark.slow
@given(pairs)
@settings(max_examples=300)
def test_f1_threshold_is_the_best_of_all(rows: list[tuple[float, bool]]) -> None:
    scores, targets = [s for s, _ in rows], [t for _, t in rows]
    found = float(f1_thresholds(np.array([scores]).T, np.array([targets]).T)[0])
    if any(targets):
        best = max(f1_of(t, scores, targets) for t in scores)
        assert f1_of(found, scores, targets) == pytest.approx(best)
        assert 0 <= found <= 1
    else:
        assert found == UNKNOWN


@pytest.mark.slow
@given(pairs, st.floats(0.01, 1))
@settings(max_examples=300)
def test_recall_threshold_is_the_highest_that_finds_enough(rows: list[tuple[float, bool]], recall: float) -> None:
    scores, targets = [s for s, _ in rows], [t for _, t in rows]
    found = float(recall_thresholds(np.array([scores]).T, np.array([targets]).T, recall)[0])
    positives = [s for s, t in rows if t]
    if not positives:
        assert found == UNKNOWN
        return
    enough = recall * len(positives) - 1e-9
    assert sum(s >= found for s in positives) >= enough
    higher = [s for s in scores if s >= found and s > min(s for s in scores if s >= found)]
    if higher:
        assert sum(s >= min(higher) for s in positives) < enough, "the next higher score would find too few"


def test_threshold_stands_half_way_to_the_next_score() -> None:
    scores, targets = np.array([[0.9, 0.8, 0.4]]).T, np.array([[True, True, False]]).T
    assert f1_thresholds(scores, targets)[0] == pytest.approx(0.6)
    assert recall_thresholds(scores, targets, 0.5)[0] == pytest.approx(0.85)


@pytest.mark.parametrize("recall", [0.0, -1.0, 1.01, float("nan")])
def test_impossible_recall(recall: float) -> None:
    with pytest.raises(RecipeError, match="above 0 and at most 1"):
        recall_thresholds(np.zeros((1, 3)), np.zeros((1, 3), dtype=bool), recall)


def test_decision_metrics_equal_those_of_scikit_learn() -> None:
    from sklearn.metrics import precision_recall_fscore_support

    rng = np.random.default_rng(0)
    present, targets = rng.random((80, 3)) < 0.5, rng.random((80, 3)) < 0.4
    found = decision_metrics(present, targets)
    expected = precision_recall_fscore_support(targets, present)
    assert np.allclose([found.precision, found.recall, found.f1], expected[:3])
    none = decision_metrics(np.zeros((4, 1), dtype=bool), np.zeros((4, 1), dtype=bool))
    assert np.isnan([none.precision, none.recall, none.f1]).all()


def test_nested_thresholds_are_not_optimistic() -> None:
    """Thresholds for noise look better on the videos that they were chosen on than on others."""
    gaps = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        scores, targets = rng.random((200, 3)), rng.random((200, 3)) < 0.1
        seen = decision_metrics(scores >= f1_thresholds(scores, targets), targets)
        gaps.append(seen.f1.mean() - np.nan_to_num(nested_decisions(scores, targets, FOLDS, f1_thresholds).f1).mean())
    assert min(gaps) > 0
    one = nested_decisions(scores, targets, np.zeros(200, dtype=np.int64), f1_thresholds)
    assert np.isnan(one.f1).all(), "with one fold there is nothing to choose on"


def members(seed: int, skills: list[float]):  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(seed)
    targets = rng.random((200, 3)) < 0.2
    logits = rng.normal(size=(len(skills), 200, 3)) + np.array(skills)[:, None, None] * targets
    return 1 / (1 + np.exp(-logits)), targets


def test_mean_map_is_the_mean_over_folds() -> None:
    stack, targets = members(0, [1.0])
    rows = [np.flatnonzero(fold == FOLDS) for fold in range(5)]
    by_fold = [score(stack[0][row], targets[row], SMALL, "skip").map_all for row in rows]
    assert mean_map(stack[0], labelled(targets, FOLDS, SMALL)) == pytest.approx(np.mean(by_fold))


def few_rounds(stack: NDArray[np.float64], data: EvaluationSet) -> NDArray[np.float64]:
    return search_weights(stack, data, rounds=12)


def few_bags(stack: NDArray[np.float64], data: EvaluationSet) -> NDArray[np.float64]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(weights_module, "BAGS", 4)
        patched.setattr(weights_module, "BAG_ROUNDS", 8)
        return search_bagged(stack, data)


each_search = pytest.mark.parametrize("search", [few_rounds, search_simplex])


@pytest.mark.parametrize("search", [few_rounds, few_bags, search_simplex])
def test_search_prefers_what_is_good(search: Search) -> None:
    stack, targets = members(0, [0.0, 3.0, 0.0])
    weights = search(stack, labelled(targets, FOLDS, SMALL))
    assert weights.sum() == pytest.approx(1)
    assert weights[1] > 0.6
    found = search_nested(stack, labelled(targets, FOLDS, SMALL), search)
    equal = mean_map(weighted_mean(stack, equal_weights(3)), labelled(targets, FOLDS, SMALL))
    assert found.nested is not None
    assert mean_map(found.nested, labelled(targets, FOLDS, SMALL)) > equal + 0.02, "a real gain survives nesting"


@each_search
@pytest.mark.parametrize("seed", range(3))
def test_search_is_never_below_equal_weights_where_it_looked(seed: int, search: Search) -> None:
    stack, targets = members(seed, [0.5, 0.6, 0.4, 0.7])
    weights = search(stack, labelled(targets, FOLDS, SMALL))
    assert weights.sum() == pytest.approx(1)
    assert weights.min() >= 0
    found = mean_map(weighted_mean(stack, weights), labelled(targets, FOLDS, SMALL))
    assert found >= mean_map(weighted_mean(stack, equal_weights(4)), labelled(targets, FOLDS, SMALL))
    if search is few_rounds:  # its first choice is the best member alone
        assert found >= max(mean_map(member, labelled(targets, FOLDS, SMALL)) for member in stack) - 1e-12


def test_bagged_weights_are_the_same_again_and_less_extreme() -> None:
    spread = []
    for seed in range(3):
        stack, targets = members(seed, [0.5, 0.6, 0.5, 0.6])
        data = labelled(targets, FOLDS, SMALL)
        bagged = few_bags(stack, data)
        assert bagged.sum() == pytest.approx(1)
        assert bagged.min() >= 0
        assert (bagged == few_bags(stack, data)).all()
        spread.append([weights.std() for weights in (bagged, few_rounds(stack, data))])
    bags, single = np.mean(spread, axis=0)
    assert bags < single


def test_groups_are_drawn_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    stack, targets = members(0, [0.5, 0.6])
    data = replace(labelled(targets, FOLDS, SMALL), groups=tuple(str(place // 4) for place in range(200)))
    drawn = list[EvaluationSet]()

    def noted(stack: NDArray[np.float64], data: EvaluationSet, rounds: int = 0) -> NDArray[np.float64]:
        drawn.append(data)
        return equal_weights(len(stack))

    monkeypatch.setattr(weights_module, "search_weights", noted)
    search_bagged(stack, data)
    assert len(drawn) == weights_module.BAGS
    for bag in drawn:
        times = Counter(zip(bag.groups, bag.names, strict=True))
        by_group = {group: {times[pair] for pair in times if pair[0] == group} for group in bag.groups}
        assert all(len(counts) == 1 for counts in by_group.values()), "each video as often as its group"
        assert len(times) == 4 * len(by_group)
        assert max(times.values()) > 1, "with replacement"
    monkeypatch.setattr(weights_module, "BAGGED_VIDEOS", 300)
    drawn.clear()
    search_bagged(stack, data)
    assert [len(bag.names) for bag in drawn] == [200], "many videos are searched once, without resampling"
    assert drawn[0] is data


def test_the_nested_searches_are_the_same_as_the_final_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a fold there are fewer videos, for which there would be time for more searches."""
    stack, targets = members(0, [0.5, 0.6])
    searched = list[int]()

    def noted(stack: NDArray[np.float64], data: EvaluationSet, rounds: int = 0) -> NDArray[np.float64]:
        searched.append(len(data.names))
        return equal_weights(len(stack))

    monkeypatch.setattr(weights_module, "search_weights", noted)
    monkeypatch.setattr(weights_module, "BAGGED_VIDEOS", 360)
    search_nested(stack, labelled(targets, FOLDS, SMALL), search_bagged)
    assert searched == [200, 160, 160, 160, 160, 160]


@pytest.mark.parametrize("most", [5_000, 200])
def test_a_member_with_a_small_weight_is_left_out(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    stack, targets = members(0, [1.0, 1.0, 1.0])
    few = np.array([0.03, 0.37, 0.6])
    monkeypatch.setattr(weights_module, "search_weights", lambda *_: few.copy())
    monkeypatch.setattr(weights_module, "BAGGED_VIDEOS", most)
    weights = search_bagged(stack, labelled(targets, FOLDS, SMALL))
    assert weights.tolist() == pytest.approx([0, 0.37 / 0.97, 0.6 / 0.97])


def test_each_search_gets_the_members_that_it_may_use() -> None:
    stack, targets = members(0, [0.5, 0.6, 0.7])
    by_fold = np.array([[1, 1, 0], [1, 1, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]], dtype=bool)
    eligible = EligibleMembers(by_fold, np.array([True, False, True]))
    seen = list[NDArray[np.float64]]()

    def first(stack: NDArray[np.float64], data: EvaluationSet) -> NDArray[np.float64]:
        seen.append(stack)
        return np.concatenate([[1.0], np.zeros(len(stack) - 1)])

    found = search_nested(stack, labelled(targets, FOLDS, SMALL), first, eligible)
    np.testing.assert_array_equal(seen[0], stack[[0, 2]])
    for fold, part in enumerate(seen[1:]):
        np.testing.assert_array_equal(part, stack[by_fold[fold]][:, fold != FOLDS])
    assert found.by_fold is not None
    assert found.nested is not None
    assert found.by_fold.argmax(1).tolist() == [0, 0, 1, 0, 0]
    np.testing.assert_allclose(found.nested[FOLDS == 2], stack[1][FOLDS == 2])


def test_no_small_move_improves_what_the_simplex_search_found() -> None:
    stack, targets = members(5, [0.5, 0.9, 0.4])
    weights = search_simplex(stack, labelled(targets, FOLDS, SMALL))
    best = mean_map(weighted_mean(stack, weights), labelled(targets, FOLDS, SMALL))
    for giver, taker in permutations(range(3), 2):
        moved = weights.copy()
        step = min(0.01, moved[giver])
        moved[giver] -= step
        moved[taker] += step
        assert mean_map(weighted_mean(stack, moved), labelled(targets, FOLDS, SMALL)) <= best


@pytest.mark.slow
@each_search
def test_nested_search_is_not_optimistic(search: Search) -> None:
    """Members of pure noise: the search seems to gain points, and nested validation shows that there are none."""
    flattered, nested = [], []
    for seed in range(4):
        stack, targets = members(seed, [0.0] * 5)
        found = search_nested(stack, labelled(targets, FOLDS, SMALL), search)
        equal = mean_map(weighted_mean(stack, equal_weights(5)), labelled(targets, FOLDS, SMALL))
        assert found.nested is not None
        flattered.append(mean_map(weighted_mean(stack, found.weights), labelled(targets, FOLDS, SMALL)) - equal)
        nested.append(mean_map(found.nested, labelled(targets, FOLDS, SMALL)) - equal)
    assert np.mean(flattered) > 0.02
    assert np.mean(nested) < 0.3 * np.mean(flattered)


def test_nested_scores_of_a_fold_do_not_depend_on_its_labels() -> None:
    stack, targets = members(3, [0.3, 0.5, 0.4])
    other = targets.copy()
    other[FOLDS == 2] = ~other[FOLDS == 2]
    first, second = (search_nested(stack, labelled(t, FOLDS, SMALL), few_rounds) for t in (targets, other))
    assert first.nested is not None
    assert second.nested is not None
    assert (first.nested[FOLDS == 2] == second.nested[FOLDS == 2]).all()


def test_search_with_one_fold_has_no_honest_figure() -> None:
    stack, targets = members(0, [0.0, 1.0])
    found = search_nested(stack, labelled(targets, np.zeros(200, dtype=np.int64), SMALL))
    assert found.nested is None
    assert found.by_fold is None


def test_weighted_mean_stays_a_probability() -> None:
    ones = np.ones((7, 2, 3))
    assert (weighted_mean(ones, equal_weights(7)) <= 1).all()
    assert weighted_mean([[[0.2]], [[0.6]]], [0.75, 0.25])[0, 0] == pytest.approx(0.3)


def test_ways_to_give_weights(tmp_path: Path) -> None:
    names = ("a", "b")
    file = tmp_path / "w.toml"
    file.write_text('members = [{name = "b", path = "/x/b", weight = 3}, {name = "a", weight = 1}]')
    for way in ("1,3", "0.25, 0.75", [1, 3], file, str(file)):
        found = read_weights(way, names)
        assert found is not None
        assert found.tolist() == [0.25, 0.75]
        assert weights_by(way) == "given"
    for name in ("equal", "search", "bagged", "simplex"):
        assert read_weights(name, names) is None
        assert weights_by(name) == name


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("best", "'best' are none of: equal, search, bagged, simplex, one number"),
        ("0.5;0.5", "are none of"),
        ("1", "1 weights for 2 models; give one for each of a, b"),
        ("1,2,3", "3 weights for 2"),
        ("0,0", "not all 0"),
        ("-1,2", "0 or more"),
        ("nan,1", "0 or more"),
        ("inf,1", "0 or more"),
        ("none.toml", "cannot read the weights"),
    ],
)
def test_impossible_weights(weights: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        read_weights(weights, ("a", "b"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("members = [", "does not contain weights"),
        ("a = 1", "does not contain weights"),
        ("members = 3", "does not contain weights"),
        ('members = [{name = "a"}]', "does not contain weights"),
        ('members = [{name = "a", weight = "much"}]', "does not contain weights"),
        (
            'members = [{name = "a", weight = 1}, {name = "c", weight = 1}]',
            "has weights for a, c; the runs given are a, b",
        ),
    ],
)
def test_impossible_weight_files(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "w.toml").write_text(text)
    with pytest.raises(RecipeError, match=message):
        read_weights(tmp_path / "w.toml", ("a", "b"))


def test_given_weights_are_shares() -> None:
    assert given_weights([2, 0, 6], ["a", "b", "c"]).tolist() == [0.25, 0, 0.75]


def test_best_of_a_class_is_chosen_on_the_other_folds() -> None:
    rng = np.random.default_rng(0)
    folds = np.arange(90) % 3
    targets = rng.random((90, 2)) < 0.4
    noise = rng.random((90, 2))
    good = np.where(targets, 0.9, 0.1) + 0.01 * noise
    first, second = noise.copy(), noise[::-1].copy()
    first[:, 0], second[:, 1] = good[:, 0], good[:, 1]  # each member knows one class
    found = best_per_class(np.stack([first, second]), targets, folds)
    assert np.array_equal(found, good)
    lucky = np.where(folds == 0, good[:, 0], noise[::-1, 0])  # a member that knows fold 0 alone
    members = np.stack([noise, np.stack([lucky, lucky], axis=1)])
    found = best_per_class(members, targets, folds)
    others = [average_precision(each[folds > 0, 0], targets[folds > 0, 0]) for each in members]
    assert np.array_equal(found[folds == 0, 0], members[int(np.argmax(others))][folds == 0, 0])
