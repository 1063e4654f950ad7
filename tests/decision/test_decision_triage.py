import json
import tomllib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom

from urbanpipe.decision.calibration import fit_calibration
from urbanpipe.decision.triage import ACCEPT, REJECT, REVIEW, Triage, choose_triage, nested_triage
from urbanpipe.errors import BundleError, PredictionError, RecipeError

Sample = tuple[NDArray[np.float64], NDArray[np.bool_]]


def sample(n: int, seed: int = 0, classes: int = 1, share: float = 0.3, skill: float = 2.0, digits: int = 9) -> Sample:
    rng = np.random.default_rng(seed)
    targets = rng.random((n, classes)) < share
    return np.round(1 / (1 + np.exp(-rng.normal(size=targets.shape) - skill * (targets - 0.5))), digits), targets


rows = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.2, 0.4, 0.4 + 1e-16, 0.7, 0.9, 1.0]), st.booleans()), min_size=1, max_size=60
)


@given(rows, st.sampled_from([0.05, 0.1, 0.3, 0.5, 0.9]))
def test_rejects_from_the_highest_score_that_the_rule_allows(cells: list[tuple[float, bool]], bound: float) -> None:
    scores, targets = (np.array([[cell[i]] for cell in cells]) for i in (0, 1))
    found = choose_triage(scores, targets, bound).reject_below[0]
    positives = scores[targets]
    allowed = [0.0] + [
        t for t in positives.tolist() if ((positives < t).sum() + 1) / (len(positives) + 1) <= bound + 1e-12
    ]
    assert found == max(allowed)


@pytest.mark.parametrize(("bound", "enough"), [(0.05, 19), (0.1, 9), (0.2, 4), (0.01, 99), (1 / 3, 2)])
def test_too_few_positives_reject_nothing(bound: float, enough: int) -> None:
    scores = np.linspace(0.01, 0.99, 300)[:, None]
    for count in (enough - 1, enough):
        targets = np.zeros((300, 1), bool)
        targets[150 : 150 + count] = True
        found = choose_triage(scores, targets, bound)
        assert found.reject_below[0] == (scores[150, 0] if count == enough else 0.0)
        assert (found.decide(scores) == REJECT).sum() == (150 if count == enough else 0)
        assert found.positives.tolist() == [count]


def test_rounding_costs_no_video() -> None:
    scores = np.arange(1, 100)[:, None] / 100
    assert choose_triage(scores, np.ones((99, 1), bool), 0.29).reject_below[0] == scores[28, 0]


@pytest.mark.slow
@pytest.mark.parametrize("digits", [9, 1])
@pytest.mark.parametrize(("positives", "bound"), [(19, 0.05), (30, 0.1), (55, 0.05)])
def test_bound_holds_over_many_draws_and_is_no_empty_promise(positives: int, bound: float, digits: int) -> None:
    rng = np.random.default_rng(positives + digits)
    missed = []
    for _ in range(800):
        scores = np.round(rng.beta(3, 2, size=positives + 200), digits)[:, None]
        targets = np.ones_like(scores, dtype=bool)
        triage = choose_triage(scores[:positives], targets[:positives], bound)
        missed.append((triage.decide(scores[positives:]) == REJECT).mean())
    error = np.std(missed) / np.sqrt(len(missed))
    assert np.mean(missed) <= bound + 3 * error
    assert np.mean(missed) > (0.5 * bound if digits > 1 else 0.0)


@pytest.mark.slow
@given(rows, st.sampled_from([0.02, 0.3, 0.6, 0.9]), st.sampled_from([0.6, 0.95]))
def test_accepts_from_the_lowest_score_that_is_credible(
    cells: list[tuple[float, bool]], precision: float, level: float
) -> None:
    scores, targets = (np.array([[cell[i]] for cell in cells]) for i in (0, 1))
    found = choose_triage(scores, targets, 0.3, precision, level)
    credible = [np.inf]
    for t in scores[scores >= found.reject_below[0]].tolist():
        right, said = int(targets[scores >= t].sum()), int((scores >= t).sum())
        # the lower bound is at least `precision` where so many right ones would be rare at that precision
        if right and binom.sf(right - 1, said, precision) <= 1 - level:
            credible.append(t)
    assert found.accept_from[0] == min(credible)


def test_29_right_ones_make_90_per_cent_credible_and_28_do_not() -> None:
    scores = np.repeat([0.9, 0.1], 100)[:, None]
    for right in (28, 29):
        rows_ = slice(100 - right, 200)
        targets = (scores > 0.5)[rows_]
        assert np.isfinite(choose_triage(scores[rows_], targets).accept_from[0]) == (right == 29)


def test_triage_outcomes_meet_without_gap_or_overlap() -> None:
    triage = Triage(np.array([0.2, 0.0, 0.3]), np.array([0.7, np.inf, 0.3]), 0.05, 0.9, np.array([40, 3, 50]))
    found = triage.decide([[0.2, 0.0, 0.3], [np.nextafter(0.2, 0), 1.0, np.nextafter(0.3, 0)], [0.7, 0.5, 1.0]])
    assert found.tolist() == [[REVIEW, REVIEW, ACCEPT], [REJECT, REVIEW, REJECT], [ACCEPT, REVIEW, ACCEPT]]


def test_accepting_starts_not_below_rejecting() -> None:
    scores, targets = np.linspace(0, 1, 400)[:, None], np.ones((400, 1), bool)
    found = choose_triage(scores, targets, 0.2)
    assert found.reject_below[0] > 0.15
    assert found.accept_from[0] == found.reject_below[0]


def test_triage_of_calibrated_probabilities_is_that_of_raw_scores() -> None:
    scores, targets = sample(600, classes=3)
    mapped = fit_calibration(scores, targets, "platt").apply(scores)
    raw, calibrated = (choose_triage(x, targets).decide(x) for x in (scores, mapped))
    assert (raw == calibrated).all()
    assert {ACCEPT, REVIEW, REJECT} == set(raw.ravel().tolist())


def test_ties_of_an_isotonic_map_reject_fewer_never_others() -> None:
    scores, targets = sample(600, classes=3)
    mapped = fit_calibration(scores, targets, "isotonic").apply(scores)
    raw, calibrated = (choose_triage(x, targets).decide(x) == REJECT for x in (scores, mapped))
    assert not (calibrated & ~raw).any()
    assert (calibrated != raw).any()
    missed = (calibrated & targets).sum(axis=0) + 1
    assert (missed <= 0.05 * (targets.sum(axis=0) + 1)).all()


def test_equal_scores_reject_nothing() -> None:
    targets = np.arange(200)[:, None] % 2 == 0
    for level in (0.0, 0.4, 1.0):
        scores = np.full((200, 1), level)
        found = choose_triage(scores, targets)
        assert (found.decide(scores) == REVIEW).all(), "and a precision of a half is not worth accepting"


def test_positives_at_zero_reject_nothing() -> None:
    scores, targets = sample(300)
    scores[np.flatnonzero(targets[:, 0])[:10]] = 0.0
    assert choose_triage(scores, targets).reject_below[0] == 0.0


def test_class_without_positives_is_neither_accepted_nor_rejected() -> None:
    scores, targets = sample(300, classes=2)
    targets[:, 1] = False
    found = choose_triage(scores, targets)
    assert found.reject_below[0] > 0
    assert (found.reject_below[1], found.accept_from[1], found.positives[1]) == (0.0, np.inf, 0)


@pytest.mark.parametrize("wrong", [0.0, 1.0, -0.1, float("nan")])
def test_impossible_wishes_are_refused(wrong: float) -> None:
    for wish, name in (("miss_bound", "miss bound"), ("precision", "wanted precision"), ("level", "level")):
        with pytest.raises(RecipeError, match=f"the {name} is .*above 0 and below 1"):
            choose_triage(*sample(20), **{wish: wrong})


def test_scores_that_are_none_are_refused() -> None:
    scores, targets = sample(40)
    triage = choose_triage(scores, targets)
    with pytest.raises(ValueError, match=r"\(n, 1\)"):
        triage.decide(np.zeros((2, 3)))
    scores[7] = np.nan
    for attempt in (
        lambda: choose_triage(scores, targets),
        lambda: nested_triage(scores, targets, np.arange(40) % 2),
        lambda: triage.decide(scores),
    ):
        with pytest.raises(PredictionError, match="row 7, class 0 is nan"):
            attempt()


def test_nested_triage_worked_out_by_hand() -> None:
    # A bound of .25 takes the lowest of three positives, and nothing with fewer. A precision of .7 at level .5 takes
    # two right ones without a wrong one (.5 ** (1 / 2) = .707; one right one gives .5, three right of four .614).
    scores = np.array(
        [
            # fold 0: its thresholds are .6 and .8; none and none; 0 and .8
            [0.90, 0.4, 0.9],  # by the thresholds of fold 1: accept; review; review
            [0.80, 0.4, 0.8],  # review; review; review
            [0.70, 0.4, 0.1],  # review; review; review
            [0.60, 0.4, 0.1],  # review; review; review
            [0.20, 0.4, 0.1],  # reject; review; review
            [0.10, 0.4, 0.1],  # reject; review; review
            # fold 1: its thresholds are .5 and .85; none and none; 0 and none
            [0.95, 0.4, 0.9],  # by the thresholds of fold 0: accept; review; accept
            [0.85, 0.4, 0.1],  # accept; review; review
            [0.82, 0.4, 0.1],  # accept, which is wrong; review; review
            [0.50, 0.4, 0.1],  # reject, which is a miss; review; review
            [0.30, 0.4, 0.1],  # reject; review; review
            [0.10, 0.4, 0.1],  # reject; review; review
        ]
    )
    targets = np.zeros((12, 3), bool)
    targets[[0, 1, 3, 6, 7, 9], 0] = True
    targets[[0, 1, 6], 2] = True
    found = nested_triage(scores, targets, np.repeat([0, 1], 6), miss_bound=0.25, precision=0.7, level=0.5)
    assert found.missed == pytest.approx([1 / 6, float("nan"), 0], nan_ok=True)
    assert found.precision == pytest.approx([3 / 4, float("nan"), 1], nan_ok=True)
    assert found.shares == pytest.approx(np.array([[4, 3, 5], [0, 12, 0], [1, 11, 0]]) / 12)
    assert found.positives.tolist() == [6, 0, 3]
    assert found.decided == pytest.approx(1 / 12), "the class without positives does not count"
    assert found.missed_of_all == pytest.approx(1 / 9)


def test_nested_misses_are_near_the_bound() -> None:
    scores, targets = sample(3000, classes=4)
    found = nested_triage(scores, targets, np.arange(3000) % 5, miss_bound=0.1)
    assert found.missed == pytest.approx([0.1] * 4, abs=0.03)


def test_one_fold_gives_no_figure() -> None:
    found = nested_triage(*sample(50, classes=2), np.zeros(50, np.int64))
    assert np.isnan([*found.missed, *found.precision, *found.shares.ravel(), found.decided]).all()
    assert np.isnan(found.missed_of_all)
    assert found.positives.sum() > 0


def through_json(table: dict[str, Any]) -> Any:
    return json.loads(json.dumps(table, allow_nan=False))


def through_toml(table: dict[str, Any]) -> Any:
    return tomllib.loads(tomli_w.dumps(table))


@pytest.mark.parametrize("through", [through_json, through_toml])
def test_table_keeps_every_digit(through: Callable[[dict[str, Any]], Any]) -> None:
    scores, targets = sample(400, classes=3, skill=3.0)
    targets[:, 1] = False
    found = choose_triage(scores, targets)
    again = Triage.from_table(through(found.to_table()))
    assert np.isinf(found.accept_from).tolist() == [False, True, False]
    assert (again.accept_from == found.accept_from).all()
    assert (again.reject_below == found.reject_below).all()
    assert (again.positives == found.positives).all()
    assert (again.miss_bound, again.wanted_precision) == (0.05, 0.9)
    assert (again.decide(scores) == found.decide(scores)).all()


TABLE = {
    "miss_bound": 0.05,
    "wanted_precision": 0.9,
    "reject_below": [0.1, 0.0],
    "accept_from": [0.8, 2.0],
    "positives": [30, 1],
}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"miss_bound": 0.0}, "miss_bound"),
        ({"wanted_precision": None}, "wanted_precision"),
        ({"reject_below": [0.1]}, "1, 2, 2 classes"),
        ({"reject_below": [0.9, 0.0]}, "accept_from is below reject_below"),
        ({"reject_below": [float("nan"), 0.0]}, "reject_below.0"),
        ({"accept_from": [0.8, float("nan")]}, "accept_from.1"),
        ({"accept_from": "all"}, "accept_from"),
        ({"positives": [30, -1]}, "positives.1"),
        ({"else": 1}, "else"),
    ],
)
def test_damaged_table_is_refused_in_one_line(change: dict[str, Any], says: str) -> None:
    Triage.from_table(TABLE)
    with pytest.raises(BundleError) as caught:
        Triage.from_table(TABLE | change)
    assert str(caught.value).startswith("the triage is damaged: ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(BundleError, match="the triage is damaged"):
        Triage.from_table([1, 2])
