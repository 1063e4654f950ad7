import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.special import expit, logit

from urbanpipe.decision import calibration_maps
from urbanpipe.decision.calibration import (
    KINDS,
    Calibration,
    Kind,
    cross_calibrated,
    fit_calibration,
)
from urbanpipe.decision.calibration_maps import Isotonic, Platt
from urbanpipe.decision.reliability_plot import binned, expected_calibration_error, reliability_diagram
from urbanpipe.errors import BundleError, PredictionError
from urbanpipe.evaluation import plots

Sample = tuple[NDArray[np.float64], NDArray[np.bool_]]


def distorted(n: int, maps: list[tuple[float, float]], seed: int = 0, common: float = -1.0) -> Sample:
    """Scores whose true probabilities are sigmoid(scale logit(score) + shift), and labels drawn from those."""
    rng = np.random.default_rng(seed)
    true = rng.normal(common, 1.7, size=(n, len(maps)))
    scores = expit((true - [shift for _, shift in maps]) / [scale for scale, _ in maps])
    return scores, rng.random(scores.shape) < expit(true)


def under_rule(n: int, seed: int = 0) -> Sample:
    """One distorted class; a third of its scores are 0, where 3 % are true, a third 1, where 90 % are."""
    scores, targets = distorted(n, [(0.5, 0.7)], seed)
    part = np.arange(n) % 3
    chance = np.random.default_rng(seed + 1).random(n)
    scores[part == 0], scores[part == 1] = 0.0, 1.0
    targets[part == 0, 0], targets[part == 1, 0] = chance[part == 0] < 0.03, chance[part == 1] < 0.9
    return scores, targets


def test_recovers_the_scale_and_shift_that_made_the_scores() -> None:
    made = [(0.5, 0.7), (1.0, 0.0), (2.0, -1.0)]
    found = fit_calibration(*distorted(20000, made), kind="platt")
    assert found.kinds == ("platt",) * 3
    for item, (scale, shift) in zip(found.maps, made, strict=True):
        assert isinstance(item, Platt)
        assert item.scale == pytest.approx(scale, rel=0.06)
        assert item.shift == pytest.approx(shift, abs=0.08)
        assert [item.floor, item.ceiling] == pytest.approx([0.0, 1.0], abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_known_distortion_is_undone_on_new_videos(kind: Kind) -> None:
    made = [(0.5, 0.7), (2.0, -1.0)]
    learned = fit_calibration(*distorted(3000, made), kind, np.arange(3000) % 3)
    scores, targets = distorted(6000, made, seed=1)
    before, after = (expected_calibration_error(p, targets) for p in (scores, learned.apply(scores)))
    assert before.pooled > 0.04
    assert after.pooled < 0.3 * before.pooled
    assert (after.by_class < 0.5 * before.by_class).all()


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    kind=st.sampled_from(["platt", "isotonic"]),
    n=st.integers(2, 260),
    steps=st.sampled_from([1, 3, 1000]),
)
def test_no_map_ever_falls(seed: int, kind: Kind, n: int, steps: int) -> None:
    rng = np.random.default_rng(seed)
    scores, targets = np.round(rng.random((n, 2)) * steps) / steps, rng.random((n, 2)) < rng.random(2)
    found = fit_calibration(scores, targets, kind)
    points = np.concatenate([scores.ravel(), rng.random(200), 10.0 ** -rng.uniform(0, 9, 50), [0.0, 1.0]])
    points = np.unique(np.concatenate([points, np.nextafter(points, 0), np.nextafter(points, 1)]))
    mapped = found.apply(np.stack([points, points], axis=1))
    assert (np.diff(mapped, axis=0) >= 0).all()
    assert mapped.min() >= 0
    assert mapped.max() <= 1


def test_platt_parts_what_was_apart() -> None:
    found = fit_calibration(*distorted(400, [(3.0, -1.0)]), kind="platt")
    assert (np.diff(found.apply(np.linspace(0.001, 0.999, 500)[:, None]), axis=0) > 0).all()


def test_scores_of_a_rule_get_their_share_and_do_not_bend_the_rest() -> None:
    found = fit_calibration(*under_rule(6000), kind="platt").maps[0]
    assert isinstance(found, Platt)
    assert found(np.array([0.0, 1.0])) == pytest.approx([0.03, 0.9], abs=0.015)
    middle = np.array([0.3, 0.5, 0.7])
    assert found(middle) == pytest.approx(expit(0.5 * logit(middle) + 0.7), abs=0.05)


def test_one_saturated_score_moves_the_rest_little() -> None:
    scores, targets = distorted(300, [(1.0, 0.0)])
    scores[0], targets[0] = 1.0, True
    found = fit_calibration(scores, targets, "platt").maps[0]
    assert isinstance(found, Platt)
    assert 0.97 < found.ceiling < 1.0


def test_map_is_level_where_zeros_are_truer_than_ones() -> None:
    scores = np.repeat([0.0, 0.5, 1.0], 40)[:, None]
    targets = np.repeat([True, False, False], 40)[:, None]
    assert np.ptp(fit_calibration(scores, targets, "platt").apply(scores)) == 0


def test_rare_class_is_drawn_to_the_map_of_all_but_keeps_its_frequency(monkeypatch: pytest.MonkeyPatch) -> None:
    spreads = []
    for spread in ((np.inf, np.inf), calibration_maps.SPREAD):
        monkeypatch.setattr(calibration_maps, "SPREAD", spread)
        scales, said = [], []
        for seed in range(20):
            scores, targets = distorted(400, [(0.7, 0.5)] * 2 + [(0.7, -1.5)], seed)
            common = calibration_maps.fit_pooled(scores[:, :2].ravel(), targets[:, :2].ravel())
            few = slice(0, int(np.flatnonzero(targets[:, 2])[4]) + 5)  # as many videos as show it five times
            found = calibration_maps.fit_platt(scores[few, 2], targets[few, 2], common)
            scales.append(found.scale)
            said.append(found(scores[few, 2]).sum() / targets[few, 2].sum())
        spreads.append(np.std(scales))
        assert np.mean(said) == pytest.approx(1.0, abs=0.25)
    assert spreads[1] < 0.5 * spreads[0]
    assert spreads[1] < 0.18


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from([(0.0, 1.0), (0.05, 0.9)]))
def test_fit_is_at_the_summit_of_the_posterior(seed: int, ends: tuple[float, float]) -> None:
    rng = np.random.default_rng(seed)
    x, common = rng.normal(size=60), np.array([rng.uniform(0.5, 1.5), rng.normal()])
    targets = (rng.random(60) < expit(x)).astype(float)

    def loss(theta: NDArray[np.float64]) -> float:
        p = ends[0] + (ends[1] - ends[0]) * expit(theta[0] * x + theta[1])
        return float(-np.log(np.where(targets > 0, p, 1 - p)).sum() + (((theta - common) / [0.3, 1.0]) ** 2).sum() / 2)

    found = calibration_maps._most_likely(x, targets, common, (0.3, 1.0), ends)
    for step in ([0.02, 0], [-0.02, 0], [0, 0.02], [0, -0.02], [0.02, 0.02], [-0.02, 0.02]):
        assert loss(found) < loss(found + step)


def test_class_without_positives_has_the_map_of_all() -> None:
    scores, targets = distorted(500, [(0.5, 0.5), (0.5, 0.5)])
    targets[:, 1] = False
    found = fit_calibration(scores, targets, "platt")
    assert found.kinds == ("platt", "pooled")
    assert found.positives == (int(targets[:, 0].sum()), 0)
    probes = np.full((1, 2), 0.6)
    assert found.apply(probes)[0, 1] == pytest.approx(found.apply(probes)[0, 0], abs=0.01)


def test_no_positives_at_all_change_nothing() -> None:
    scores = np.array([[0.2, 0.4], [0.3, 0.6]])
    found = fit_calibration(scores, np.zeros((2, 2)))
    assert found.kinds == ("pooled", "pooled")
    assert found.apply(scores) == pytest.approx(scores)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
def test_constant_scores_become_the_base_rate(kind: Kind, level: float) -> None:
    targets = (np.arange(400) % 4 == 0)[:, None]
    found = cross_calibrated(np.full((400, 1), level), targets, np.arange(400) // 100, kind)
    assert found == pytest.approx(np.full((400, 1), 0.25), abs=0.02)


@pytest.mark.parametrize("kind", ["platt", "isotonic"])
def test_perfect_scores_stay_short_of_certainty(kind: Kind) -> None:
    targets = (np.arange(200) % 2 == 0)[:, None]
    found = fit_calibration(np.where(targets, 0.8, 0.2), targets, kind).apply(np.array([[0.2], [0.8]]))
    assert 0.002 < found[0, 0] < 0.05
    assert 0.95 < found[1, 0] < 0.998


def test_auto_takes_the_free_form_only_where_it_is_clearly_better() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random((1500, 3))
    steps = np.where(scores[:, 1] < 0.3, 0.02, np.where(scores[:, 1] < 0.8, 0.4, 0.45))
    true = np.stack([expit(0.7 * logit(scores[:, 0]) - 0.5), steps, 0.02 * steps], axis=1)
    targets = rng.random(true.shape) < true
    folds = np.arange(1500) % 5
    assert fit_calibration(scores, targets, "auto", folds).kinds == ("platt", "isotonic", "platt")
    assert fit_calibration(scores, targets, "auto").kinds == ("platt",) * 3, "without folds there is no comparing"
    assert fit_calibration(scores, targets, "auto", np.zeros(1500, np.int64)).kinds == ("platt",) * 3
    assert fit_calibration(scores, targets, "isotonic").kinds == ("isotonic", "isotonic", "platt"), "the third is rare"


def test_fold_is_calibrated_by_the_others_alone() -> None:
    scores, targets = distorted(300, [(0.5, 0.7)] * 2)
    folds = np.arange(300) % 3
    other = targets.copy()
    other[folds == 1] ^= True
    first, second = (cross_calibrated(scores, labels, folds, "platt") for labels in (targets, other))
    assert (first[folds == 1] == second[folds == 1]).all()
    assert (first[folds != 1] != second[folds != 1]).mean() > 0.95
    expected = fit_calibration(scores[folds != 1], targets[folds != 1], "platt").apply(scores[folds == 1])
    assert (first[folds == 1] == expected).all()


def test_one_fold_gives_no_figure() -> None:
    scores, targets = distorted(50, [(0.5, 0.7)])
    found = cross_calibrated(scores, targets, np.zeros(50, np.int64))
    assert np.isnan(found).all()
    error = expected_calibration_error(found, targets)
    assert np.isnan(error.pooled)
    assert np.isnan(error.by_class).tolist() == [True]


def through_json(table: dict[str, Any]) -> Any:
    return json.loads(json.dumps(table, allow_nan=False))


def through_toml(table: dict[str, Any]) -> Any:
    return tomllib.loads(tomli_w.dumps(table))


@pytest.mark.parametrize("through", [through_json, through_toml])
@pytest.mark.parametrize("kind", ["platt", "isotonic"])
def test_table_keeps_every_digit(kind: Kind, through: Any) -> None:
    scores, targets = under_rule(900)
    scores, targets = np.hstack([scores, scores[::-1]]), np.hstack([targets, np.zeros_like(targets)])
    found = fit_calibration(scores, targets, kind)
    again = Calibration.from_table(through(found.to_table()))
    assert again == found
    assert (again.apply(scores) == found.apply(scores)).all()
    assert again.kinds == (kind, "pooled")


PLATT = {"kind": "platt", "scale": 1.0, "shift": 0.0, "floor": 0.0, "ceiling": 1.0}
ISOTONIC = {"kind": "isotonic", "scores": [0.1, 0.2], "probabilities": [0.3, 0.4]}


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("text", "calibration is damaged"),
        ({}, "maps"),
        ({"maps": [PLATT], "positives": [1, 2]}, "1 maps but positives of 2"),
        ({"maps": [PLATT], "positives": [-1]}, "positives.0"),
        ({"maps": [PLATT], "positives": [1], "code": "x"}, "code"),
        ({"maps": [PLATT | {"kind": "exec"}], "positives": [1]}, "exec"),
        ({"maps": [PLATT | {"scale": 0.0}], "positives": [1]}, "scale"),
        ({"maps": [PLATT | {"scale": float("inf")}], "positives": [1]}, "scale"),
        ({"maps": [PLATT | {"shift": float("nan")}], "positives": [1]}, "shift"),
        ({"maps": [PLATT | {"floor": 0.5, "ceiling": 0.4}], "positives": [1]}, "above ceiling"),
        ({"maps": [PLATT | {"ceiling": 1.5}], "positives": [1]}, "ceiling"),
        ({"maps": [ISOTONIC | {"scores": [0.1]}], "positives": [1]}, "1 scores but 2"),
        ({"maps": [ISOTONIC | {"scores": [], "probabilities": []}], "positives": [1]}, "scores"),
        ({"maps": [ISOTONIC | {"scores": [0.2, 0.2]}], "positives": [1]}, "must rise"),
        ({"maps": [ISOTONIC | {"probabilities": [0.4, 0.3]}], "positives": [1]}, "never fall"),
        ({"maps": [ISOTONIC | {"probabilities": [0.4, float("nan")]}], "positives": [1]}, "probabilities.1"),
    ],
)
def test_damaged_table_is_refused_in_one_line(table: object, says: str) -> None:
    Calibration.from_table({"maps": [PLATT, ISOTONIC], "positives": [1, 2]})
    with pytest.raises(BundleError) as caught:
        Calibration.from_table(table)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [np.nan, -0.1, 1.1, np.inf])
def test_scores_that_are_none_are_refused(wrong: float) -> None:
    scores, targets = distorted(20, [(1.0, 0.0)] * 2)
    found = fit_calibration(scores, targets)
    scores[3, 1] = wrong
    for attempt in (
        lambda: fit_calibration(scores, targets),
        lambda: cross_calibrated(scores, targets, np.arange(20) % 2),
        lambda: found.apply(scores),
        lambda: expected_calibration_error(scores, targets),
    ):
        with pytest.raises(PredictionError, match=r"row 3, class 1 is .*must be in \[0, 1\]"):
            attempt()


def test_shapes_and_kinds_that_do_not_fit_are_refused() -> None:
    scores, targets = distorted(20, [(1.0, 0.0)] * 2)
    with pytest.raises(ValueError, match=r"\(n, C\)"):
        fit_calibration(scores, targets[:, :1])
    with pytest.raises(ValueError, match=r"\(n, C\)"):
        fit_calibration(scores[:, 0], targets[:, 0])
    with pytest.raises(ValueError, match=r"\(n, 2\)"):
        fit_calibration(scores, targets).apply(scores[:, :1])
    with pytest.raises(ValueError, match="auto, platt, isotonic"):
        fit_calibration(scores, targets, "beta")  # type: ignore[arg-type]


def test_error_by_hand() -> None:
    probabilities = np.array([[0.1, 0.0, 0.9], [0.3, 0.0, 0.9], [0.8, 1.0, 0.9], [1.0, 1.0, 0.9]])
    targets = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=bool)
    found = expected_calibration_error(probabilities, targets, bins=2)
    assert found.by_class[:2] == pytest.approx([(2 * 0.3 + 2 * 0.4) / 4, 0.0])
    assert np.isnan(found.by_class[2]), "no video shows it"
    assert found.pooled == pytest.approx((4 * abs(0.1 - 0.25) + 4 * abs(0.95 - 0.75)) / 8)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40), st.integers(1, 20))
def test_error_equals_a_plain_writing(rows: list[tuple[float, bool]], bins: int) -> None:
    cells: dict[int, list[tuple[float, bool]]] = {}
    for p, y in rows:
        cells.setdefault(min(int(p * bins), bins - 1), []).append((p, y))
    wanted = sum(abs(sum(p for p, _ in held) - sum(y for _, y in held)) for held in cells.values()) / len(rows)
    scores, targets = (np.array([[row[i]] for row in rows]) for i in (0, 1))
    found = expected_calibration_error(scores, targets, bins)
    assert np.isnan(found.pooled) if not targets.any() else found.pooled == pytest.approx(wanted, abs=1e-12)
    assert binned(scores[:, 0], targets[:, 0], bins).counts.sum() == len(rows)


def legend(figure: Figure) -> list[str]:
    found = figure.axes[0].get_legend()
    assert found is not None
    return [text.get_text() for text in found.get_texts()]


def test_diagram_shows_both_errors(tmp_path: Path) -> None:
    scores, targets = distorted(600, [(0.5, 0.7)] * 2)
    after = cross_calibrated(scores, targets, np.arange(600) % 3, "platt")
    figure = reliability_diagram(scores, after, targets)
    texts = legend(figure)
    errors = [f"ECE {100 * expected_calibration_error(p, targets).pooled:.1f} %" for p in (scores, after)]
    assert [any(error in text for text in texts) for error in errors] == [True, True]
    assert "1200 pairs" in figure.axes[0].get_title(loc="left")
    plots.save(figure, tmp_path / "reliability.png")
    assert (tmp_path / "reliability.png").stat().st_size > 20_000


def test_diagram_of_one_fold_shows_what_there_is() -> None:
    scores, targets = distorted(60, [(0.5, 0.7)])
    figure = reliability_diagram(scores, np.full_like(scores, np.nan), targets)
    texts = " ".join(legend(figure))
    assert "before" in texts
    assert "after" not in texts


def test_isotonic_is_level_beyond_its_knots() -> None:
    found = Isotonic(scores=(0.2, 0.4), probabilities=(0.1, 0.5))
    assert found(np.array([0.0, 0.2, 0.3, 0.4, 1.0])) == pytest.approx([0.1, 0.1, 0.3, 0.5, 0.5])


def test_isotonic_stays_under_its_knots_to_the_last_digit() -> None:
    found = Isotonic(scores=(0.19, 0.707), probabilities=(0.437, 0.947))
    below, at = found(np.array([np.nextafter(0.707, 0), 0.707]))
    assert below <= at
