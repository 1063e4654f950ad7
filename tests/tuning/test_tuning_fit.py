"""`fit`: what it trains within a budget, what it combines, and how it goes on."""

import json
import logging
import math
import re
import shutil
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import timm
import torch
from rich.console import Console
from safetensors.torch import save_file

from helpers.finished_runs import noise_runs
from helpers.tiny_fits import fitted, tiny_candidate, tiny_frozen
from urbanpipe.archive.inspect import inspect
from urbanpipe.catalog.catalog_file import read_catalog
from urbanpipe.catalog.folds import read_folds, write_folds
from urbanpipe.catalog.scan import scan
from urbanpipe.cli.fit import weights_given
from urbanpipe.ensembling import bundling
from urbanpipe.ensembling.bundle_options import NetworkStorage
from urbanpipe.ensembling.bundling import bundle
from urbanpipe.ensembling.ensemble import ensemble
from urbanpipe.ensembling.graphs import GraphCheck, check_graphs
from urbanpipe.errors import BusyError, FoldError, OutputError, RecipeError, RunError, WeightsError
from urbanpipe.evaluation.runs import read_out_of_fold
from urbanpipe.evaluation.tables import fold_table
from urbanpipe.inference.bundle import read_bundle
from urbanpipe.inference.members import Member
from urbanpipe.inference.options import InferenceOptions
from urbanpipe.inference.predict import predict
from urbanpipe.inputs.dataset import VideoDataset
from urbanpipe.inputs.reading import frame_timeline_of
from urbanpipe.learners.features import FeatureStore
from urbanpipe.locks import folder_lock
from urbanpipe.methods.recipe import Recipe, load_recipe
from urbanpipe.models.backbone import Backbone
from urbanpipe.outputs import write_json
from urbanpipe.progress import duration_text
from urbanpipe.training import crossval, loop
from urbanpipe.training.experiment import Experiment
from urbanpipe.training.options import FoldOptions, RunOptions
from urbanpipe.tuning import cost, fitting, run_step, search
from urbanpipe.tuning.budget import Budget, parse_budget
from urbanpipe.tuning.figures import Figures, Outcome, Point, figures_of
from urbanpipe.tuning.fitting import fit
from urbanpipe.tuning.live_table import show_table
from urbanpipe.tuning.page import write_page
from urbanpipe.tuning.steps import Step, candidates, frozen_steps
from urbanpipe.video.cache import FrameCache

pytestmark = pytest.mark.usefixtures("no_plots_of_folds")


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """The expected seconds by recipe, which a test may change."""
    expected = defaultdict[str, float](lambda: 1.0)
    monkeypatch.setattr(fitting, "frozen_steps", tiny_frozen)
    monkeypatch.setattr(fitting, "candidates", lambda *_, **__: [tiny_candidate("tuned", 1e-3)])
    monkeypatch.setattr(search, "EPOCHS", (1,))
    monkeypatch.setattr(run_step, "crossval_seconds", lambda recipe, *_, **__: expected[recipe.name])
    return expected


@pytest.mark.slow
@pytest.mark.usefixtures("tiny")
def test_it_ends_with_a_bundle_and_a_page_and_finds_the_same_again(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = fitted(archive, tmp_path / "out")
    assert [outcome.is_done for outcome in result.outcomes] == [True, True]
    frozen = read_out_of_fold(tmp_path / "out" / "frozen-tiny")
    np.testing.assert_equal(result.points[0].figures.mean, fold_table(frozen.scores, frozen).map_all)
    assert result.points[0].weights == {"frozen-tiny": 1.0}
    assert result.points[1].weights.keys() == {"frozen-tiny", "tuned-1"}
    assert sum(result.points[1].weights.values()) == pytest.approx(1)
    assert result.bundle is not None
    bundle = read_bundle(result.bundle, device="cpu", runtime="torch")
    used = {name for name, weight in result.points[1].weights.items() if weight > 0}
    assert {member.name for member in bundle.models.members} == used
    metrics = json.loads((result.bundle / "metrics.json").read_text())
    assert metrics["map"] == pytest.approx(result.points[1].figures.pooled, abs=1e-6), "as on the page"
    assert metrics["classes"]["TL"]["ap"] is None
    assert "over the 4 classes that some videos show" in (result.bundle / "MODEL_CARD.md").read_text()
    page = (result.folder / "fit.html").read_text()
    assert "frozen-tiny (frozen)" in page
    assert "Warnings about the data" in page
    shown = [one.code for one in result.points[1].classes]
    assert shown == [code for code, some in zip(frozen.taxonomy.codes, frozen.targets.T, strict=True) if some.any()]
    assert "TL" not in shown
    assert all(f"<td>{code}</td>" in page for code in shown)
    assert f"--bundle {result.bundle} --out" in page
    of_all = result.to_json()["map_all"]
    np.testing.assert_equal(of_all["mean"], result.points[1].figures.mean)
    assert result.to_json()["classes"].keys() == {*shown}
    assert "frozen-tiny (frozen)" in (result.folder / "fit.md").read_text()
    assert (result.folder / "fit.png").stat().st_size > 1000

    def never(*_: object) -> None:
        raise AssertionError("nothing is left to train")

    monkeypatch.setattr(loop, "_train", never)
    monkeypatch.setattr(fitting, "ensemble", never)
    monkeypatch.setattr(fitting, "bundle", never)
    again = fitted(archive, tmp_path / "out", budget="1s")
    assert again.points == result.points, "with the time at which each was done"
    assert [outcome.seconds for outcome in again.outcomes] == [outcome.seconds for outcome in result.outcomes]
    (result.folder / "state.json").write_text("{}")
    with pytest.raises(RunError, match=r"state\.json is damaged; delete it"):
        fitted(archive, tmp_path / "out")


@pytest.mark.slow
@pytest.mark.usefixtures("tiny")
def test_what_it_finds_is_exported_inspected_and_moved(
    archive: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frozen regression, with the options that the page recommends; and the ensemble of the experiment."""
    pytest.importorskip("onnxruntime")
    fitted(archive, tmp_path / "out")
    precisions = set[str]()

    def noted(members: Sequence[Member], *arguments: Any, **options: Any) -> GraphCheck:
        precisions.update(runtime.recipe.training.precision for each in members for runtime in each.runtimes)  # type: ignore[attr-defined]
        return check_graphs(members, *arguments, **options)

    monkeypatch.setattr(bundling, "check_graphs", noted)
    frozen, storage = tmp_path / "out" / "frozen-tiny", NetworkStorage(runtimes=("onnx",))
    made = bundle(frozen, out=tmp_path / "bundle", data=archive / "catalog.csv", storage=storage)
    assert made.ood is None
    assert precisions == {"fp32"}, "as graphs compute, whatever the training used"
    assert "a fold has 10 videos, and 20 are needed" in caplog.text
    video, options = next((archive / "videos").iterdir()), InferenceOptions(runtime="onnx")
    inspected = inspect([video], bundle=tmp_path / "bundle", out=tmp_path / "inspected", options=options)
    assert inspected.videos[0].inspection.timed, "a score for each frame"
    moved = (tmp_path / "out").rename(tmp_path / "elsewhere")
    predicted = predict(moved, [video], out=tmp_path / "scores.json", workers=0)
    assert predicted.predictions.names == (video.name,)


@pytest.mark.slow
@pytest.mark.usefixtures("tiny")
def test_it_goes_on_after_a_stop_at_any_moment(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In the last fold, before the folds are joined, before the combination, and with a bundle that was deleted."""
    real, run, whole_folds = loop._train, tmp_path / "out" / "tuned-1", list[float]()

    def seconds() -> float:
        state = json.loads((tmp_path / "out" / "fit" / "state.json").read_text())
        return float(state["steps"]["tuned-1"]["seconds"])

    def stopped(*arguments: Any) -> None:
        if (run / "fold0" / "done.json").exists():
            whole_folds.append(seconds())
            time.sleep(0.2)
            raise KeyboardInterrupt
        real(*arguments)

    monkeypatch.setattr(loop, "_train", stopped)
    with pytest.raises(KeyboardInterrupt):
        fitted(archive, tmp_path / "out")
    state = json.loads((tmp_path / "out" / "fit" / "state.json").read_text())
    assert state["steps"]["tuned-1"]["folds"] == 1
    assert state["spent_seconds"] > seconds() >= whole_folds[0] + 0.2, "the interrupted fold counts"
    assert [point["after"] for point in state["points"]] == ["frozen-tiny"]
    assert read_bundle(tmp_path / "out" / "fit" / "bundle", device="cpu", runtime="torch").models.members, (
        "the best so far"
    )

    monkeypatch.setattr(loop, "_train", real)
    finish = crossval._finish

    def never_joined(run: Path, *arguments: Any) -> None:
        if run.name == "tuned-1":
            raise OutputError("the disk is full")
        finish(run, *arguments)

    monkeypatch.setattr(crossval, "_finish", never_joined)
    assert fitted(archive, tmp_path / "out").outcomes[1].reason == "failed: the disk is full"
    monkeypatch.setattr(crossval, "_finish", finish)

    def never_combined(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    before = json.loads((tmp_path / "out" / "fit" / "state.json").read_text())["spent_seconds"]
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "ensemble", never_combined)
        with pytest.raises(KeyboardInterrupt):
            fitted(archive, tmp_path / "out")
    after = json.loads((tmp_path / "out" / "fit" / "state.json").read_text())["spent_seconds"]
    assert after > before, "the time of an interrupted combination counts"
    assert (run / "table6.md").exists()
    result = fitted(archive, tmp_path / "out")
    assert [outcome.is_done for outcome in result.outcomes] == [True, True]
    assert result.points[1].weights.keys() == {"frozen-tiny", "tuned-1"}
    shutil.rmtree(tmp_path / "out" / "fit" / "bundle")
    again = fitted(archive, tmp_path / "out")
    assert again.points == result.points
    assert again.bundle is not None
    (run / "fold1" / "weights.safetensors").write_bytes(b"short")
    damaged = fitted(archive, tmp_path / "out")
    assert re.search("failed: .*fold1.* is missing or damaged; delete .*fold1", damaged.outcomes[1].reason)
    assert [point.after for point in damaged.points] == ["frozen-tiny"]
    shutil.rmtree(run / "fold1")
    assert fitted(archive, tmp_path / "out").outcomes[1].is_done, "trained again, as the message says"
    monkeypatch.setattr(fitting, "candidates", lambda *_, **__: [])
    fewer = fitted(archive, tmp_path / "out")
    assert [point.weights for point in fewer.points] == [{"frozen-tiny": 1.0}], "as asked for now"
    state = (tmp_path / "out" / "fit" / "state.json").read_text()
    monkeypatch.setattr(fitting, "frozen_steps", lambda _: _other_frozen())
    with pytest.raises(WeightsError, match=r"absent\.safetensors"):
        fitted(archive, tmp_path / "out")
    assert json.loads(state)["points"] == json.loads((tmp_path / "out" / "fit" / "state.json").read_text())["points"]


def _other_frozen() -> list[Step]:
    """A first baseline whose weights are absent, and the tiny one."""
    (step,) = tiny_frozen({"any": "random"})
    (absent,) = tiny_frozen({"any": "absent.safetensors"})
    return [replace(absent, recipe=absent.recipe.model_copy(update={"name": "absent"})), step]


@pytest.mark.slow
@pytest.mark.usefixtures("tiny")
def test_the_classes_may_be_given(archive: Path, tmp_path: Path) -> None:
    """The catalog alone does not know them, and the audit needs them too."""
    taxonomy = tmp_path / "own.toml"
    taxonomy.write_text("".join(f'[[classes]]\ncode = "X{code}"\nen = "{code}"\n' for code in ("ZC", "CJ", "ZW", "AJ")))
    lines = (archive / "catalog.csv").read_text(encoding="utf-8").replace("videos/", f"{archive}/videos/")
    catalog = tmp_path / "catalog.csv"
    catalog.write_text(re.sub(r"\b(ZC|CJ|ZW|AJ)\b", r"X\1", lines), encoding="utf-8")
    result = fit(
        catalog,
        out=tmp_path / "out",
        taxonomy=taxonomy,
        weights={"any": "random"},
        split=FoldOptions(folds=archive / "folds.csv"),
        options=RunOptions(device="cpu", cache=tmp_path / "cache"),
    )
    assert result.bundle is not None
    assert "XCJ" in (result.bundle / "taxonomy.toml").read_text()


@pytest.mark.slow
def test_a_larger_budget_goes_on_where_a_smaller_one_ended(
    archive: Path, tmp_path: Path, tiny: dict[str, float], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    tiny["tuned-1"] = 5000.0
    first = fitted(archive, tmp_path / "out", budget="1h")
    assert [outcome.is_done for outcome in first.outcomes] == [True, False]
    assert first.outcomes[1].reason.startswith("would take 83 min, and ")
    assert "tuned-1: left out, it would take 83 min" in caplog.text
    assert first.outcomes[1].reason in (first.folder / "fit.md").read_text()
    assert not (tmp_path / "out" / "tuned-1").exists()
    spent = json.loads((first.folder / "state.json").read_text())["spent_seconds"]
    measured = tiny["tuned-1"]
    del tiny["tuned-1"]
    none_left = fitted(archive, tmp_path / "out", budget="1s")
    assert none_left.outcomes[1].reason == "no time was left"
    assert "Not tried, because too little time was left: tuned-1." in (none_left.folder / "fit.md").read_text()
    assert "tuned-1" not in tiny, "it is not measured"
    tiny["tuned-1"] = measured
    second = fitted(archive, tmp_path / "out", budget="3h")
    assert [outcome.is_done for outcome in second.outcomes] == [True, True]
    assert second.points[0] == first.points[0]
    assert second.points[1].spent_seconds > spent


@pytest.mark.slow
@pytest.mark.usefixtures("tiny")
def test_some_folds_are_evaluated_and_the_videos_of_the_others_are_in_every_training(
    archive: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folds = tmp_path / "folds.csv"
    of_videos = read_folds(archive / "folds.csv")
    third = [name for name, fold in of_videos.items() if fold == 0][:3]
    write_folds(of_videos | dict.fromkeys(third, 2), folds)
    with caplog.at_level(logging.INFO):
        result = fitted(archive, tmp_path / "out", folds=folds, only=[1, 0])
    assert result.points[-1].weights.keys() == {"frozen-tiny", "tuned-1"}
    seen = read_out_of_fold(tmp_path / "out" / "frozen-tiny")
    assert set(seen.names) == of_videos.keys() - {*third}
    assert set(seen.folds.tolist()) == {0, 1}
    trained = {fold: len(of_videos) - int((seen.folds == fold).sum()) for fold in (0, 1)}
    for fold, count in trained.items():
        assert f"tuned-1 fold {fold}: trained on {count} videos" in caplog.text
    assert not (tmp_path / "out" / "tuned-1" / "fold2").exists()
    assert result.bundle is not None
    assert (
        sum(member.networks for member in read_bundle(result.bundle, device="cpu", runtime="torch").manifest.members)
        == 4
    )
    with pytest.raises(RunError, match="other videos, labels, classes or folds"):
        fitted(archive, tmp_path / "out", folds=folds)
    with pytest.raises(FoldError, match="there is no fold 7; the folds are 0 to 2"):
        fitted(archive, tmp_path / "other", folds=folds, only=[7, 0])
    with pytest.raises(FoldError, match="needs at least two folds"):
        fitted(archive, tmp_path / "other", folds=folds, only=[0])


@pytest.mark.slow
def test_a_step_that_turns_out_too_slow_is_left_after_a_fold(
    archive: Path, tmp_path: Path, tiny: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    del tiny
    real, trained = crossval.run_folds, list[str]()

    def run_folds(run: Path, recipe: Recipe, experiment: Experiment, only: Sequence[int], **_: int) -> None:
        trained.append(run.name)
        real(run, recipe, experiment, only)

    monkeypatch.setattr(run_step, "run_folds", run_folds)
    left = property(lambda _: 100.0 if trained.count("tuned-1") == 0 else 0.0)
    monkeypatch.setattr(Budget, "left_seconds", left)
    result = fitted(archive, tmp_path / "out")
    assert [outcome.is_done for outcome in result.outcomes] == [True, False]
    assert trained == ["frozen-tiny", "frozen-tiny", "tuned-1"]
    assert result.outcomes[1].reason.endswith("and 0 s are left")


@pytest.mark.slow
def test_a_step_that_fails_costs_itself(
    archive: Path, tmp_path: Path, tiny: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    del tiny
    failed = list[str]()

    def fails(run: Path, recipe: Recipe, experiment: Experiment, only: Sequence[int], **_: int) -> None:
        if run.name == "tuned-1":
            failed.append(run.name)
            raise WeightsError("no such file")
        crossval.run_folds(run, recipe, experiment, only)

    monkeypatch.setattr(run_step, "run_folds", fails)
    result = fitted(archive, tmp_path / "out")
    assert result.outcomes[1].reason == "failed: no such file"
    assert result.bundle is not None
    assert failed == ["tuned-1"], "once"


@pytest.mark.slow
def test_mistakes_are_told_before_anything_is_trained(archive: Path, tmp_path: Path, tiny: dict[str, float]) -> None:
    tiny["frozen-tiny"] = 400.0
    with pytest.raises(RunError, match="the budget is too small: the first step, frozen, would take 7 min, and"):
        fitted(archive, tmp_path / "out", budget="100s")
    with pytest.raises(WeightsError, match=r"absent\.safetensors"):
        fitted(archive, tmp_path / "out", weights="absent.safetensors")
    with folder_lock(tmp_path / "out" / "fit"), pytest.raises(BusyError):
        fitted(archive, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*/fold0"))


@pytest.mark.slow
def test_without_network_it_says_how_to_get_weights(
    archive: Path, tmp_path: Path, tiny: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    del tiny

    def offline(*_: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(Backbone, "fetch", offline)
    with pytest.raises(
        WeightsError, match=r"give --weights test_resnet=FILE, or install .* 'urbanpipe\[weights\]'; random"
    ):
        fitted(archive, tmp_path / "out", weights="hub")


@pytest.mark.slow
def test_weights_of_another_backbone_are_told_at_the_start(archive: Path, tmp_path: Path) -> None:
    """Those of the second backbone too, before hours are spent on the first."""
    other = timm.create_model("test_resnet", num_classes=0)
    save_file(other.state_dict(), tmp_path / "resnet.safetensors")
    for weights, message in (
        ({"test_vit": "random", "test_convnext": str(tmp_path / "resnet.safetensors")}, "do not belong to"),
        ({"test_vit": "random", "test_convnext": "absent.safetensors"}, "no weights file absent.safetensors"),
        ({"test_vit": "random", "test_convnext": "package"}, "no package"),
    ):
        source = re.escape(f"--weights test_convnext={weights['test_convnext']}: ")
        with pytest.raises(WeightsError, match=f"^{source}.*{message}"):
            fit(archive / "catalog.csv", out=tmp_path / "out", weights=weights)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    ("shown", "has_map", "warning"),
    [
        ({1: 1, 2: 1, 3: 1}, False, "very few videos show CJ (1), CK (1), ZW (1)"),
        ({1: 2, 2: 5}, True, "very few videos show CJ (2), CK (5)"),
    ],
    ids=["one video per class", "two positives"],
)
def test_rare_classes_end_with_a_bundle_and_a_warning(
    archive: Path, tmp_path: Path, shown: dict[int, int], has_map: bool, warning: str
) -> None:
    """Folds lack classes in both cases, in the first of them so many that no mean over folds can be given."""
    labels = {name: [0] for name in sorted(json.loads((archive / "labels.json").read_text()))}
    names = iter(labels)
    for label, count in shown.items():
        labels |= {next(names): [label] for _ in range(count)}
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    scan(archive / "videos", out=tmp_path / "catalog.csv", labels=tmp_path / "labels.json", workers=1)
    result = fitted(tmp_path, tmp_path / "out", folds=archive / "folds.csv")
    page = (result.folder / "fit.md").read_text()
    assert warning in page
    assert ("No mAP can be given: too few classes are in the videos of several folds." in page) != has_map
    assert math.isfinite(result.points[-1].figures.mean) == has_map
    assert [outcome.is_done for outcome in result.outcomes] == [True, True]
    assert result.bundle is not None


@pytest.mark.slow
def test_runs_that_know_nothing_are_combined_to_chance(tmp_path: Path) -> None:
    """The figure of a combination, and the card of its bundle, do not gain from the choice among runs."""
    runs = noise_runs(tmp_path, 10, seed=5)
    made = ensemble(runs, out=tmp_path / "ensemble", weights="search", exclusive_threshold=None)
    chance = float(read_out_of_fold(runs[0]).targets.mean())
    figures, flattered = figures_of(made.folder, made.nested), figures_of(made.folder)
    assert figures.low < chance < figures.high
    assert flattered.mean > chance + 0.02, "on the videos of the choice it seems to know something"
    bundled = bundle(made.folder, out=tmp_path / "bundle").evaluation
    assert bundled.table.intervals is not None
    low, high = bundled.table.intervals.map_all
    assert low < chance < high
    assert bundled.scores.map_all == pytest.approx(figures.pooled)


@pytest.mark.slow
def test_memory_that_is_too_small_for_the_measured_step_costs_the_step(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "frozen_steps", tiny_frozen)
    monkeypatch.setattr(fitting, "candidates", lambda *_, **__: [tiny_candidate("tuned", 1e-3)])
    monkeypatch.setattr(search, "EPOCHS", (1,))

    def too_large(recipe: Recipe, *_: object) -> tuple[float, float]:
        if recipe.name == "tuned-1":
            raise torch.OutOfMemoryError("out")
        return 0.001, 0.001

    monkeypatch.setattr(cost, "_seconds_per_segment", too_large)
    result = fitted(archive, tmp_path / "out")
    assert result.outcomes[1].reason.startswith("failed: out of memory on cpu with tuned-1: reduce training.batch")


def test_the_measured_step_counts_epochs_folds_and_frames(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "_seconds_per_segment", lambda *_: (0.01, 0.03))
    videos = read_catalog(archive / "catalog.csv").labelled
    folds, device = read_folds(archive / "folds.csv"), torch.device("cpu")
    frozen, tuned = tiny_frozen({"any": "random"})[0].recipe, tiny_candidate("tuned", 1e-3).step(1).recipe
    frames = sum(len(frozen.view.evaluation_sample(frame_timeline_of(video))) for video in videos)
    assert cost.crossval_seconds(frozen, videos, folds, classes=17, device=device) == pytest.approx(1.3 * frames * 0.01)
    views = 3 * 2 * 2  # draws, the mirrored one, and both EMA and raw weights
    expected = 1.3 * (1 * (2 - 1) * len(videos) * 0.03 + views * len(videos) * 0.01)
    assert cost.crossval_seconds(tuned, videos, folds, classes=17, device=device) == pytest.approx(expected)


def test_a_longer_training_of_a_frozen_head_is_expected_to_take_longer(tmp_path: Path) -> None:
    """The features are stored, so that the frames say nothing about it; a regression, once encoded, takes no time."""
    regression, *_, short, long = frozen_steps({"tf_efficientnet_lite0": "package"})
    times = {
        regression.recipe.name: {"seconds": 900.0, "folds": 1.0},
        short.recipe.name: {"seconds": 40.0, "folds": 2.0},
    }
    experiment = SimpleNamespace(fold_numbers=[0, 1, 2, 3, 4], cache=SimpleNamespace(writable=True))
    work = cast(
        "run_step.Work", SimpleNamespace(out=tmp_path, experiment=experiment, times=times, measured={}, outcomes={})
    )
    assert run_step.expected_seconds(long, [0, 1, 2, 3, 4], work) == 5 * 20 * 3
    assert run_step.expected_seconds(short, [2, 3], work) == 2 * 20
    assert run_step.expected_seconds(regression, [1, 2], work) == 0
    (tmp_path / short.recipe.name / "fold0").mkdir(parents=True)
    write_json(tmp_path / short.recipe.name / "fold0" / "done.json", {"train_seconds": 8.0, "weights_bytes": 0})
    (tmp_path / short.recipe.name / "fold0" / "weights.safetensors").touch()
    assert run_step.expected_seconds(long, [0], work) == 20 + 8 * 2, "reading and validation take no longer"
    times[regression.recipe.name] |= {"folds": 2.0, "latest_seconds": 30.0}
    assert run_step.expected_seconds(regression, [1, 2], work) == 60, "as long as the latest fold"
    experiment.cache.writable = False
    work.measured[regression.recipe.name] = 300.0
    assert run_step.expected_seconds(regression, [1, 2], work) == 600, "each fold encodes the frames again"


def test_stored_features_are_not_counted_again(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "_seconds_per_segment", lambda *_: (0.01, 0.03))
    videos, folds = read_catalog(archive / "catalog.csv").labelled, read_folds(archive / "folds.csv")
    recipe, device = tiny_frozen({"any": "random"})[0].recipe, torch.device("cpu")
    dataset = VideoDataset(videos, recipe.view, FrameCache(tmp_path / "cache", 10**8))

    def expected(one: Recipe) -> float:
        return cost.crossval_seconds(one, videos, folds, classes=17, device=device, cache=dataset.cache)

    whole = expected(recipe)
    assert whole == pytest.approx(1.3 * 0.01 * sum(map(dataset.segment_count, range(len(videos)))))
    torch.manual_seed(recipe.training.seed)
    network = recipe.network(17)
    store = FeatureStore(dataset, network, recipe, device)
    for index in range(len(videos)):
        if index == len(videos) // 4:
            assert expected(recipe) == pytest.approx(whole * (1 - index / len(videos)))
        store.write(index, np.zeros((dataset.segment_count(index), network.backbone.pooled_width), np.float32))
    assert expected(recipe) == 0
    other = recipe.model_copy(update={"training": recipe.training.model_copy(update={"seed": 1})})
    assert expected(other) == whole, "of other random weights"


def test_without_an_evaluated_class_the_page_says_so(tmp_path: Path) -> None:
    unknown = Figures(math.nan, math.nan, math.nan, math.nan)
    step = tiny_frozen({"any": "random"})[0]
    done = [Outcome(step, tmp_path, "", 1.0, unknown)]
    write_page(tmp_path, done, [Point(1.0, unknown, {"a": 1.0}, "a")], Budget(60), ["a <b> is rare"])
    assert "No mAP can be given" in (tmp_path / "fit.md").read_text()
    assert "- a \\<b> is rare\n" in (tmp_path / "fit.md").read_text()
    assert f"urbanpipe bundle {tmp_path.parent / 'a'} --data CATALOG" in (tmp_path / "fit.md").read_text()
    assert "<li>a &lt;b&gt; is rare</li>" in (tmp_path / "fit.html").read_text()


def test_the_table_of_a_terminal_has_every_step_and_the_time_left(tmp_path: Path) -> None:
    frozen, decoder = tiny_frozen({"any": "random"})[0], tiny_frozen({"other": "random"})[0]
    figures = Figures(0.621, 0.592, 0.557, 0.63)
    outcomes = [
        Outcome(frozen, tmp_path, "", 75.0, figures),
        Outcome(decoder, None, "would take 3.0 h, and 50 min are left", 0.0),
        Outcome(decoder, tmp_path, "tried on 2 folds; failed: no [/weights] in [bold]", 1.0, tried={0: 0.5, 1: 0.4}),
    ]
    text = StringIO()
    console = Console(file=text, width=140, markup=False, emoji=False)
    show_table(outcomes, [Point(80.0, figures, {"frozen": 1.0}, "frozen")], Budget(3600), console)
    lines = text.getvalue().splitlines()
    assert lines[0].startswith("fit: 0 s used, 60 min left")
    assert any("62.1" in line and "59.2, 55.7 to 63.0" in line and "75 s" in line for line in lines)
    assert any(re.search(r"baseline\W+frozen-tiny\W+62\.1", line) for line in lines)
    assert any("would take 3.0 h, and 50 min are left" in line for line in lines)
    assert any("45.0" in line and "no [/weights] in [bold]" in line for line in lines)
    assert any("combined" in line and "80 s" in line for line in lines)


def test_each_backbone_has_its_baselines_at_its_own_size() -> None:
    steps = frozen_steps({"mobilenetv2_100": "a.safetensors", "test_vit": "random"})
    names = [step.recipe.name for step in steps]
    assert names == [
        "frozen-mobilenetv2_100",
        "layers-mobilenetv2_100",
        "layers-test_vit",
        "decoder-mobilenetv2_100-8",
        "decoder-test_vit-8",
        "decoder-mobilenetv2_100-24",
    ]
    assert [step.recipe.input.frame_size[0] for step in steps] == [224, 224, 160, 224, 160, 224]
    assert [getattr(step.recipe.input, "layers", None) for step in steps] == [0, 4, 4, 4, 4, 4]
    assert steps[1].recipe.input.pixels() == steps[3].recipe.input.pixels(), "the features are shared"
    assert steps[0].recipe.model.options == {"pad_type": "same"}
    assert steps[2].recipe.model.options == {}
    assert {step.recipe.model.weights for step in steps if "mobilenet" in step.recipe.name} == {"a.safetensors"}
    with pytest.raises(RecipeError, match="timm has no network 'mobilnet'"):
        frozen_steps({"mobilnet": "hub"})


def test_the_trained_head_of_the_small_default_is_a_shipped_recipe() -> None:
    step = frozen_steps({"tf_efficientnet_lite0": "package"})[2]
    unnamed = {"name": "", "description": ""}
    assert step.recipe.model_copy(update=unnamed) == load_recipe("small-layers").model_copy(update=unnamed)


def test_a_backbone_without_feature_maps_has_a_head_on_pooled_features(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urbanpipe.tuning.steps.feature_map_count", lambda name: 2 * (name == "test_vit"))
    steps = frozen_steps({"mobilenetv2_100": "random", "test_vit": "random"})
    layers = {step.recipe.name: getattr(step.recipe.input, "layers", None) for step in steps}
    assert layers == {
        "frozen-mobilenetv2_100": 0,
        "layers-test_vit": 2,
        "decoder-mobilenetv2_100-8": 0,
        "decoder-test_vit-8": 2,
        "decoder-mobilenetv2_100-24": 0,
    }


def test_the_defaults_of_each_backbone_are_the_first_candidates() -> None:
    found = candidates({"mobilenetv2_100": "a.safetensors", "test_vit": "random"})
    names = ["super-image-augmented", "super-image-2x2", "frame", "frame-fast", "dense", "frame-pooled"]
    assert [each.name for each in found[:6]] == [f"{name}-mobilenetv2_100" for name in names]
    assert found[6].name == "super-image-augmented-test_vit"
    assert found[3].step(8).recipe.optimiser == load_recipe("small-frame").optimiser
    assert len({each.name for each in found}) == len(found)
    default, shipped = found[0].step(8).recipe, load_recipe("small-mobilenetv2-augmented")
    assert default.augment == shipped.augment
    assert default.optimiser == shipped.optimiser
    assert default.training == shipped.training.model_copy(update={"epochs": 8, "validate_every": 8})
    assert default.model.weights == "a.safetensors"
    assert found[5].step(3).recipe.input.frame_size[0] == 224, "as the frozen features"
    about = "super-image, fine-tuned mobilenetv2_100, augment crop + horizontal flip + colour jitter, crop scale 0.6"
    assert found[0].step(8).about == f"{about}, 8 epochs"
    recipes = [each.step(3).recipe for each in found]  # every one can be used
    assert {recipe.training.epochs for recipe in recipes} == {3}
    assert len({recipe.model_dump_json(exclude={"name"}) for recipe in recipes}) == len(recipes)


def test_labels_with_moments_give_frames_a_maximum_over_the_video() -> None:
    def poolings(has_moments: bool) -> set[str]:
        found = candidates({"mobilenetv2_100": "random"}, has_moments=has_moments)
        return {each.step(3).recipe.input.model_dump()["pooling"] for each in found if each.name.startswith("frame")}

    assert poolings(False) == {"mean", "mean-max"}
    assert poolings(True) == {"max", "mean-max"}


@pytest.mark.parametrize(("text", "seconds"), [("2h", 7200), ("1h30m", 5400), (" 90 S ", 90), ("1.5m", 90)])
def test_a_budget_is_a_duration(text: str, seconds: float) -> None:
    assert parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "0m", "-2h", "2h x", "two hours"])
def test_another_budget_is_refused(text: str) -> None:
    with pytest.raises(RunError, match="is not a duration; give hours, minutes or seconds, such as 2h or 1h30m"):
        parse_budget(text)


def test_durations_have_the_unit_of_their_size() -> None:
    assert [duration_text(seconds) for seconds in (0.4, 119, 120, 7199, 7200)] == [
        "0 s",
        "119 s",
        "2 min",
        "120 min",
        "2.0 h",
    ]


def test_weights_on_the_command_line() -> None:
    assert weights_given(["a=x=y", "b=hub"]) == {"a": "x=y", "b": "hub"}
    for text in ("a", "=x", "a="):
        with pytest.raises(RecipeError, match="give BACKBONE=FILE"):
            weights_given([text])
    with pytest.raises(RecipeError, match="gives a twice"):
        weights_given(["a=x", "a=y"])
