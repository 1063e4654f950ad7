import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from urbanpipe.inputs.augment import augmentation
from urbanpipe.inputs.config import AugmentationName, AugmentConfig
from urbanpipe.inputs.frame_timeline import FrameTimeline, SampleSeed
from urbanpipe.inputs.tiles import lay_out, tile_box
from urbanpipe.methods.super_image import SuperImage, SuperImageConfig

PLAIN = AugmentConfig(tile=(), tile_shuffle=False)
NAMES: tuple[AugmentationName, ...] = (
    "horizontal_flip",
    "vertical_flip",
    "rotation",
    "crop",
    "colour_jitter",
    "rand_augment",
    "auto_augment",
)


def frames(count: int, height: int = 16, width: int = 24) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


@given(rows=st.integers(1, 5), columns=st.integers(1, 5), height=st.integers(1, 7), width=st.integers(1, 7))
def test_every_tile_stands_in_its_box(rows: int, columns: int, height: int, width: int) -> None:
    tiles = (
        np.arange(rows * columns * 3 * height * width, dtype=np.int64)
        .astype(np.uint8)
        .reshape(rows * columns, 3, height, width)
    )
    image = lay_out(tiles, rows, columns)
    assert image.shape == (3, rows * height, columns * width)
    for position, tile in enumerate(tiles):
        left, top, right, bottom = tile_box(position, columns, (width, height))
        assert np.array_equal(image[:, top:bottom, left:right], tile)


def test_a_wrong_number_of_tiles_is_refused() -> None:
    with pytest.raises(ValueError, match="8 tiles do not fill 3 rows of 3"):
        lay_out(np.zeros((8, 3, 4, 4), np.uint8), 3, 3)


@given(
    frame_count=st.integers(1, 400),
    sampling=st.sampled_from(["uniform", "jittered", "sequence"]),
    candidates=st.sampled_from([1, 3, 5]),
    seed=st.integers(0, 99),
)
def test_kept_frames_exist_and_tests_see_the_middle(
    frame_count: int, sampling: str, candidates: int, seed: int
) -> None:
    view = SuperImage(
        SuperImageConfig.model_validate({"sampling": sampling, "candidates": candidates, "tile": 16}), PLAIN
    )
    timeline = FrameTimeline(frame_count, frame_count / 25)
    kept = view.cacheable_frames(timeline)
    assert kept is not None
    assert kept.min() >= 0
    assert kept.max() < frame_count
    assert np.all(np.diff(kept) > 0)
    for selection in (view.training_sample(timeline, SampleSeed(seed, 0, 0)), view.evaluation_sample(timeline)):
        assert selection.frames.shape == (1, 9)
        assert np.isin(selection.frames, kept).all(), "what is read is what is cached"
        assert np.all(np.diff(selection.frames) >= 0), "frames stay in order of time"
    middle = view.evaluation_sample(timeline).frames[0]
    if sampling != "sequence":
        assert np.array_equal(middle, np.floor((np.arange(9) + 0.5) * frame_count / 9))


def test_jitter_differs_by_tile_and_a_sequence_does_not() -> None:
    timeline, gaps = FrameTimeline(450, 18.0), {}
    for sampling in ("jittered", "sequence"):
        config = SuperImageConfig.model_validate({"sampling": sampling, "candidates": 5})
        drawn = SuperImage(config, PLAIN).training_sample(timeline, SampleSeed(0, 1, 2)).frames[0]
        gaps[sampling] = set(np.diff(drawn).tolist())
    assert len(gaps["jittered"]) > 1
    assert gaps["sequence"] == {1}


def test_several_draws_are_spread_over_the_candidates() -> None:
    config = SuperImageConfig(sampling="jittered", candidates=5, test_draws=3)
    evaluated = SuperImage(config, PLAIN).evaluation_sample(FrameTimeline(450, 18.0))
    assert evaluated.rows.tolist() == [0, 1, 2]
    assert evaluated.frames[:, 0].tolist() == [5, 25, 45]


def test_shuffled_layouts_hold_the_same_frames_and_are_the_same_for_all_videos() -> None:
    view = SuperImage(SuperImageConfig(test_shuffles=4), PLAIN)
    long, short = (view.evaluation_sample(FrameTimeline(frames, frames / 25)).frames for frames in (450, 90))
    assert long.shape == (5, 9)
    assert np.all(np.diff(long[0]) > 0), "the first is in order of time"
    assert len({tuple(row) for row in long.tolist()}) == 5
    assert np.array_equal(np.sort(long, axis=1), np.repeat(long[:1], 5, axis=0))
    assert np.array_equal(np.argsort(long), np.argsort(short))


def test_test_view_is_plain_and_train_view_without_augmentation_is_the_same() -> None:
    view = SuperImage(SuperImageConfig(rows=2, columns=3, tile=16, aspect="3:2"), PLAIN)
    some = frames(6)
    image = view.evaluation_input(some)
    assert image.dtype == np.uint8
    assert image.shape == (3, 32, 72)
    assert np.array_equal(image, view.training_input(some))
    assert np.array_equal(image[:, 16:, 48:].transpose(1, 2, 0), some[5])


def test_shuffled_tiles_are_all_there_in_another_order() -> None:
    view = SuperImage(SuperImageConfig(tile=16), AugmentConfig(tile=(), tile_shuffle=True))
    some = np.stack([np.full((16, 16, 3), value, np.uint8) for value in range(9)])
    torch.manual_seed(0)
    image = view.training_input(some)
    order = image[0, 8::16, 8::16].flatten().tolist()
    assert sorted(order) == list(range(9))
    assert order != list(range(9))


def test_tiles_are_flipped_one_by_one() -> None:
    view = SuperImage(SuperImageConfig(tile=16), AugmentConfig(tile=("horizontal_flip",), tile_shuffle=False))
    one = frames(1, 16, 16)
    torch.manual_seed(0)
    image = view.training_input(np.repeat(one, 9, axis=0))
    plain = one[0].transpose(2, 0, 1)
    flipped = 0
    for position in range(9):
        left, top, right, bottom = tile_box(position, 3, (16, 16))
        tile = image[:, top:bottom, left:right]
        assert np.array_equal(tile, plain) or np.array_equal(tile, plain[..., ::-1])
        flipped += not np.array_equal(tile, plain)
    assert 0 < flipped < 9


@pytest.mark.parametrize("name", NAMES)
def test_every_augmentation_keeps_the_shape_and_changes_pixels(name: AugmentationName) -> None:
    transform = augmentation(name, AugmentConfig(rotation_degrees=45), (24, 16))
    image = torch.from_numpy(frames(1)[0]).permute(2, 0, 1)
    torch.manual_seed(1)
    results = [transform(image) for _ in range(8)]
    assert all(result.shape == image.shape and result.dtype == torch.uint8 for result in results)
    assert any(not torch.equal(result, image) for result in results)


@pytest.mark.parametrize(
    ("aspect", "tile", "size"), [("square", 448, (448, 448)), ("4:3", 96, (128, 96)), ("16:9", 100, (176, 100))]
)
def test_tile_size(aspect: str, tile: int, size: tuple[int, int]) -> None:
    config = SuperImageConfig(aspect=aspect, tile=tile)
    assert config.frame_size == size
    assert config.image_size == (size[0] * 3, size[1] * 3)


@pytest.mark.parametrize("bad", [{"aspect": "wide"}, {"aspect": "0:3"}, {"candidates": 2}, {"rows": 0}, {"tile": 4}])
def test_bad_settings_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SuperImageConfig.model_validate(bad)
