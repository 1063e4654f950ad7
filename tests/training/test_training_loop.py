"""The loop on small simulated videos: it learns, goes on after a kill, and does not depend on processes."""

import json
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from helpers.platforms import needs_posix
from helpers.training_runs import (
    ALONE,
    changed,
    finish,
    job,
    killed_at,
    launch,
    losses,
    metrics,
    same_weights,
    train_arguments,
)
from urbanpipe.catalog.catalog_file import Catalog
from urbanpipe.contracts.predictions import read_predictions
from urbanpipe.contracts.run_folder import DONE, TRAINING_STATE, WEIGHTS
from urbanpipe.errors import OutOfMemoryError, RunError, VideoError
from urbanpipe.inputs.dataset import VideoDataset
from urbanpipe.inputs.reading import SegmentInputs
from urbanpipe.learners.state import EpochMetrics
from urbanpipe.methods.recipe import Recipe
from urbanpipe.models import device
from urbanpipe.models.distributed import DistributedContext
from urbanpipe.taxonomy import default_taxonomy
from urbanpipe.training import loop
from urbanpipe.training.fold_job import FoldJob
from urbanpipe.training.loop import train_model
from urbanpipe.video.cache import FrameCache

# Loss of the first epochs of `tiny` on `archive`. It moves only when what is computed changes: then look why.
GOLDEN_LOSS = (0.741798, 0.587899, 0.534079)


@pytest.mark.slow
def test_what_a_training_leaves(catalog: Catalog, tiny: Recipe, tmp_path: Path) -> None:
    train_model(job(catalog, tiny, tmp_path), ALONE)
    assert {path.name for path in tmp_path.iterdir()} == {
        ".lock",
        "weights.safetensors",
        "metrics.csv",
        "tensorboard",
        "predictions.json",
        "predictions.csv",
        "done.json",
    }
    rows = metrics(tmp_path)
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert {
        "loss",
        "learning_rate",
        "backbone_learning_rate",
        "map",
        "map_defects",
        "raw_map",
        "videos_per_second",
        "peak_memory_mib",
    } <= rows[0].keys()
    assert float(rows[0]["peak_memory_mib"]) > 0
    found = read_predictions(tmp_path / "predictions.json", default_taxonomy())
    assert found.names == tuple(video.name for video in catalog.labelled[14:])
    done = json.loads((tmp_path / "done.json").read_text())
    assert done["map"] == pytest.approx(max(float(row["map"]) for row in rows), abs=1e-5)
    assert list((tmp_path / "tensorboard").iterdir())


@pytest.mark.slow
def test_epochs_between_validations_are_not_evaluated(catalog: Catalog, tiny: Recipe, tmp_path: Path) -> None:
    train_model(job(catalog, changed(tiny, "training", epochs=3, validate_every=2), tmp_path), ALONE)
    rows = metrics(tmp_path)
    assert [row["map"] != "" for row in rows] == [False, True, True]
    assert all(row["loss"] for row in rows)
    assert json.loads((tmp_path / "done.json").read_text())["best_epoch"] in (2, 3)


def test_golden_losses(catalog: Catalog, tiny: Recipe, tmp_path: Path) -> None:
    train_model(job(catalog, changed(tiny, "training", epochs=3), tmp_path), ALONE)
    assert losses(tmp_path) == pytest.approx(GOLDEN_LOSS, rel=1e-2)


@pytest.mark.slow
def test_it_learns(catalog: Catalog, tiny: Recipe, tmp_path: Path) -> None:
    """Loss on the training videos falls to a quarter; with augmentation off it can learn them by heart."""
    plain = changed(changed(tiny, "augment", tile=(), tile_shuffle=False), "training", epochs=50, validate_every=50)
    plain = changed(changed(plain, "optimiser", warmup_epochs=5), "model", backbone="test_resnet")
    few = replace(job(catalog, plain, tmp_path, FrameCache(tmp_path / "cache", 10**8)), train=catalog.labelled[:8])
    train_model(few, ALONE)
    curve = losses(tmp_path)
    assert curve[-1] < 0.25 * curve[0]


@pytest.mark.slow
def test_workers_and_cache_change_nothing_but_the_jpegs(catalog: Catalog, tiny: Recipe, tmp_path: Path) -> None:
    train_model(job(catalog, tiny, tmp_path / "a", FrameCache(tmp_path / "cache", 10**8)), ALONE)
    two = changed(tiny, "training", workers=2)
    train_model(job(catalog, two, tmp_path / "b", FrameCache(tmp_path / "cache", 10**8)), ALONE)
    assert losses(tmp_path / "a") == losses(tmp_path / "b")
    assert same_weights(tmp_path / "a", tmp_path / "b")
    train_model(job(catalog, tiny, tmp_path / "c"), ALONE)
    assert losses(tmp_path / "c") == pytest.approx(losses(tmp_path / "a"), rel=0.05)


@pytest.mark.slow
def test_killed_and_started_again_ends_the_same(catalog: Catalog, tiny: Recipe, tmp_path: Path) -> None:
    longer = changed(tiny, "training", epochs=4)
    train_model(job(catalog, longer, tmp_path / "whole"), ALONE)
    with killed_at(loop, "_epoch", 3):
        train_model(job(catalog, longer, tmp_path / "killed"), ALONE)
    assert not (tmp_path / "killed" / "done.json").exists()
    torch.manual_seed(99)
    train_model(job(catalog, longer, tmp_path / "killed"), ALONE)
    assert losses(tmp_path / "whole") == losses(tmp_path / "killed")
    assert same_weights(tmp_path / "whole", tmp_path / "killed")


@pytest.mark.slow
def test_a_done_model_is_left_alone(catalog: Catalog, tiny: Recipe, tmp_path: Path) -> None:
    train_model(job(catalog, tiny, tmp_path), ALONE)
    before = (tmp_path / WEIGHTS).stat().st_mtime_ns
    train_model(job(catalog, tiny, tmp_path), ALONE)
    assert (tmp_path / WEIGHTS).stat().st_mtime_ns == before


@pytest.mark.slow
def test_a_damaged_state_is_named(catalog: Catalog, tiny: Recipe, tmp_path: Path) -> None:
    (tmp_path / TRAINING_STATE).write_bytes(b"half a file")
    with pytest.raises(RunError, match=r"last\.pt is damaged; delete it"):
        train_model(job(catalog, tiny, tmp_path), ALONE)


@pytest.mark.slow
def test_out_of_memory_names_three_settings(
    catalog: Catalog, tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(loop, "_epoch", full)
    with pytest.raises(OutOfMemoryError, match=r"training.batch_size.*training.checkpointing.*input.tile") as caught:
        train_model(job(catalog, tiny, tmp_path), ALONE)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_loss_that_is_no_number_ends_the_run(catalog: Catalog, tiny: Recipe, tmp_path: Path) -> None:
    wild = changed(tiny, "optimiser", learning_rate=1e30, clip_norm=0, warmup_epochs=0)
    with pytest.raises(RunError, match=r"the loss became (nan|inf) in epoch \d; lower optimiser.learning_rate"):
        train_model(job(catalog, changed(wild, "training", epochs=5), tmp_path), ALONE)


@pytest.mark.slow
def test_a_batch_of_one_that_cannot_be_normalised_is_named(catalog: Catalog, tiny: Recipe, tmp_path: Path) -> None:
    one = changed(changed(tiny, "model", backbone="mobilenetv2_050"), "training", batch_size=1)
    one = changed(one, "input", rows=1, columns=1)
    with pytest.raises(RunError, match=r"training\.batch_size 2 or more"):
        train_model(job(catalog, one, tmp_path), ALONE)


@pytest.mark.slow
def test_a_video_that_vanishes_is_named(catalog: Catalog, tiny: Recipe, tmp_path: Path) -> None:
    first, *rest = catalog.labelled
    videos = (replace(first, path=tmp_path / "gone.mp4"), *rest[:13])
    broken = FoldJob(tiny, default_taxonomy(), videos, catalog.labelled[14:], tmp_path / "run", None, "test")
    with pytest.raises(VideoError, match=r"gone\.mp4"):
        train_model(broken, ALONE)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_trains_close_to_full(
    catalog: Catalog, tiny: Recipe, tmp_path: Path, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "is_native", lambda *_: True)
    train_model(job(catalog, tiny, tmp_path / "fp32"), ALONE)
    train_model(job(catalog, changed(tiny, "training", precision=precision), tmp_path / precision), ALONE)
    assert losses(tmp_path / precision) != losses(tmp_path / "fp32"), "mixed precision was not entered"
    assert losses(tmp_path / precision) == pytest.approx(losses(tmp_path / "fp32"), rel=0.1)


@pytest.mark.slow
def test_a_compiled_network_trains_the_same(
    catalog: Catalog, tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traced as for every backend; the default one would spend a minute in a C++ compiler on top."""
    traced: list[object] = []

    def compiled(network: torch.nn.Module) -> object:
        traced.append(compile_network(network, backend="aot_eager"))
        return traced[-1]

    compile_network = torch.compile
    monkeypatch.setattr(torch, "compile", compiled)
    train_model(job(catalog, tiny, tmp_path / "plain"), ALONE)
    train_model(job(catalog, changed(tiny, "training", compile=True), tmp_path / "compiled"), ALONE)
    assert traced
    assert losses(tmp_path / "compiled") == pytest.approx(losses(tmp_path / "plain"), rel=1e-3)
    assert same_weights(tmp_path / "compiled", tmp_path / "plain", tolerance=1e-2)


@pytest.mark.slow
def test_videos_without_any_label_are_trained_on_and_evaluated(catalog: Catalog, tiny: Recipe, tmp_path: Path) -> None:
    """Nothing to rank: there is no mAP, but there are weights and predictions."""
    valid = [replace(video, labels=()) for video in catalog.labelled[14:]]
    for keep in ("best", "last"):
        recipe = changed(tiny, "training", keep=keep)
        nothing = FoldJob(recipe, default_taxonomy(), catalog.labelled[:14], valid, tmp_path / keep, None, "test")
        train_model(nothing, ALONE)
        assert read_predictions(tmp_path / keep / "predictions.json", default_taxonomy()).scores.shape == (6, 17)


@pytest.mark.slow
def test_another_number_of_processes_does_not_go_on(catalog: Catalog, tiny: Recipe, tmp_path: Path) -> None:
    started = job(catalog, tiny, tmp_path)
    state = loop._start(started, ALONE, 3)
    state.save(tmp_path / TRAINING_STATE, [], DistributedContext(0, 2, torch.device("cpu")))
    with pytest.raises(RunError, match="was saved by 2 processes and this run has 1"):
        train_model(started, ALONE)


def test_a_copy_with_another_time_is_the_same_video(catalog: Catalog, tiny: Recipe, tmp_path: Path) -> None:
    video = catalog.labelled[0]
    copy, other = tmp_path / "copy.mp4", tmp_path / "other.mp4"
    copy.write_bytes(video.path.read_bytes())
    other.write_bytes(bytes(reversed(video.path.read_bytes())))
    cache = FrameCache(tmp_path / "frames", 10**8)
    for path, good in ((copy, True), (other, False)):
        dataset = VideoDataset([replace(video, path=path)], tiny.view, cache)
        assert isinstance(dataset[(0, 0, 1)].segments, SegmentInputs) == good


@pytest.mark.slow
def test_accumulation_equals_a_larger_batch(catalog: Catalog, tiny: Recipe, tmp_path: Path) -> None:
    """A network without batch norm: two batches of four a step are one of eight."""
    train_model(job(catalog, changed(tiny, "training", batch_size=8), tmp_path / "large"), ALONE)
    train_model(job(catalog, changed(tiny, "training", batch_size=4, accumulation=2), tmp_path / "small"), ALONE)
    assert losses(tmp_path / "small") == pytest.approx(losses(tmp_path / "large"), rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["bce", "focal"])
@pytest.mark.parametrize("schedule", ["cosine"])
def test_choices_train(catalog: Catalog, tiny: Recipe, tmp_path: Path, loss: str, schedule: str) -> None:
    chosen = changed(
        changed(tiny, "loss", name=loss, class_weights=True), "optimiser", schedule=schedule, layer_decay=0.9
    )
    chosen = changed(chosen, "training", ema_decay=0.0, keep="last", checkpointing=True)
    train_model(job(catalog, chosen, tmp_path), ALONE)
    assert "raw_map" not in metrics(tmp_path)[0]
    assert json.loads((tmp_path / "done.json").read_text())["best_epoch"] == 2


@pytest.mark.multiprocess
def test_two_processes_equal_one_with_twice_the_accumulation(archive: Path, tmp_path: Path) -> None:
    alone = launch(1, archive, tmp_path / "one", "training.batch_size=2", "training.accumulation=2")
    arguments = train_arguments(archive, tmp_path / "two", "training.batch_size=2", "training.accumulation=1")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m"]
    subprocess.run([*torchrun, "urbanpipe.cli.main", *arguments], check=True, timeout=300)
    finish(alone)
    one, two = tmp_path / "one" / "fold0", tmp_path / "two" / "fold0"
    assert losses(two) == pytest.approx(losses(one), rel=1e-4)
    assert [row["map"] for row in metrics(two)] == [row["map"] for row in metrics(one)]
    assert same_weights(one, two, tolerance=1e-5)


@needs_posix
@pytest.mark.multiprocess
def test_killed_outright_at_several_moments_it_ends_the_same(archive: Path, tmp_path: Path) -> None:
    """Between metrics and state of an epoch, in the middle of an epoch, and before a validation."""
    settings = ("training.epochs=6", "model.backbone=test_resnet")
    whole, killed = tmp_path / "whole" / "fold0", tmp_path / "killed" / "fold0"
    left_alone = launch(1, archive, tmp_path / "whole", *settings)
    for moment in ("State.save:2", "step_optimiser:4", "validate:2"):
        (process,) = launch(1, archive, tmp_path / "killed", *settings, killed_at=moment)
        _, errors = process.communicate(timeout=300)
        assert process.returncode == -signal.SIGKILL, errors
        assert not (killed / DONE).exists()
    finish(left_alone)
    finish(launch(1, archive, tmp_path / "killed", *settings))
    assert [row["epoch"] for row in metrics(killed)] == ["1", "2", "3", "4", "5", "6"]
    assert losses(killed) == losses(whole)
    assert same_weights(killed, whole)


@pytest.mark.slow
def test_the_log_says_what_a_fold_has_its_map_in_per_cent_and_the_time_left_over_all_folds(
    catalog: Catalog, tiny: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fold = replace(job(catalog, changed(tiny, "training", epochs=2), tmp_path), folds_after=1)
    train_model(fold, ALONE)
    lines = capsys.readouterr().err.splitlines()
    groups = [len({video.group for video in videos}) for videos in (fold.train, fold.valid)]
    classes = [len({label for video in videos for label in video.labels or ()}) for videos in (fold.train, fold.valid)]
    assert lines[0] == (
        f"test: trained on 14 videos of {groups[0]} groups with {classes[0]} of 17 classes, "
        f"validated on {len(fold.valid)} videos of {groups[1]} groups with {classes[1]} of 17 classes"
    )
    first, second = (line for line in lines if line.startswith("test epoch"))
    assert f", mAP {100 * float(metrics(tmp_path)[0]['map']):.1f} (defects " in first
    assert re.search(r", \d+ s left for 2 folds$", first)
    assert re.search(r", \d+ s left for 2 folds$", second), "another fold follows"


def test_the_time_left_counts_the_epochs_of_the_folds_that_follow(
    catalog: Catalog, tiny: Recipe, tmp_path: Path
) -> None:
    fold = replace(job(catalog, changed(tiny, "training", epochs=4), tmp_path), folds_after=2)
    rows: list[EpochMetrics] = [{"train_seconds": 20.0, "valid_seconds": 10.0}, {"train_seconds": 30.0}]
    assert loop._time_left(fold, []) == ""
    assert loop._time_left(fold, rows) == ", 5 min left for 3 folds"  # 10 epochs of 30 s
    assert loop._time_left(replace(fold, folds_after=0), rows) == ", 60 s left"
    assert loop._time_left(replace(fold, folds_after=0, valid=()), rows) == ", 60 s left"
    assert loop._time_left(replace(fold, folds_after=0), rows * 2) == ""
