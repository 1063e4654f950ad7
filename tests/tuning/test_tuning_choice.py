"""The choices of `fit`: what each fold may know of the others, and that the figure of a choice is not flattered."""

from pathlib import Path

import numpy as np
import pytest

from helpers.finished_runs import finished_run
from helpers.tiny_fits import fitted, tiny_candidate, tiny_frozen
from urbanpipe.catalog.folds import read_folds
from urbanpipe.contracts.predictions import Predictions, write_predictions
from urbanpipe.ensembling.ensemble import ensemble
from urbanpipe.evaluation.average_precision import fold_aps, mean_of_known
from urbanpipe.evaluation.runs import read_out_of_fold
from urbanpipe.tuning import fitting, run_step
from urbanpipe.tuning.choice import EVERY, Rights, best, rank, union
from urbanpipe.tuning.figures import figures_of

SCORES = {"a": {0: 0.9, 1: 0.1}, "b": {0: 0.5, 1: 0.6}, "c": {0: 0.1, 1: 0.3}}


def test_a_fold_has_no_part_in_its_own_ranking() -> None:
    ranking = rank(SCORES, [0, 1, 2])
    assert ranking == {EVERY: ["b", "a", "c"], 0: ["b", "c", "a"], 1: ["a", "b", "c"], 2: ["b", "a", "c"]}
    for fold in (0, 1):
        changed = {name: {**values, fold: 1 - values[fold]} for name, values in SCORES.items()}
        assert rank(changed, [0, 1, 2])[fold] == ranking[fold]


def test_a_later_ranking_is_among_those_that_the_same_folds_kept() -> None:
    among = best(rank(SCORES, [0, 1]), 3)
    assert among == {EVERY: ["b"], 0: ["b"], 1: ["a"]}
    assert union(among) == ["b", "a"]
    later = {"b": {0: 0.1, 1: 0.1}, "a": {0: 0.9, 1: 0.9}}
    assert rank(later, [0, 1], among) == {EVERY: ["b"], 0: ["b"], 1: ["a"]}


def test_without_scores_the_order_stays() -> None:
    assert rank({"a": {0: float("nan")}, "b": {0: 0.2}}, [0])[EVERY] == ["b", "a"]
    assert rank({"a": {0: 0.1}, "b": {0: 0.2}}, [0, 1])[0] == ["a", "b"], "no other fold was tried"


def test_a_run_is_used_only_where_it_was_chosen() -> None:
    rights = Rights([0, 1])
    rights.grant("tuned", EVERY)
    rights.grant("tuned", 1)
    usable = rights.usable(["frozen", "tuned"])
    assert usable.by_fold.tolist() == [[True, False], [True, True]]
    assert usable.final.tolist() == [True, True]


@pytest.mark.slow
def test_settings_that_know_nothing_are_chosen_and_combined_to_chance(tmp_path: Path) -> None:
    """Twenty settings of random scores: the best on two folds looks good there, and the printed figure does not."""
    rng, runs, maps = np.random.default_rng(3), list[Path](), dict[str, dict[int, float]]()
    for number in range(20):
        run = finished_run(tmp_path / str(number), "frame", videos=150)
        known = read_out_of_fold(run)
        noise = Predictions(known.names, rng.random(known.scores.shape))
        write_predictions(noise, run / "out_of_fold.json", known.taxonomy)
        runs.append(run.rename(tmp_path / f"run-{number}"))
        aps = fold_aps(noise.scores, known.targets, known.folds)
        maps[runs[-1].name] = {fold: mean_of_known(aps[:, place]) for place, fold in enumerate(np.unique(known.folds))}
    folds = sorted({fold for values in maps.values() for fold in values})
    ranking, rights = rank(maps, folds), Rights(folds)
    for run in runs:
        rights.of_run[run.name] = {without for without, names in ranking.items() if run.name in names[:2]}
    chosen = [run for run in runs if rights.of_run[run.name]]
    made = ensemble(
        chosen,
        out=tmp_path / "ensemble",
        weights="search",
        exclusive_threshold=None,
        usable=rights.usable([run.name for run in chosen]),
    )
    alone = [figures_of(run) for run in runs]
    chance, mean_of_folds = (float(np.mean([getattr(each, kind) for each in alone])) for kind in ("pooled", "mean"))
    figures, flattered = figures_of(made.folder, made.nested), figures_of(made.folder)
    assert figures.low < chance < figures.high
    assert flattered.mean > mean_of_folds + 0.01, "on the videos of the choice it seems to know something"
    assert made.weights[~rights.usable([run.name for run in chosen]).final].sum() == 0


@pytest.mark.slow
def test_fit_compares_settings_on_two_folds_and_goes_on_with_the_best(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("default", "bad", "good")
    settings = [tiny_candidate(name, 1e-3 + number / 1e5) for number, name in enumerate(names)]
    monkeypatch.setattr(fitting, "frozen_steps", tiny_frozen)
    monkeypatch.setattr(fitting, "candidates", lambda _: settings)
    monkeypatch.setattr(fitting, "EPOCHS", (1, 2))
    monkeypatch.setattr(run_step, "crossval_seconds", lambda *_, **__: 1.0)
    worth = {"default-1": 0.2, "bad-1": 0.1, "good-1": 0.6}
    monkeypatch.setattr(run_step, "_map", lambda run, fold: worth[run.name] * (fold == 0))
    folds = tmp_path / "folds.csv"
    _three_folds(archive / "folds.csv", folds)
    result = fitted(archive, tmp_path / "out", folds=folds)
    outcomes = {outcome.step.recipe.name: outcome for outcome in result.outcomes}
    assert [name for name, outcome in outcomes.items() if outcome.is_done] == [
        "frozen-tiny",
        "default-1",
        "good-2",
        "default-2",
        "bad-2",
    ]
    assert outcomes["bad-1"].tried == {0: 0.1, 1: 0.0}
    assert outcomes["bad-1"].reason == "tried on 2 folds"
    assert not (tmp_path / "out" / "bad-1" / "fold2").exists()
    page = (result.folder / "fit.md").read_text()
    assert "tried on 2 folds" in page


def _three_folds(source: Path, out: Path) -> None:
    """Write the folds of a file with a third one, of some videos of each."""
    folds = read_folds(source)
    by_fold = {fold: [name for name, its in folds.items() if its == fold] for fold in (0, 1)}
    moved = {name: 2 for names in by_fold.values() for name in names[:3]}
    out.write_text("video,fold\n" + "".join(f"{name},{moved.get(name, fold)}\n" for name, fold in folds.items()))
