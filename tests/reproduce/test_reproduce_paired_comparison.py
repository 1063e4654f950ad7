from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from urbanpipe.errors import RecipeError
from urbanpipe.evaluation.average_precision import score
from urbanpipe.reproduce.paired_comparison import ComparisonData, compare_paired, corrected_p, fold_maps
from urbanpipe.reproduce.score_changes import best_network, exclusive_rule, thresholds
from urbanpipe.taxonomy import DefectClass, Taxonomy

SMALL = Taxonomy("small", tuple(DefectClass(i, code, code) for i, code in enumerate(("OK", "A", "B"))), exclusive="OK")
PLAIN = Taxonomy("plain", SMALL.classes)
N = 400


def data(taxonomy: Taxonomy = SMALL, seed: int = 0) -> ComparisonData:
    targets = np.random.default_rng(seed).random((N, 3)) < 0.3
    names, groups = tuple(map(str, range(N))), tuple(str(number // 2) for number in range(N))
    return ComparisonData(taxonomy, names, targets, np.arange(N) % 5, groups, 5)


def scores(
    comparison: ComparisonData, skill: float, seed: int, trainings: int = 2
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    noise = np.random.default_rng(seed).normal(size=(trainings, N, 3))
    return 1 / (1 + np.exp(-(noise + skill * comparison.targets)))


def test_a_gain_is_seen_and_is_the_difference_of_the_maps() -> None:
    comparison = data()
    found = compare_paired(scores(comparison, 3, 1), scores(comparison, 1, 2), comparison, draws=200)
    assert found.on.shape == (2, 5)
    assert found.low < found.gains.mean() < found.high
    assert found.reading == "gain"
    assert compare_paired(scores(comparison, 1, 2), scores(comparison, 3, 1), comparison, draws=200).reading == "loss"
    one = comparison.folds == 0
    alone = score(scores(comparison, 3, 1)[0][one], comparison.targets[one], SMALL)
    assert found.on[0, 0] == alone.map_all
    assert found.on_defects[0, 0] == alone.map_defects


def test_noise_is_not_sold_as_gain() -> None:
    readings = []
    for seed in range(20):
        comparison = data(seed=seed)
        readings.append(
            compare_paired(
                scores(comparison, 1, 2 * seed), scores(comparison, 1, 2 * seed + 1), comparison, draws=200
            ).reading
        )
    assert readings.count("inconclusive") >= 18


def test_the_corrected_test_is_wider_than_the_plain_one() -> None:
    values = np.array([[0.02, 0.03, 0.01, 0.05, 0.0]])
    plain = stats.ttest_1samp(values.ravel(), 0).pvalue
    assert corrected_p(values, 10**9) == pytest.approx(plain, rel=1e-6)
    assert corrected_p(values, 5) > 2 * plain
    statistic = values.mean() / np.sqrt((1 / 5 + 1 / 4) * values.var(ddof=1))
    assert corrected_p(values, 5) == pytest.approx(2 * stats.t.sf(statistic, 4))
    assert corrected_p(np.repeat(values, 4, axis=0), 5) == pytest.approx(corrected_p(values, 5)), "no new folds"
    assert np.isnan(corrected_p(values[:, :1], 5))
    assert corrected_p(np.zeros((1, 3)), 5) == 1.0


def test_a_class_without_positives_in_a_fold_is_left_out_of_that_fold() -> None:
    comparison = data()
    comparison.targets[comparison.folds == 2, 1] = False
    found = fold_maps(scores(comparison, 1, 3), comparison)
    one = comparison.folds == 2
    expected = score(
        scores(comparison, 1, 3)[1][one][:, [2]],
        comparison.targets[one][:, [2]],
        Taxonomy("b", (DefectClass(0, "B", "B"),)),
    )
    assert found[1, 2, 1] == pytest.approx(expected.map_all)


def test_mixtures() -> None:
    comparison = data()
    base = scores(comparison, 1, 4)
    on, off = exclusive_rule(base, [base], comparison)
    assert np.shares_memory(off, base)
    sure = base[..., 0] > 0.9
    assert sure.any()
    assert np.all(on[sure] == [1.0, 0.0, 0.0])
    cut, _ = thresholds(base, [base], comparison)
    assert 0 < np.mean(cut == 0) < 1
    assert np.all((cut == 0) | (cut == base))
    best, mean = best_network(base, [base, scores(comparison, 4, 5)], comparison)
    assert np.array_equal(best, scores(comparison, 4, 5))
    assert np.allclose(mean, (base + scores(comparison, 4, 5)) / 2)


def test_mixtures_that_cannot_be() -> None:
    comparison = data(PLAIN)
    base = scores(comparison, 1, 4)
    one_fold = replace(comparison, folds=np.zeros(N, dtype=np.int64))
    with pytest.raises(RecipeError, match="no exclusive class"):
        exclusive_rule(base, [base], comparison)
    with pytest.raises(RecipeError, match="two networks"):
        best_network(base, [base], comparison)
    with pytest.raises(RecipeError, match="two folds"):
        thresholds(base, [base], one_fold)
