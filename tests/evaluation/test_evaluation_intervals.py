import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.evaluation_sets import labelled
from urbanpipe.evaluation import intervals
from urbanpipe.evaluation.average_precision import average_precision, ranking, score
from urbanpipe.evaluation.intervals import Difference, bootstrap, compare
from urbanpipe.taxonomy import DefectClass, Taxonomy

SMALL = Taxonomy("small", tuple(DefectClass(i, code, code) for i, code in enumerate(("OK", "A", "B"))), exclusive="OK")


def sample(n: int, seed: int = 0, share: float = 0.3, skill: float = 1.5):  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(seed)
    targets = rng.random((n, 3)) < share
    return rng.normal(size=(n, 3)) + skill * targets, targets


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.sampled_from([0.1, 0.5, 0.9])), min_size=1, max_size=30))
def test_draw_equals_writing_the_copies_out(rows: list[tuple[int, bool, float]]) -> None:
    counts = np.array([[count] for count, _, _ in rows], dtype=np.int32)
    targets, scores = np.array([[t] for _, t, _ in rows]), np.array([[s] for _, _, s in rows])
    order = ranking(scores[:, 0])
    written = np.repeat(targets[order, 0], counts[order, 0])
    found = intervals._ap_of_draws(intervals._rankings(scores, targets), counts)[0, 0]
    if written.any():
        assert found == pytest.approx(average_precision(-np.arange(len(written)), written), abs=1e-12)
    else:
        assert np.isnan(found)


def test_holds_the_figure_and_narrows_with_more_videos() -> None:
    widths = []
    for n in (200, 3200):
        scores, targets = sample(n)
        found = bootstrap(scores, targets, None, taxonomy=SMALL, draws=300)
        point = score(scores, targets, SMALL)
        assert found.units == n
        for value, (low, high) in [
            (point.map_all, found.map_all),
            (point.map_defects, found.map_defects),
            *zip(point.ap, found.ap, strict=True),
        ]:
            assert low < value < high
        widths.append(found.map_all[1] - found.map_all[0])
    assert widths[1] < 0.5 * widths[0]


def test_level_sets_the_width() -> None:
    scores, targets = sample(200)
    wide, narrow = (
        bootstrap(scores, targets, None, taxonomy=SMALL, draws=300, level=level).map_all for level in (0.95, 0.5)
    )
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_copies_of_a_video_in_one_group_add_no_certainty() -> None:
    scores, targets = sample(150)
    copies = np.repeat(np.arange(150), 8)
    grouped = bootstrap(scores[copies], targets[copies], [str(i) for i in copies], taxonomy=SMALL, draws=300)
    alone = bootstrap(scores[copies], targets[copies], None, taxonomy=SMALL, draws=300)
    single = bootstrap(scores, targets, None, taxonomy=SMALL, draws=300)
    assert grouped.units == 150
    width = [found.map_all[1] - found.map_all[0] for found in (grouped, single, alone)]
    assert width[0] == pytest.approx(width[1], rel=0.25)
    assert width[2] < 0.5 * width[0]


def test_depends_on_the_seed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, targets = sample(60)
    first, again, other = (bootstrap(scores, targets, None, taxonomy=SMALL, draws=50, seed=seed) for seed in (1, 1, 2))
    assert (first.ap == again.ap).all()
    assert (first.ap != other.ap).any()
    monkeypatch.setattr(intervals, "_CELLS_A_CHUNK", 200)
    assert (bootstrap(scores, targets, None, taxonomy=SMALL, draws=50, seed=1).ap == first.ap).all(), (
        "chunks change nothing"
    )


def test_class_absent_in_some_draws_is_counted() -> None:
    scores, targets = sample(40)
    targets[:, 2] = False
    targets[7, 2] = True
    found = bootstrap(scores, targets, None, taxonomy=SMALL, draws=400)
    assert found.absent[:2].tolist() == [0, 0]
    assert 0.25 < found.absent[2] / 400 < 0.5, "a video is absent from about 1/e of the draws"
    assert np.isfinite(found.ap).all()
    assert found.to_json()["draws_without_positives"] == {"B": int(found.absent[2])}


def test_class_without_positives_follows_the_rule_of_the_means() -> None:
    scores, targets = sample(100)
    targets[:, 2] = False
    zero, skip = (
        bootstrap(scores, targets, None, taxonomy=SMALL, draws=200, empty=empty) for empty in ("zero", "skip")
    )
    for found, empty in ((zero, "zero"), (skip, "skip")):
        point = score(scores, targets, SMALL, empty)  # type: ignore[arg-type]
        assert found.map_all[0] < point.map_all < found.map_all[1]
        assert np.isnan(found.ap[2]).all()
        assert found.to_json()["ap"]["B"] == [None, None]
        assert found.absent[2] == 200
    assert zero.map_all == pytest.approx(tuple(2 / 3 * end for end in skip.map_all))


def test_no_positives_at_all() -> None:
    found = bootstrap(np.zeros((5, 3)), np.zeros((5, 3), dtype=bool), None, taxonomy=SMALL, draws=10, empty="skip")
    assert found.to_json()["map_all"] == [None, None]


def test_refuses_impossible_settings() -> None:
    scores, targets = sample(10)
    for keywords in ({"draws": 0}, {"level": 1.0}, {"level": 0.0}):
        with pytest.raises(ValueError, match="at least 1"):
            bootstrap(scores, targets, None, taxonomy=SMALL, **keywords)
    with pytest.raises(ValueError, match="groups for 10"):
        bootstrap(scores, targets, ["a"], taxonomy=SMALL)
    with pytest.raises(ValueError, match=r"\(n, 3\)"):
        bootstrap(scores[:, :2], targets[:, :2], None, taxonomy=SMALL)


def compared(gap: float, seed: int = 0) -> tuple[Difference, float]:
    """Two models, the first better by `gap` in its scores; and the difference of their mean mAP over folds."""
    rng = np.random.default_rng(seed)
    targets = rng.random((200, 2)) < 0.3
    folds = np.arange(200) % 4
    groups = [f"g{row // 8}_{row % 4}" for row in range(200)]
    noise = rng.normal(size=(2, 200, 2))
    one, other = (gap + 0.5) * targets + noise[0], 0.5 * targets + 0.5 * noise[0] + 0.5 * noise[1]
    taxonomy = Taxonomy("two", (DefectClass(0, "A", "a"), DefectClass(1, "B", "b")))
    maps = [
        np.mean([score(scores[folds == fold], targets[folds == fold], taxonomy).map_defects for fold in range(4)])
        for scores in (one, other)
    ]
    return compare(one, other, labelled(targets, folds, taxonomy, groups), draws=300), float(maps[0] - maps[1])


@pytest.mark.parametrize("gap", [0.0, 1.0])
def test_the_difference_is_that_of_the_means_and_lies_in_its_interval(gap: float) -> None:
    found, exact = compared(gap)
    assert found.map_defects == pytest.approx(exact)
    assert found.low < exact < found.high


def test_a_clear_gain_is_significant_and_none_is_not() -> None:
    assert compared(1.5)[0].low > 0
    signs = [np.sign(compared(0.12, seed)[0].low) for seed in range(4)]
    assert -1 in signs


def test_equal_models_do_not_differ() -> None:
    rng = np.random.default_rng(0)
    scores, targets = rng.random((60, 1)), rng.random((60, 1)) < 0.4
    taxonomy = Taxonomy("one", (DefectClass(0, "A", "a"),))
    found = compare(
        scores, scores, labelled(targets, np.arange(60) % 3, taxonomy, [f"g{row}" for row in range(60)]), draws=50
    )
    assert (found.map_defects, found.low, found.high) == (0, 0, 0)


def test_several_trainings_are_compared_in_pairs() -> None:
    scores, targets = sample(300)
    better, _ = sample(300, skill=3.0)
    folds, groups = np.arange(300) % 3, [str(n // 2) for n in range(300)]
    data = labelled(targets, folds, SMALL, groups)
    single = compare(better, scores, data, draws=200)
    assert compare(np.stack([better, better]), np.stack([scores, scores]), data, draws=200) == single
    mixed = compare(np.stack([better, scores]), np.stack([scores, scores]), data, draws=200)
    assert mixed.map_defects == pytest.approx(single.map_defects / 2)
    with pytest.raises(ValueError, match=r"shorter|longer"):
        compare(np.stack([better, better]), scores, data, draws=200)


def test_too_few_groups_give_no_interval_instead_of_a_narrow_one() -> None:
    scores, targets = sample(120)
    better, _ = sample(120, skill=3.0)
    for folds, groups in (
        (np.zeros(120, np.int64), ["one inspection"] * 120),
        (np.zeros(120, np.int64), [f"g{row % 9}" for row in range(120)]),
        (np.arange(120) % 2, [f"g{row}" if row % 2 else "alone in its fold" for row in range(120)]),
    ):
        found = compare(better, scores, labelled(targets, folds, SMALL, groups), draws=50)
        assert found.map_defects > 0
        assert np.isnan([found.low, found.high]).all()
    enough = compare(
        better, scores, labelled(targets, np.zeros(120, np.int64), SMALL, [f"g{row % 10}" for row in range(120)])
    )
    assert enough.low < enough.map_defects < enough.high
