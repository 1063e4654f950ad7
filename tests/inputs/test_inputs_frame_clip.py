"""Views of single frames, of a clip, and of the dense grid: which frames, in what shape, at what time."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from urbanpipe.inputs.config import AugmentationName, AugmentConfig
from urbanpipe.inputs.frame_timeline import FrameTimeline, SampleSeed
from urbanpipe.methods.bag import BagConfig
from urbanpipe.methods.dense import DenseClips, DenseConfig
from urbanpipe.methods.frame import FrameConfig, SingleFrames
from urbanpipe.methods.table import method_named
from urbanpipe.methods.video import Clip, VideoConfig

PLAIN = AugmentConfig(tile=())
RANDOM: tuple[AugmentationName, ...] = ("horizontal_flip", "rotation", "crop", "colour_jitter", "rand_augment")
WIDTH, HEIGHT = 24, 16


def pictures(count: int) -> NDArray[np.uint8]:
    """Frames that are noise, no two alike."""
    return np.random.default_rng(0).integers(0, 256, (count, HEIGHT, WIDTH, 3), dtype=np.uint8)


def numbered(count: int) -> NDArray[np.uint8]:
    """Frames of one value each, their number."""
    return np.arange(count, dtype=np.uint8)[:, None, None, None].repeat(HEIGHT, 1).repeat(WIDTH, 2).repeat(3, 3)


frame_views = st.builds(
    lambda every, train: SingleFrames(FrameConfig(size=16, every_seconds=every, train_frames=train), PLAIN),
    st.floats(0.1, 20),
    st.integers(1, 12),
)
timelines = st.builds(lambda frames, rate: FrameTimeline(frames, frames / rate), st.integers(1, 600), st.floats(2, 60))


def test_frames_are_those_on_screen_at_the_interval() -> None:
    view = SingleFrames(FrameConfig(size=16, every_seconds=1.0), PLAIN)
    assert view.evaluation_sample(FrameTimeline(75, 3.0)).frames.tolist() == [[0], [25], [50]]
    assert view.evaluation_sample(FrameTimeline(10, 0.4)).frames.tolist() == [[0]], "a short video has its first frame"
    assert view.evaluation_sample(FrameTimeline(3, 30.0)).frames.tolist() == [[0], [1], [2]], (
        "a slow one has each of its frames once"
    )


def test_the_interval_follows_real_times() -> None:
    times = np.array([0.0, 0.1, 0.2, 0.3, 2.5, 2.6, 2.7, 4.0])
    view = SingleFrames(FrameConfig(size=16, every_seconds=1.0), PLAIN)
    timeline = FrameTimeline(8, 4.5, times)
    assert view.evaluation_sample(timeline).frames[:, 0].tolist() == [0, 3, 6, 7], (
        "0.3 s is on screen at one and at two seconds"
    )
    assert timeline.spans(view.evaluation_sample(timeline).frames)[:, 0].tolist() == [0.0, 0.3, 2.7, 4.0]


@given(view=frame_views, timeline=timelines, seed=st.integers(0, 99))
def test_training_sees_as_many_frames_of_a_long_video_as_of_a_short_one(
    view: SingleFrames, timeline: FrameTimeline, seed: int
) -> None:
    kept, evaluated = view.cacheable_frames(timeline), view.evaluation_sample(timeline)
    drawn = view.training_sample(timeline, SampleSeed(seed, 1, 2))
    assert drawn.frames.shape == (view.config.train_frames, 1)
    assert np.isin(drawn.frames, kept).all(), "what is read is what is cached"
    assert np.array_equal(drawn.frames, evaluated.frames[drawn.rows]), "rows are rows of the evaluated ones"
    assert np.all(np.diff(drawn.rows) >= 0)
    assert np.array_equal(evaluated.frames[:, 0], kept)
    assert np.array_equal(evaluated.rows, np.arange(len(kept)))
    assert (drawn.real == 1).all()
    parts = np.arange(view.config.train_frames + 1) * len(kept) // view.config.train_frames
    if len(kept) >= view.config.train_frames:
        assert np.all((drawn.rows >= parts[:-1]) & (drawn.rows < parts[1:])), "one of each equal part of the video"


@given(view=frame_views, timeline=timelines)
def test_a_frames_span_is_a_moment_of_the_video(view: SingleFrames, timeline: FrameTimeline) -> None:
    spans = timeline.spans(view.evaluation_sample(timeline).frames)
    assert np.array_equal(spans[:, 0], spans[:, 1])
    assert spans[0, 0] == 0
    assert np.all(np.diff(spans[:, 0]) > 0)
    assert spans[-1, 0] < timeline.duration_seconds


def test_another_epoch_another_frame_and_the_same_epoch_the_same() -> None:
    view = SingleFrames(FrameConfig(size=16, every_seconds=0.1, train_frames=4), PLAIN)
    timeline = FrameTimeline(500, 20.0)
    rows = [view.training_sample(timeline, SampleSeed(0, epoch, 0)).rows.tolist() for epoch in (0, 0, 1, 2)]
    assert rows[0] == rows[1]
    assert len({tuple(row) for row in rows}) == 3


def test_a_bag_is_every_frame_at_the_interval_as_it_is_in_training_too() -> None:
    augment = AugmentConfig(tile=RANDOM, flip_probability=1.0)
    view = method_named("bag").view(BagConfig(size=HEIGHT, aspect="3:2", every_seconds=0.4), augment)
    alone = method_named("frame").view(FrameConfig(size=HEIGHT, aspect="3:2", every_seconds=0.4), augment)
    timeline, frame = FrameTimeline(500, 20.0), pictures(1)
    for epoch in (0, 1):
        assert np.array_equal(
            view.training_sample(timeline, SampleSeed(0, epoch, 3)).frames, alone.evaluation_sample(timeline).frames
        )
    assert len(view.evaluation_sample(timeline)) == 50
    assert np.array_equal(view.training_input(frame), frame[0].transpose(2, 0, 1))
    assert not np.array_equal(alone.training_input(frame), view.training_input(frame))


def test_a_frame_is_an_image_of_its_own() -> None:
    view = SingleFrames(FrameConfig(size=HEIGHT, aspect="3:2"), PLAIN)
    assert view.frame_size == (WIDTH, HEIGHT)
    frame = pictures(1)
    for made in (view.evaluation_input(frame), view.training_input(frame)):
        assert made.dtype == np.uint8
        assert np.array_equal(made, frame[0].transpose(2, 0, 1))


@pytest.mark.parametrize("part", ["tile", "image"])
@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.parametrize("config", [VideoConfig(size=16, frames=5), DenseConfig(size=16, frames=5)])
def test_all_frames_of_a_clip_are_augmented_alike(
    config: VideoConfig | DenseConfig, name: AugmentationName, part: str
) -> None:
    """A clip that stands still stands still after it, and is not always the same."""
    augment = AugmentConfig.model_validate({"tile": (), "colour_strength": 0.8} | {part: (name,)})
    view = method_named(config.method).view(config.model_copy(update={"aspect": "3:2"}), augment)
    still = pictures(1).repeat(5, 0)
    found = []
    for seed in range(12):
        torch.manual_seed(seed)
        clip = view.training_input(still)
        assert clip.shape == (3, 5, HEIGHT, WIDTH)
        assert clip.dtype == np.uint8
        assert all(np.array_equal(clip[:, 0], clip[:, other]) for other in range(1, 5))
        found.append(clip[:, 0])
    assert any(not np.array_equal(found[0], other) for other in found[1:])


@given(
    frame_count=st.integers(1, 500),
    frames=st.integers(2, 40),
    sampling=st.sampled_from(["uniform", "jittered", "sequence"]),
    candidates=st.sampled_from([0, 1, 3, 5]),
    seed=st.integers(0, 99),
)
def test_a_clip_has_its_frames_in_order_of_time(
    frame_count: int, frames: int, sampling: str, candidates: int, seed: int
) -> None:
    config = {"frames": frames, "sampling": sampling, "candidates": candidates, "size": 16}
    view, timeline = Clip(VideoConfig.model_validate(config), PLAIN), FrameTimeline(frame_count, frame_count / 25)
    kept = view.cacheable_frames(timeline)
    assert (kept is None) == (candidates == 0 and sampling != "uniform")
    for selection in (view.training_sample(timeline, SampleSeed(seed, 0, 0)), view.evaluation_sample(timeline)):
        assert selection.frames.shape == (1, frames)
        assert np.all(np.diff(selection.frames) >= 0)
        assert selection.frames.min() >= 0
        assert selection.frames.max() < frame_count
        assert kept is None or np.isin(selection.frames, kept).all()
        if sampling == "sequence" and frame_count >= frames:
            assert np.all(np.diff(selection.frames) == 1)
        ((begin, end),) = timeline.spans(selection.frames)
        assert 0 <= begin < end <= timeline.duration_seconds


@given(draws=st.integers(1, 5), sampling=st.sampled_from(["jittered", "sequence"]), frame_count=st.integers(200, 500))
def test_several_clips_are_evaluated_on_request(draws: int, sampling: str, frame_count: int) -> None:
    config = {"frames": 8, "sampling": sampling, "candidates": 5, "test_draws": draws, "size": 16}
    view, timeline = Clip(VideoConfig.model_validate(config), PLAIN), FrameTimeline(frame_count, frame_count / 25)
    evaluated = view.evaluation_sample(timeline)
    assert evaluated.rows.tolist() == list(range(draws))
    assert len(np.unique(evaluated.frames, axis=0)) == draws
    assert np.all(np.diff(timeline.spans(evaluated.frames), axis=0) >= 0), "in order of time"


def test_a_clip_keeps_time_in_tests_and_may_lose_it_in_training() -> None:
    frames = numbered(12)
    config = VideoConfig(size=HEIGHT, aspect="3:2", frames=12)
    ordered, shuffled = Clip(config, PLAIN), Clip(config.model_copy(update={"shuffle": True}), PLAIN)
    for view in (ordered, shuffled):
        clip = view.evaluation_input(frames)
        assert clip.shape == (3, 12, HEIGHT, WIDTH)
        assert np.array_equal(clip, frames.transpose(3, 0, 1, 2))
    assert np.array_equal(ordered.training_input(frames), ordered.evaluation_input(frames))
    orders = []
    for seed in range(4):
        torch.manual_seed(seed)
        clip = shuffled.training_input(frames)
        order = clip[0, :, 0, 0].tolist()
        assert sorted(order) == list(range(12)), "every frame once"
        assert np.array_equal(clip, shuffled.evaluation_input(frames)[:, order]), "whole frames are moved"
        orders.append(tuple(order))
    assert len(set(orders)) == 4


grids = st.builds(
    lambda length, stride: DenseConfig(frames=length, stride=stride, size=16), st.integers(1, 12), st.integers(1, 6)
)


@given(config=grids, timeline=timelines)
def test_every_moment_belongs_to_a_clip(config: DenseConfig, timeline: FrameTimeline) -> None:
    view = DenseClips(config, PLAIN)
    whole = view.evaluation_sample(timeline)
    hop = config.frames * config.stride
    assert whole.frames.shape == (-(-timeline.frame_count // hop), config.frames)
    real = np.concatenate([frames[:count] for frames, count in zip(whole.frames, whole.real, strict=True)])
    assert real.tolist() == list(range(0, timeline.frame_count, config.stride)), "each of the grid once, none left out"
    for frames, count in zip(whole.frames, whole.real, strict=True):
        assert 1 <= count <= config.frames
        assert (frames[count:] == frames[count - 1]).all(), "padded by its last frame"
    assert (whole.real[:-1] == config.frames).all(), "only the last one is padded"
    assert np.array_equal(view.cacheable_frames(timeline), np.unique(whole.frames))


@given(config=grids, timeline=timelines)
def test_clips_cover_the_video_without_a_gap(config: DenseConfig, timeline: FrameTimeline) -> None:
    """At a stride of 1 to the last moment; else but for the frames that are jumped over."""
    spans = timeline.spans(DenseClips(config, PLAIN).evaluation_sample(timeline).frames)
    frame = timeline.duration_seconds / timeline.frame_count
    if config.frames == 1:  # a single frame is a moment
        assert np.array_equal(spans[:, 0], spans[:, 1])
        return
    jumped = (config.stride - 1) * frame + 1e-9
    assert spans[0, 0] == 0
    gaps = spans[1:, 0] - spans[:-1, 1]
    assert np.all((gaps >= -1e-9) & (gaps <= jumped))
    assert timeline.duration_seconds - jumped <= spans[-1, 1] <= timeline.duration_seconds


@given(config=grids, frame_count=st.integers(1, 300), seed=st.integers(0, 20), epoch=st.integers(0, 9))
def test_a_turn_is_some_of_the_clips_and_the_exact_modes_take_all(
    config: DenseConfig, frame_count: int, seed: int, epoch: int
) -> None:
    timeline, sample_seed = FrameTimeline(frame_count, frame_count / 25), SampleSeed(seed, epoch, 0)
    whole = DenseClips(config, PLAIN).evaluation_sample(timeline)
    some = DenseClips(config, PLAIN).training_sample(timeline, sample_seed)
    assert 1 <= len(some) <= -(-len(whole) // 4)
    assert np.array_equal(some.frames, whole.frames[some.rows])
    assert np.array_equal(some.real, whole.real[some.rows])
    exact = DenseClips(config.model_copy(update={"mode": "exact"}), PLAIN).training_sample(timeline, sample_seed)
    assert np.array_equal(exact.frames, whole.frames)


def test_a_clip_of_the_grid_is_a_clip_or_one_image_of_tiles() -> None:
    frames = pictures(6)
    for encoder in ("pool", "video"):
        config = DenseConfig.model_validate({"size": HEIGHT, "aspect": "3:2", "frames": 6, "encoder": encoder})
        clip = DenseClips(config, PLAIN).evaluation_input(frames)
        assert np.array_equal(clip, frames.transpose(3, 0, 1, 2))
    tiles = DenseConfig(size=HEIGHT, aspect="3:2", frames=6, encoder="super-image", rows=2)
    view = DenseClips(tiles, PLAIN)
    image = view.evaluation_input(frames)
    assert image.shape == (3, *tiles.image_size[::-1]) == (3, 2 * HEIGHT, 3 * WIDTH)
    for number, frame in enumerate(frames):
        row, column = divmod(number, 3)
        tile = image[:, row * HEIGHT : (row + 1) * HEIGHT, column * WIDTH : (column + 1) * WIDTH]
        assert np.array_equal(tile, frame.transpose(2, 0, 1)), "in order of time, row by row"
    assert np.array_equal(view.training_input(frames), image)
