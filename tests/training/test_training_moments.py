"""Labels with moments: targets of segments, samples near moments, and networks that learn when, not only that."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers.event_videos import EVENT, RATE, SETTINGS
from helpers.tiny_recipes import TINY_BAG, TINY_FROZEN
from helpers.training_runs import ALONE
from urbanpipe.catalog.catalog_file import Video
from urbanpipe.catalog.moment_cells import LabelMoment
from urbanpipe.contracts.segment_scores import read_segment_scores
from urbanpipe.errors import RunError
from urbanpipe.inputs.config import AugmentConfig
from urbanpipe.inputs.frame_timeline import FrameTimeline, SampleSeed
from urbanpipe.learners.config import LossConfig
from urbanpipe.learners.losses import make_loss
from urbanpipe.learners.moment_rows import moment_frames, moment_rows
from urbanpipe.learners.moment_targets import FAR, MomentTargets, loss_of_known
from urbanpipe.methods.dense import DenseClips, DenseConfig
from urbanpipe.methods.frame import FrameConfig, SingleFrames
from urbanpipe.methods.recipe import Recipe, load_recipe
from urbanpipe.taxonomy import default_taxonomy
from urbanpipe.training.fold_job import FoldJob
from urbanpipe.training.loop import train_model
from urbanpipe.training.run import begin_run, is_begun
from urbanpipe.video.cache import FrameCache

TIMED = Video("a.mp4", Path("a.mp4"), moments=(LabelMoment(1, 30.0), LabelMoment(1, 60.0)))
LABELS = np.array([[0, 1, 1], [1, 0, 0]], np.float32)  # the class 2 of the first video is somewhere


def at(*seconds: float) -> np.ndarray:
    return np.array([seconds, seconds]).T


def test_a_class_with_moments_is_positive_near_negative_far_and_unknown_between() -> None:
    targets = MomentTargets([TIMED, replace(TIMED, moments=())], LABELS, window_seconds=2.0)
    values, known = targets.of(0, at(28.0, 31.9, 33.0, 45.0, 52.1, 60.0))
    assert values[:, 1].tolist() == [1, 1, 0, 0, 0, 1]
    assert known[:, 1].tolist() == [True, True, False, True, False, True]
    assert bool(known[:, [0, 2]].all())
    assert values[:, [0, 2]].tolist() == [[0, 1]] * 6
    clip = np.array([[25.0, 28.5], [31.0, 40.0], [40.0, 50.0]])
    assert targets.near(0, clip)[:, 1].tolist() == [True, True, False], "the distance of a clip is that of its ends"


def test_without_moments_or_window_segments_have_the_labels_of_their_videos() -> None:
    videos, times = np.array([0, 1, 0]), at(30.0, 30.0, 45.0)
    weak = MomentTargets([TIMED, TIMED], LABELS, window_seconds=0.0)
    values, known = weak.of_segments(videos, times)
    assert values.tolist() == LABELS[videos].tolist()
    assert bool(known.all())
    strong = MomentTargets([TIMED, replace(TIMED, moments=())], LABELS, window_seconds=2.0)
    assert strong.of_segments(videos, times)[0].tolist() == [[0, 1, 1], [1, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize("name", ["asymmetric", "bce", "focal"])
def test_unknown_targets_have_no_loss_and_no_gradient(name: str) -> None:
    loss = make_loss(LossConfig(name=name), torch.tensor([[1.0, 0.0]]))
    targets, known = torch.tensor([[1.0, 1.0]]), torch.tensor([[True, False]])
    logits = torch.tensor([[0.3, 0.7]], requires_grad=True)
    value = loss_of_known(loss, logits, targets, known)
    value.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert logits.grad[0, 0] != 0
    assert logits.grad[0, 1] == 0
    alone = make_loss(LossConfig(name=name), torch.tensor([[1.0]]))(logits[:, :1], targets[:, :1])
    torch.testing.assert_close(value, alone)


@given(seed=st.integers(0, 99), train_frames=st.integers(1, 9), moment=st.floats(0, 60))
def test_half_of_the_sampled_frames_are_near_moments(seed: int, train_frames: int, moment: float) -> None:
    view = SingleFrames(FrameConfig(train_frames=train_frames), AugmentConfig(tile=()))
    timeline = FrameTimeline(600, 60.0, moments_seconds=(moment,))
    sample = view.training_sample(timeline, SampleSeed(0, seed, 0))
    times = timeline.spans(sample.frames)[:, 0]
    assert len(times) == train_frames
    assert (np.abs(times - moment) <= 2.5).sum() >= (train_frames + 1) // 2
    np.testing.assert_array_equal(view.training_sample(timeline, SampleSeed(0, seed, 0)).frames, sample.frames)
    weak = SingleFrames(FrameConfig(train_frames=train_frames, moment_seconds=0), AugmentConfig(tile=()))
    np.testing.assert_array_equal(
        weak.training_sample(timeline, SampleSeed(0, seed, 0)).frames,
        view.training_sample(FrameTimeline(600, 60.0), SampleSeed(0, seed, 0)).frames,
    )


def test_a_moment_between_frames_at_long_intervals_has_a_positive_frame() -> None:
    config = FrameConfig(every_seconds=20.0)
    targets = MomentTargets([TIMED], LABELS[:1], config.moment_window)
    assert bool(targets.near(0, at(0, 20, 40, 60))[1, 1])


def test_a_clip_near_a_moment_is_among_those_of_an_epoch() -> None:
    view = DenseClips(DenseConfig(frames=8, stride=1, fraction=0.1), AugmentConfig(tile=()))
    timeline = FrameTimeline(600, 60.0, moments_seconds=(33.0,))
    for epoch in range(12):
        spans = timeline.spans(view.training_sample(timeline, SampleSeed(0, epoch, 0)).frames)
        assert (np.abs(spans.mean(axis=1) - 33.0) <= 2.5).any()


def test_the_rows_of_a_regression_weigh_each_class_of_a_video_the_same() -> None:
    times = at(*np.arange(120.0))
    bags = [torch.arange(120.0).unsqueeze(1)]
    targets = MomentTargets([TIMED, replace(TIMED, moments=())], LABELS, window_seconds=2.0)
    rows = moment_rows({0: moment_frames(bags[0], times, targets, 0)}, targets)
    assert rows is not None
    near = np.abs(rows.frames.numpy() - [30, 60]).min(axis=1) <= 2
    assert rows.targets[:, 1].tolist() == near.tolist()
    assert near.sum() == 10
    np.testing.assert_allclose([rows.weights[near, 1].sum(), rows.weights[~near, 1].sum()], 1)
    between = np.abs(rows.frames.numpy() - [30, 60]).min(axis=1) <= 2 * FAR
    assert (rows.weights[between & ~near, 1] == 0).all()
    assert (rows.weights[:, [0, 2]] == 0).all(), "only classes with moments"
    assert rows.suffices.tolist() == [False, True, False]
    assert set(rows.videos.tolist()) == {0}
    assert moment_rows({}, targets) is None


def share_at_the_event(recipe: Recipe, videos: Sequence[Video], folder: Path) -> float:
    """Train on all but four videos; how much higher the event scores at its moment than in the rest of the four."""
    cache = FrameCache(folder.parent / "cache", 10**9)
    train_model(FoldJob(recipe, default_taxonomy(), videos[:-4], videos[-4:], folder, cache, "test"), ALONE)
    found = read_segment_scores(folder / "segments.npz", default_taxonomy())
    gains = []
    for video in videos[-4:]:
        seconds, scores = found.of(video.name)
        at_event = np.abs(seconds.mean(axis=1) - video.moments[0].seconds) <= 1.0
        gains.append(scores[at_event, EVENT].max() - scores[~at_event, EVENT].mean())
    return float(np.mean(gains))


TINY_FRAME = (
    "input.size=32",
    "input.every_seconds=0.5",
    "model.backbone=test_convnext",
    "model.options={}",
    "model.weights=random",
    "optimiser.warmup_epochs=1",
    "training.epochs=20",
    "training.validate_every=20",
    "training.batch_size=4",
    "training.ema_decay=0",
    "training.workers=0",
)
DECODER = ("input.every_seconds=0.5", "input.head.kind=ml-decoder", "training.epochs=30", "training.validate_every=30")
RECIPES = {
    "frame": load_recipe("small-frame", TINY_FRAME),
    "frozen": load_recipe("frozen-mobilenetv2", [*TINY_FROZEN, "input.every_seconds=0.5"]),
    "bag": load_recipe("small-bag", [*TINY_BAG, *DECODER]),
    "dense": load_recipe("small-dense", [*SETTINGS, "training.batch_size=1", "training.validate_every=12"]),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_moments_teach_when_the_event_is(events: tuple[list[Video], dict[str, int]], tmp_path: Path, name: str) -> None:
    """Every video has the event, so that the labels of videos say nothing about what it looks like."""
    videos, when = events
    timed = [
        replace(video, moments=(LabelMoment(EVENT, when[video.name] / RATE + 0.5),))
        for video in videos
        if video.name in when
    ]
    recipe = RECIPES[name]
    input_ = recipe.input.model_copy(update={"moment_seconds": 1.0})
    weak = recipe.input.model_copy(update={"moment_seconds": 0.0})
    gain = share_at_the_event(recipe.model_copy(update={"input": input_}), timed, tmp_path / "moments")
    without = share_at_the_event(recipe.model_copy(update={"input": weak}), timed, tmp_path / "weak")
    assert gain > without + 0.1, (gain, without)


def test_a_run_is_not_continued_with_other_moments(tmp_path: Path) -> None:
    video = replace(TIMED, labels=(1,), digest="d")
    recipe, taxonomy, device = RECIPES["frozen"], default_taxonomy(), torch.device("cpu")
    begin_run(tmp_path, recipe, taxonomy, videos=[video], folds={}, left_out={}, device=device)
    assert is_begun(tmp_path, recipe, taxonomy, videos=[video], folds={})
    for moments in ((), video.moments[:1]):
        with pytest.raises(RunError, match=r"started with other moments of 1 video: a\.mp4"):
            is_begun(tmp_path, recipe, taxonomy, videos=[replace(video, moments=moments)], folds={})
