"""The choices of `fit`: what each fold may know of the others, and that the figure of a choice is not flattered."""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
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
from urbanpipe.models.distributed import DistributedContext
from urbanpipe.training import crossval
from urbanpipe.training.fold_job import FoldJob
from urbanpipe.training.loop import train_model
from urbanpipe.tuning import fitting, run_step
from urbanpipe.tuning import search as search_module
from urbanpipe.tuning.choice import ALL_FOLDS, EligibleRuns, best, rank, union
from urbanpipe.tuning.figures import figures_of
from urbanpipe.tuning.search import search
from urbanpipe.tuning.steps import Candidate, Step

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


Worth = Mapping[str, float | dict[int, float]]


class FakeWork:
    """A call of `fit` that trains nothing: how long a step takes and what it is worth is given.

    Args:
        left: seconds left.
        seconds: seconds of a fold, by name of the step.
        worth: mAP by name of the step, for all folds or by fold; steps that are not in it have .5.
        folds: the folds.
        recorded: seconds of each training that are recorded; default: `seconds`.
        failing: start of the names of steps that fail when they are trained.
        slower: how many times as long as expected a training takes; by default the time left never changes.
    """

    def __init__(
        self,
        left: float,
        seconds: Callable[[str], float] = lambda _: 1.0,
        worth: Worth | None = None,
        *,
        folds: Sequence[int] = (0, 1, 2),
        recorded: float | None = None,
        failing: str = "none",
        slower: float = 0.0,
    ) -> None:
        self.experiment = SimpleNamespace(fold_numbers=[*folds])
        self.budget = SimpleNamespace(left_seconds=left)
        self.eligible = EligibleRuns(folds)
        self.outcomes: dict[str, SimpleNamespace] = {}
        self.times = defaultdict[str, dict[str, float]](lambda: {"seconds": 0.0, "folds": 0.0})
        self.tried, self.trained, self.failed = list[str](), list[str](), list[str]()
        self._seconds, self._worth, self._recorded, self._failing = seconds, worth or {}, recorded, failing
        self._slower = slower

    def needed(self, step: Step, folds: Sequence[int], _: object) -> float:
        name = step.recipe.name
        return self._seconds(name) * max(0.0, len(folds) - self.times[name]["folds"])

    def has_trained(self, step: Step, _: object) -> bool:
        return self.times[step.recipe.name]["folds"] == len(self.experiment.fold_numbers)

    def try_folds(self, step: Step, folds: Sequence[int]) -> dict[int, float] | None:
        name = step.recipe.name
        if len(folds) == len(self.experiment.fold_numbers):
            self.cross_validate(step)
        elif self.needed(step, folds, None):
            self.tried.append(name)
            self._train(name, len(folds))
        return self.maps(step, folds)

    def maps(self, step: Step, folds: Sequence[int]) -> dict[int, float] | None:
        name = step.recipe.name
        if self.times[name]["folds"] < len(folds):
            return None
        worth = self._worth.get(name, 0.5)
        return {fold: worth if isinstance(worth, float) else worth[fold] for fold in folds}

    def cross_validate(self, step: Step) -> bool:
        name, folds = step.recipe.name, self.experiment.fold_numbers
        if name in self.trained or name in self.failed:
            return name in self.trained
        has_failed = name.startswith(self._failing)
        is_done = not has_failed and self.needed(step, folds, None) <= self.budget.left_seconds
        self.outcomes[name] = SimpleNamespace(is_done=is_done, has_failed=has_failed)
        if has_failed:
            self.failed.append(name)
        elif is_done:
            self._train(name, len(folds))
            self.trained.append(name)
        return is_done

    def search(self, names: Sequence[str], patch: pytest.MonkeyPatch, *, epochs: tuple[int, ...] = (1, 2, 3)) -> None:
        """Search among settings of these names."""
        patch.setattr(search_module, "EPOCHS", epochs)
        patch.setattr(search_module, "HALVING", 2)
        patch.setattr(search_module, "expected_seconds", self.needed)
        patch.setattr(search_module, "is_trained", self.has_trained)
        patch.setattr(search_module, "has_time", lambda *_: self.budget.left_seconds > 0)
        search(self.settings(names), cast("search_module.SearchedWork", self))

    def knows(self, name: str) -> None:
        """Let an earlier call have trained a step."""
        self._train(name, len(self.experiment.fold_numbers))
        for without in (ALL_FOLDS, *self.experiment.fold_numbers):
            self.eligible.mark_tried(name, without)

    def settings(self, names: Sequence[str]) -> list[Candidate]:
        return [tiny_candidate(name, 1e-3 + place / 1e5) for place, name in enumerate(names)]

    def _train(self, name: str, folds: int) -> None:
        self.budget.left_seconds -= self._slower * self._seconds(name) * (folds - self.times[name]["folds"])
        seconds = self._recorded or self._seconds(name) * folds
        self.times[name] = {"seconds": seconds, "folds": float(folds)}


def _by_epochs(name: str) -> float:
    return int(name[-1]) / 2


NAMES = ("first", "good", "bad", "worst")
WORTH = {
    "first-1": 0.5,
    "good-1": 0.6,
    "bad-1": 0.2,
    "worst-1": 0.1,
    "first-2": 0.7,
    "good-2": 0.6,
    "bad-2": 0.1,
    "first-3": 0.8,
    "good-3": 0.5,
    "bad-3": 0.3,
    "worst-3": 0.2,
}


@pytest.mark.parametrize(
    ("left", "too_long", "tried", "trained"),
    [
        (  # `first` is better with 3 epochs than with 2, `good` is not, nor with 1 epoch
            100.0,
            "none",
            ["first-1", "good-1", "bad-1", "worst-1", "first-2", "good-2", "first-3", "good-3", "bad-3", "worst-3"],
            ["first-2", "first-3", "good-1", "bad-1", "bad-3", "worst-1", "worst-3"],
        ),
        (
            100.0,
            "first-3",
            ["first-1", "good-1", "bad-1", "worst-1", "first-2", "good-2", "good-3", "bad-3", "worst-3"],
            ["first-2", "good-1", "bad-1", "bad-3", "worst-1", "worst-3"],
        ),
        (100.0, "good", ["first-1", "bad-1", "worst-1", "first-2", "bad-2", "first-3"], ["first-2", "first-3"]),
        (12.5, "none", ["first-1", "good-1", "bad-1"], ["good-1"]),
        (5.5, "none", [], ["first-2", "good-2", "bad-2", "worst-2"]),
        (3.0, "none", [], ["first-1", "good-1", "bad-1", "worst-1"]),
    ],
)
def test_the_time_left_and_the_tried_folds_decide_how_long_a_setting_is_trained(
    monkeypatch: pytest.MonkeyPatch, left: float, too_long: str, tried: list[str], trained: list[str]
) -> None:
    work = FakeWork(left, lambda name: 1000.0 if name.startswith(too_long) else _by_epochs(name), WORTH)
    work.search(NAMES, monkeypatch)
    assert work.tried[: len(tried)] == tried
    assert work.trained[: len(trained)] == trained
    assert len(work.trained) == len(set(work.trained))
    assert work.eligible.members(trained[:1]).final.all()


def test_a_comparison_that_is_slower_than_expected_ends_with_its_share_of_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All six are expected to take 2 seconds each of 25; the first two take 32."""
    work = FakeWork(100.0, worth={"two-1": 0.6}, slower=8.0)
    work.search(["one", "two", "three", "four", "five", "six"], monkeypatch, epochs=(1,))
    assert work.tried == ["one-1", "two-1"]
    assert work.trained == ["two-1", "one-1", "three-1", "four-1", "five-1"]


def test_settings_that_are_slow_for_the_budget_but_not_beside_the_others_are_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A third of 20 seconds is too little for any of them."""
    seconds = {"slow-1": 7.0, "one-1": 4.0, "two-1": 5.0, "three-1": 4.5}
    work = FakeWork(80.0, lambda name: seconds[name])
    work.search(["slow", "one", "two", "three"], monkeypatch, epochs=(1,))
    assert work.tried == ["one-1", "two-1"]


def test_a_resumed_comparison_compares_the_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of them is trained already, and so takes no time."""
    seconds = {"slow-1": 7.0, "one-1": 4.0, "two-1": 5.0, "three-1": 4.5}
    work = FakeWork(80.0, lambda name: seconds[name])
    work.times["one-1"] = {"seconds": 8.0, "folds": 2.0}
    work.search(["slow", "one", "two"], monkeypatch, epochs=(1,))
    assert work.tried == ["two-1"]


def test_where_the_best_number_of_epochs_fails_the_next_best_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    work = FakeWork(1000.0, worth={"one-1": 0.6, "one-2": 0.5}, failing="one-1")
    work.search(["one", "two"], monkeypatch, epochs=(1, 2))
    assert "one-2" in work.trained
    assert "one-1" not in work.trained


def test_a_longer_training_is_left_after_the_tried_folds_where_it_is_not_better(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By fold 1 alone, which is the choice of fold 0, two epochs are better; by both, and by fold 0 alone, not."""
    worth: Worth = {"one-1": {0: 0.9, 1: 0.4}, "one-2": {0: 0.1, 1: 0.6}, "two-1": 0.2, "two-2": 0.1}
    work = FakeWork(1000.0, worth=worth)
    work.search(["one", "two"], monkeypatch, epochs=(1, 2))
    assert work.tried == ["one-1", "two-1", "one-2", "two-2"]
    assert work.trained == ["one-1", "one-2", "two-1"]
    assert work.times["two-2"]["folds"] == 2
    assert work.eligible.of_run["one-2"] == {0}
    assert work.eligible.of_run["one-1"] == work.eligible.of_run["two-1"] == {ALL_FOLDS, 0, 1, 2}


def test_a_number_of_epochs_between_is_tried_after_the_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    worth = {"one-1": 0.3, "one-2": 0.4, "one-3": 0.2, "two-1": 0.2, "two-2": 0.1, "two-3": 0.3}
    work = FakeWork(1000.0, worth=worth)
    work.knows("one-1")
    monkeypatch.setattr(search_module, "_ranked", lambda *_: {})
    work.search(["one"], monkeypatch)
    assert work.tried == ["one-3", "one-2"]
    assert work.trained == ["one-1", "one-2"], "the first as found"


def test_what_a_later_call_finds_trained_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A larger budget trains a setting for longer, and keeps its shorter training."""
    work = FakeWork(100.0, worth={"one-3": 0.6})
    work.knows("one-2")
    work.search(["one"], monkeypatch)
    assert work.trained[:2] == ["one-2", "one-3"]


def test_a_longer_training_that_has_begun_goes_on_where_a_shorter_one_would_not_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two of three folds of the longest are trained, so that less of it is left than of a shorter one."""
    seconds = {"one-1": 5.0, "one-2": 27.0, "one-3": 24.0}
    work = FakeWork(69.0, lambda name: seconds[name], {"one-3": 0.6})
    work.search(["one"], monkeypatch)
    assert work.trained == ["one-1"]
    work.times["one-3"] = {"seconds": 48.0, "folds": 2.0}
    work.search(["one"], monkeypatch)
    assert work.trained == ["one-1", "one-3"]


@pytest.mark.parametrize(
    ("recorded", "agree", "trained", "used"),
    [
        (10.0, False, ["one-2", "two-2", "two-1", "one-1"], {ALL_FOLDS, 0, 1, 2}),
        (500.0, False, ["one-2", "two-2", "two-1", "one-1"], {0}),
        (500.0, True, ["one-1", "one-2", "two-1", "two-2"], {ALL_FOLDS, 0, 1, 2}),
    ],
)
def test_a_fold_gets_no_training_for_which_its_own_order_left_no_time(
    recorded: float, agree: bool, trained: list[str], used: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fold 1's score ranks `two` first, for fold 0; with the time left, the other folds could not have trained it."""
    worth: Worth = {"one-1": {0: 0.9, 1: 0.9 if agree else 0.1}, "two-1": {0: 0.1, 1: 0.6}, "one-2": 1.0, "two-2": 1.0}
    work = FakeWork(80.0, worth=worth, recorded=recorded)
    work.search(["one", "two"], monkeypatch, epochs=(1, 2))
    assert work.trained == trained
    assert work.eligible.of_run["two-2"] == used


def test_settings_whose_time_cannot_be_measured_are_not_compared_and_their_failure_is_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def seconds(name: str) -> float:
        if name.startswith("large"):
            raise OutOfMemoryError("out of memory")
        return 1.0

    work = FakeWork(100.0, seconds, failing="large")
    work.search(["first", "large", "other"], monkeypatch, epochs=(1, 2))
    assert work.tried[:2] == ["first-1", "other-1"]
    assert work.trained == ["first-1", "other-1"]
    assert work.failed == ["large-1"], "it is not tried again"


def test_a_slow_setting_does_not_take_the_time_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    work = FakeWork(80.0, lambda name: 5.0 if name == "slow-1" else 2.5)
    work.search(["slow", "first", "good", "bad"], monkeypatch, epochs=(1,))
    assert work.tried == ["first-1", "good-1", "bad-1"]


def test_with_two_folds_a_comparison_is_a_cross_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first comparison chose nothing by scores, so that each fold may use its runs; the second did."""
    worth: Worth = {"one-1": {0: 0.9, 1: 0.1}, "two-1": {0: 0.1, 1: 0.9}, "three-1": 0.4}
    work = FakeWork(100.0, worth=worth, folds=[0, 1])
    work.search(["one", "two", "three"], monkeypatch, epochs=(1, 2))
    assert work.trained == ["one-1", "two-1", "three-1", "one-2", "two-2", "three-2"]
    members = work.eligible.members(["one-1", "two-1", "three-1"])
    assert members.final.all()
    assert members.by_fold.all()


@pytest.mark.parametrize("folds", [(0, 1), (0, 1, 2), (0, 1, 2, 3, 4)])
def test_what_a_fold_may_use_does_not_depend_on_its_own_scores(
    folds: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With time for everything: whatever fold 0's scores are, its combination may use the same runs."""
    rng, names = np.random.default_rng(0), ("one", "two", "three", "four")
    steps = [f"{name}-{epochs}" for name in names for epochs in (1, 2, 3)]

    def used(worth: dict[str, dict[int, float]]) -> set[str]:
        work = FakeWork(1e6, worth=dict(worth), folds=folds)
        work.search(names, monkeypatch)
        return {run for run in work.trained if 0 in work.eligible.of_run.get(run, {0})}

    for _ in range(40):
        worth = {step: dict(zip(folds, rng.random(len(folds)).tolist(), strict=True)) for step in steps}
        other = {step: {**values, 0: float(rng.random())} for step, values in worth.items()}
        assert used(worth) == used(other)


def test_folds_that_are_trained_but_not_counted_do_not_keep_it_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a kill between the end of a fold and the note of its time, or where that note was deleted."""
    work = FakeWork(1e6, worth={"one-2": 0.1, "one-3": 0.2})
    work.times = defaultdict(lambda: {"seconds": 0.0, "folds": 0.0})
    monkeypatch.setattr(work, "maps", lambda step, folds: dict.fromkeys(folds, 0.5))
    monkeypatch.setattr(work, "try_folds", lambda step, folds: dict.fromkeys(folds, 0.5))
    work.search(["one"], monkeypatch)
    assert work.trained == ["one-3", "one-2", "one-1"], "and then it ends"


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
    monkeypatch.setattr(fitting, "candidates", lambda *_, **__: settings)
    monkeypatch.setattr(search_module, "EPOCHS", (1, 2, 3))
    monkeypatch.setattr(search_module, "HALVING", 2)
    monkeypatch.setattr(run_step, "crossval_seconds", lambda *_, **__: 1.0)
    monkeypatch.setattr(run_step, "expected_seconds", lambda *_: 1.0)
    worth = {
        "worst-1": 0.1,
        "bad-1": 0.2,
        "good-1": 0.6,
        "good-2": 0.3,
        "bad-2": 0.7,
        "worst-2": 0.0,
        "good-3": 0.1,
        "bad-3": 0.8,
        "worst-3": 0.2,
    }
    monkeypatch.setattr(run_step, "_map", lambda run, fold: worth[run.name] * (fold == 0))
    folds = tmp_path / "folds.csv"
    _three_folds(archive / "folds.csv", folds)
    result = fitted(tmp_path, tmp_path / "out", folds=folds)
    outcomes = {outcome.step.recipe.name: outcome for outcome in result.outcomes}
    done = [name for name, outcome in outcomes.items() if outcome.is_done]
    assert done == ["frozen-tiny", "bad-2", "bad-3", "worst-1", "good-1", "bad-1", "worst-3"], (
        "without fold 0 all are equal, so that its choice is the first setting with the fewest epochs"
    )
    assert outcomes["good-3"].tried == {0: 0.1, 1: 0.0}
    assert outcomes["good-3"].reason == "tried on 2 folds"
    assert not (tmp_path / "out" / "good-3" / "fold2").exists()
    assert "tried on 2 folds" in (result.folder / "fit.md").read_text()
    figures, data = result.points[-1].figures, read_out_of_fold(tmp_path / "out" / "frozen-tiny")
    chance = mean_of_known(np.where(data.targets.any(0), data.targets.mean(0), np.nan))
    assert figures.low < chance < figures.high < 0.9


@pytest.mark.slow
def test_a_comparison_that_is_killed_goes_on(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its second setting, after one of the two folds; nothing that was trained is trained again."""
    settings = [tiny_candidate(name, 1e-3 + number / 1e5) for number, name in enumerate(("one", "two"))]
    monkeypatch.setattr(fitting, "frozen_steps", tiny_frozen)
    monkeypatch.setattr(fitting, "candidates", lambda *_, **__: settings)
    monkeypatch.setattr(search_module, "EPOCHS", (1,))
    monkeypatch.setattr(run_step, "crossval_seconds", lambda *_, **__: 1.0)
    trained = list[str]()

    def train(job: FoldJob, distributed: DistributedContext) -> None:
        name = f"{job.folder.parent.name} {job.folder.name}"
        if name == "two-1 fold1" and name not in trained:
            trained.append(name)
            raise KeyboardInterrupt
        trained.append(name)
        train_model(job, distributed)

    monkeypatch.setattr(crossval, "train_model", train)
    folds = tmp_path / "folds.csv"
    _three_folds(archive / "folds.csv", folds)
    with pytest.raises(KeyboardInterrupt):
        fitted(archive, tmp_path / "out", folds=folds)
    began = [*trained]
    result = fitted(archive, tmp_path / "out", folds=folds)
    assert began[-3:] == ["one-1 fold1", "two-1 fold0", "two-1 fold1"]
    assert {*trained[len(began) :]} == {"two-1 fold1", "one-1 fold2", "two-1 fold2"}
    assert [outcome.is_done for outcome in result.outcomes] == [True] * 3


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
