"""The choices of `fit`: what each fold may know of the others, and that the figure of a choice is not flattered."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from helpers.finished_runs import noise_runs
from helpers.tiny_fits import fitted, tiny_candidate, tiny_frozen
from urbanpipe.catalog.folds import read_folds
from urbanpipe.catalog.scan import scan
from urbanpipe.ensembling.ensemble import ensemble
from urbanpipe.errors import OutOfMemoryError
from urbanpipe.evaluation.average_precision import fold_aps, mean_of_known
from urbanpipe.evaluation.runs import read_out_of_fold
from urbanpipe.tuning import fitting, run_step
from urbanpipe.tuning import search as search_module
from urbanpipe.tuning.choice import ALL_FOLDS, EligibleRuns, best, rank, union
from urbanpipe.tuning.figures import figures_of
from urbanpipe.tuning.search import search
from urbanpipe.tuning.steps import Step

pytestmark = pytest.mark.usefixtures("no_plots_of_folds")

SCORES = {"a": {0: 0.9, 1: 0.1}, "b": {0: 0.5, 1: 0.6}, "c": {0: 0.1, 1: 0.3}}


def test_a_fold_has_no_part_in_its_own_ranking() -> None:
    ranking = rank(SCORES, [0, 1, 2])
    assert ranking == {ALL_FOLDS: ["b", "a", "c"], 0: ["b", "c", "a"], 1: ["a", "b", "c"], 2: ["b", "a", "c"]}
    for fold in (0, 1):
        changed = {name: {**values, fold: 1 - values[fold]} for name, values in SCORES.items()}
        assert rank(changed, [0, 1, 2])[fold] == ranking[fold]


def test_a_later_ranking_is_among_those_that_the_same_folds_kept() -> None:
    among = best(rank(SCORES, [0, 1]), 3)
    assert among == {ALL_FOLDS: ["b"], 0: ["b"], 1: ["a"]}
    assert union(among) == ["b", "a"]
    later = {"b": {0: 0.1, 1: 0.1}, "a": {0: 0.9, 1: 0.9}}
    assert rank(later, [0, 1], among) == {ALL_FOLDS: ["b"], 0: ["b"], 1: ["a"]}


def test_without_scores_the_order_stays() -> None:
    assert rank({"a": {0: float("nan")}, "b": {0: 0.2}}, [0])[ALL_FOLDS] == ["b", "a"]
    assert rank({"a": {0: 0.1}, "b": {0: 0.2}}, [0, 1])[0] == ["a", "b"], "no other fold was tried"


def test_a_run_is_used_only_where_it_was_chosen() -> None:
    runs = EligibleRuns([0, 1])
    runs.allow("tuned", ALL_FOLDS)
    runs.allow("tuned", 1)
    members = runs.members(["frozen", "tuned"])
    assert members.by_fold.tolist() == [[True, False], [True, True]]
    assert members.final.tolist() == [True, True]


NAMES = ("first", "good", "bad", "worst")


@pytest.mark.parametrize(
    ("left", "too_long", "compared", "expected"),
    [
        (100.0, "", ["first-1", "good-1", "bad-1", "worst-1", "first-2", "good-2"], ["first-3", "good-3", "bad-3"]),
        (100.0, "first-3", ["first-1", "good-1", "bad-1", "worst-1", "first-2", "good-2"], ["first-2", "good-3"]),
        (100.0, "good", ["first-1", "bad-1", "worst-1", "first-2", "bad-2"], ["first-3", "bad-3"]),
        (12.5, "", ["first-1", "good-1", "bad-1"], ["good-3", "first-3", "bad-3", "worst-3"]),
        (5.5, "", [], ["first-2", "good-2", "bad-2", "worst-2"]),
        (3.0, "", [], ["first-1", "good-1", "bad-1", "worst-1"]),
    ],
)
def test_the_time_left_decides_what_is_compared_and_how_long_it_is_trained(
    monkeypatch: pytest.MonkeyPatch, left: float, too_long: str, compared: list[str], expected: list[str]
) -> None:
    monkeypatch.setattr(search_module, "EPOCHS", (1, 2, 3))
    monkeypatch.setattr(search_module, "HALVING", 2)
    tried, trained = list[str](), list[str]()
    worth = {"first-1": 0.5, "good-1": 0.6, "bad-1": 0.2, "worst-1": 0.1, "good-2": 0.6, "first-2": 0.7, "bad-2": 0.1}
    work = _work(left)

    def expected_seconds(step: Step, folds: Sequence[int], _: object) -> float:
        is_long = bool(too_long) and step.recipe.name.startswith(too_long)
        return 1000.0 if is_long else int(step.recipe.name[-1]) * len(folds) / 2

    def try_folds(step: Step, folds: Sequence[int]) -> dict[int, float]:
        tried.append(step.recipe.name)
        return dict.fromkeys(folds, worth[step.recipe.name])

    def cross_validate(step: Step) -> bool:
        is_done = expected_seconds(step, [0, 1, 2], None) < 1000
        work.outcomes[step.recipe.name] = SimpleNamespace(is_done=is_done, has_failed=not is_done)
        if is_done:
            trained.append(step.recipe.name)
        return is_done

    monkeypatch.setattr(search_module, "expected_seconds", expected_seconds)
    monkeypatch.setattr(search_module, "is_trained", lambda step, _: step.recipe.name in trained)
    work.try_folds, work.cross_validate = try_folds, cross_validate
    settings = [tiny_candidate(name, 1e-3 + number / 1e5) for number, name in enumerate(NAMES)]
    search(settings, cast("search_module.SearchedWork", work))
    assert tried == compared
    assert trained[: len(expected)] == expected
    assert len(trained) == len(set(trained))
    assert work.eligible.members(expected[:1]).final.all()


def test_what_a_later_call_finds_trained_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A larger budget trains a setting for longer, and keeps its shorter training."""
    monkeypatch.setattr(search_module, "EPOCHS", (1, 2, 3))
    monkeypatch.setattr(search_module, "expected_seconds", lambda *_: 10.0)
    work, trained = _work(100.0), list[str]()
    monkeypatch.setattr(search_module, "is_trained", lambda step, _: step.recipe.name in {"one-2", *trained})

    def cross_validate(step: Step) -> bool:
        work.outcomes[step.recipe.name] = SimpleNamespace(is_done=True, has_failed=False)
        trained.append(step.recipe.name)
        return True

    work.cross_validate = cross_validate
    search([tiny_candidate("one", 1e-3)], cast("search_module.SearchedWork", work))
    assert trained == ["one-2", "one-3"]


def test_a_longer_training_that_has_begun_goes_on_where_a_shorter_one_would_not_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Four of five folds of the longest are trained, so that less of it is left than of a shorter one."""
    monkeypatch.setattr(search_module, "EPOCHS", (1, 2, 3))
    needed = {"one-1": 15.0, "one-2": 80.0, "one-3": 24.0}
    monkeypatch.setattr(search_module, "expected_seconds", lambda step, *_: needed[step.recipe.name])
    monkeypatch.setattr(search_module, "is_trained", lambda *_: False)
    work, trained = _work(69.0), list[str]()
    work.cross_validate = lambda step: trained.append(step.recipe.name)
    settings = [tiny_candidate("one", 1e-3)]
    search(settings, cast("search_module.SearchedWork", work))
    work.times["one-3"] = {"seconds": 96.0, "folds": 4.0}
    search(settings, cast("search_module.SearchedWork", work))
    assert trained == ["one-1", "one-3"]


@pytest.mark.parametrize(
    ("took", "agree", "trained", "used"),
    [
        (10.0, False, ["one-2", "two-2"], {ALL_FOLDS, 0, 1, 2}),
        (200.0, False, ["one-2", "two-2", "two-1", "one-1"], {0}),
        (200.0, True, ["one-2", "two-2"], {ALL_FOLDS, 0, 1, 2}),
    ],
)
def test_a_fold_gets_no_training_for_which_its_own_order_left_no_time(
    took: float, agree: bool, trained: list[str], used: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fold 1's score ranks `two` first, for fold 0; with the time left, the other folds could not have trained it."""
    monkeypatch.setattr(search_module, "EPOCHS", (1, 2))
    monkeypatch.setattr(search_module, "expected_seconds", lambda *_: 5.0)
    scores = {"one-1": {0: 0.9, 1: 0.9 if agree else 0.1}, "two-1": {0: 0.1, 1: 0.6}}
    work, done = _work(80.0), list[str]()
    monkeypatch.setattr(search_module, "is_trained", lambda step, _: step.recipe.name in done)

    def cross_validate(step: Step) -> bool:
        work.outcomes[step.recipe.name] = SimpleNamespace(is_done=True, has_failed=False)
        work.times[step.recipe.name] = {"seconds": took, "folds": 3.0}
        work.budget.left_seconds = 40.0
        done.append(step.recipe.name)
        return True

    work.cross_validate, work.try_folds = cross_validate, lambda step, _: scores.get(step.recipe.name)
    search([tiny_candidate("one", 1e-3), tiny_candidate("two", 2e-3)], cast("search_module.SearchedWork", work))
    assert done == trained
    assert work.eligible.of_run["two-2"] == used


def test_settings_whose_time_cannot_be_measured_are_not_compared_and_their_failure_is_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def expected_seconds(step: Step, *_: object) -> float:
        if step.recipe.name.startswith("large"):
            raise OutOfMemoryError("out of memory")
        return 1.0

    monkeypatch.setattr(search_module, "EPOCHS", (1, 2))
    monkeypatch.setattr(search_module, "expected_seconds", expected_seconds)
    work, tried, trained, failed = _work(100.0), list[str](), list[str](), list[str]()
    monkeypatch.setattr(search_module, "is_trained", lambda step, _: step.recipe.name in trained)

    def try_folds(step: Step, folds: Sequence[int]) -> dict[int, float] | None:
        tried.append(step.recipe.name)
        return dict.fromkeys(folds, 0.5)

    def cross_validate(step: Step) -> bool:
        is_done = not step.recipe.name.startswith("large")
        work.outcomes[step.recipe.name] = SimpleNamespace(is_done=is_done, has_failed=not is_done)
        (trained if is_done else failed).append(step.recipe.name)
        return is_done

    work.try_folds, work.cross_validate = try_folds, cross_validate
    settings = [tiny_candidate(name, rate) for name, rate in (("first", 1e-3), ("large", 2e-3), ("other", 3e-3))]
    search(settings, cast("search_module.SearchedWork", work))
    assert tried == ["first-1", "other-1"]
    assert trained == ["first-2", "other-2"]
    assert failed == ["large-1"], "it is not tried again"
    assert "large-1" not in work.eligible.of_run


def test_a_slow_setting_does_not_take_the_time_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {"slow-1": 10.0, "first-1": 5.0, "good-1": 5.0, "bad-1": 5.0}
    monkeypatch.setattr(search_module, "EPOCHS", (1,))
    monkeypatch.setattr(search_module, "expected_seconds", lambda step, *_: seconds[step.recipe.name])
    monkeypatch.setattr(search_module, "is_trained", lambda *_: False)
    work, tried = _work(80.0), list[str]()

    def try_folds(step: Step, folds: Sequence[int]) -> dict[int, float]:
        tried.append(step.recipe.name)
        return dict.fromkeys(folds, 0.5)

    work.try_folds, work.cross_validate = try_folds, lambda _: False
    settings = [tiny_candidate(name, 1e-3 + place / 1e5) for place, name in enumerate(("slow", "first", "good", "bad"))]
    search(settings, cast("search_module.SearchedWork", work))
    assert tried == ["first-1", "good-1", "bad-1"]


def test_with_two_folds_a_comparison_is_a_cross_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first comparison chose nothing by scores, so that each fold may use its runs; the second did."""
    monkeypatch.setattr(search_module, "EPOCHS", (1, 2))
    monkeypatch.setattr(search_module, "expected_seconds", lambda *_: 1.0)
    worth = {"one-1": {0: 0.9, 1: 0.1}, "two-1": {0: 0.1, 1: 0.9}, "three-1": {0: 0.4, 1: 0.4}}
    work, trained = _work(100.0, folds=[0, 1]), list[str]()
    monkeypatch.setattr(search_module, "is_trained", lambda step, _: step.recipe.name in trained)

    def cross_validate(step: Step) -> bool:
        work.outcomes[step.recipe.name] = SimpleNamespace(is_done=True, has_failed=False)
        trained.append(step.recipe.name)
        return True

    def try_folds(step: Step, folds: Sequence[int]) -> dict[int, float]:
        assert list(folds) == [0, 1]
        cross_validate(step)
        return worth.get(step.recipe.name, dict.fromkeys(folds, 0.5))

    work.try_folds, work.cross_validate = try_folds, cross_validate
    settings = [tiny_candidate(name, 1e-3 + place / 1e5) for place, name in enumerate(("one", "two", "three"))]
    compared = [candidate.step(1).recipe.name for candidate in settings]
    search_module._ranked(settings, cast("search_module.SearchedWork", work))
    assert trained == [*compared, "one-2", "two-2"], "the best of fold 0, which is fold 1's choice, and that of fold 1"
    members = work.eligible.members(trained)
    assert members.by_fold.tolist() == [[True, True, True, False, True], [True, True, True, True, False]]
    assert members.final.tolist() == [True, True, True, True, False]


def _work(left: float, folds: Sequence[int] = (0, 1, 2)) -> SimpleNamespace:
    """Return a call of `fit` with so many seconds left, which trains nothing."""
    budget = SimpleNamespace(left_seconds=left)
    experiment = SimpleNamespace(fold_numbers=[*folds])
    return SimpleNamespace(experiment=experiment, budget=budget, eligible=EligibleRuns(folds), outcomes={}, times={})


@pytest.mark.slow
def test_settings_that_know_nothing_are_chosen_and_combined_to_chance(tmp_path: Path) -> None:
    """Twenty settings of random scores: the best on two folds looks good there, and the printed figure does not."""
    runs = noise_runs(tmp_path, 20, seed=3)
    folds = sorted(set(read_out_of_fold(runs[0]).folds.tolist()))
    ranking, eligible = rank({run.name: _maps(run) for run in runs}, folds), EligibleRuns(folds)
    for run in runs:
        eligible.of_run[run.name] = {without for without, names in ranking.items() if run.name in names[:2]}
    chosen = [run for run in runs if eligible.of_run[run.name]]
    made = ensemble(
        chosen,
        out=tmp_path / "ensemble",
        weights="search",
        exclusive_threshold=None,
        eligible=eligible.members([run.name for run in chosen]),
    )
    alone = [figures_of(run) for run in runs]
    chance, mean_of_folds = (float(np.mean([getattr(each, kind) for each in alone])) for kind in ("pooled", "mean"))
    figures, flattered = figures_of(made.folder, made.nested), figures_of(made.folder)
    assert figures.low < chance < figures.high
    assert flattered.mean > mean_of_folds + 0.01, "on the videos of the choice it seems to know something"
    assert made.weights[~eligible.members([run.name for run in chosen]).final].sum() == 0


def _maps(run: Path) -> dict[int, float]:
    """Return the mAP of each fold of a run."""
    data = read_out_of_fold(run)
    by_fold = fold_aps(data.scores, data.targets, data.folds)
    return {fold: mean_of_known(aps) for fold, aps in zip(np.unique(data.folds).tolist(), by_fold, strict=True)}


@pytest.mark.slow
def test_fit_compares_settings_twice_on_two_folds_and_trains_the_best_first(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The labels are shuffled among the videos, so that the figure that fit prints must be that of chance."""
    _shuffled(archive, tmp_path)
    names = ("worst", "bad", "good")
    settings = [tiny_candidate(name, 1e-3 + number / 1e5) for number, name in enumerate(names)]
    monkeypatch.setattr(fitting, "frozen_steps", tiny_frozen)
    monkeypatch.setattr(fitting, "candidates", lambda _: settings)
    monkeypatch.setattr(search_module, "EPOCHS", (1, 2, 3))
    monkeypatch.setattr(search_module, "HALVING", 2)
    monkeypatch.setattr(run_step, "crossval_seconds", lambda *_, **__: 1.0)
    monkeypatch.setattr(run_step, "expected_seconds", lambda *_: 1.0)
    worth = {"worst-1": 0.1, "bad-1": 0.2, "good-1": 0.6, "good-2": 0.3, "bad-2": 0.7, "worst-2": 0.0}
    monkeypatch.setattr(run_step, "_map", lambda run, fold: worth[run.name] * (fold == 0))
    folds = tmp_path / "folds.csv"
    _three_folds(archive / "folds.csv", folds)
    result = fitted(tmp_path, tmp_path / "out", folds=folds)
    outcomes = {outcome.step.recipe.name: outcome for outcome in result.outcomes}
    done = [name for name, outcome in outcomes.items() if outcome.is_done]
    assert done == ["frozen-tiny", "bad-3", "worst-3", "good-3"], "without fold 0 all are equal, in the given order"
    assert outcomes["bad-1"].tried == {0: 0.2, 1: 0.0}
    assert outcomes["bad-1"].reason == "tried on 2 folds"
    assert not (tmp_path / "out" / "bad-1" / "fold2").exists()
    assert "tried on 2 folds" in (result.folder / "fit.md").read_text()
    figures, data = result.points[-1].figures, read_out_of_fold(tmp_path / "out" / "frozen-tiny")
    chance = mean_of_known(np.where(data.targets.any(0), data.targets.mean(0), np.nan))
    assert figures.low < chance < figures.high < 0.9


def _shuffled(archive: Path, out: Path) -> None:
    """Write a catalog of the videos of an archive with labels of other videos."""
    labels = json.loads((archive / "labels.json").read_text())
    moved = np.random.default_rng(0).permutation(len(labels)).tolist()
    values = [*labels.values()]
    shuffled = {name: values[place] for name, place in zip(labels, moved, strict=True)}
    (out / "labels.json").write_text(json.dumps(shuffled))
    scan(archive / "videos", out=out / "catalog.csv", labels=out / "labels.json", workers=1)


def _three_folds(source: Path, out: Path) -> None:
    """Write the folds of a file with a third one, of some videos of each."""
    folds = read_folds(source)
    by_fold = {fold: [name for name, its in folds.items() if its == fold] for fold in (0, 1)}
    moved = {name: 2 for names in by_fold.values() for name in names[:3]}
    out.write_text(
        "video,fold\n" + "".join(f"{name},{moved.get(name, fold)}\n" for name, fold in folds.items()), encoding="utf-8"
    )
