"""Properties of the samplers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from urbanpipe.video.sampling import clip_grid, interval, jittered, sequence, uniform

counts = st.integers(1, 20_000)
few = st.integers(1, 40)


@given(counts, few)
def test_uniform_takes_the_middles_of_equal_segments(frame_count: int, n: int) -> None:
    indices = uniform(frame_count, n)
    assert indices.dtype == np.int64
    assert indices.tolist() == [((2 * i + 1) * frame_count) // (2 * n) for i in range(n)]
    assert (np.diff(indices) >= 0).all()
    assert 0 <= indices[0] <= indices[-1] < frame_count
    # The same frames whichever end one begins at, but for the half frame that rounding down takes.
    assert (np.abs(frame_count - 1 - indices[::-1] - indices) <= 1).all()


@given(counts, few, st.integers(0, 2**32 - 1))
def test_jittered_stays_in_its_segment(frame_count: int, n: int, seed: int) -> None:
    indices = jittered(frame_count, n, np.random.default_rng(seed))
    assert indices.dtype == np.int64
    edges = [i * frame_count // n for i in range(n + 1)]
    for index, low, high in zip(indices, edges[:-1], edges[1:], strict=True):
        assert low <= index < max(high, low + 1)
    assert indices.max() < frame_count
    np.testing.assert_array_equal(indices, jittered(frame_count, n, np.random.default_rng(seed)))


def test_jittered_reaches_every_frame() -> None:
    rng = np.random.default_rng(0)
    seen = np.stack([jittered(20, 4, rng) for _ in range(400)])
    assert [set(column) for column in seen.T.tolist()] == [set(range(5 * i, 5 * i + 5)) for i in range(4)]


@given(counts, few, st.data())
def test_sequence_is_consecutive_and_repeats_the_last(frame_count: int, n: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, frame_count - 1))
    indices = sequence(frame_count, n, start)
    assert indices.dtype == np.int64
    assert indices.tolist() == [min(start + i, frame_count - 1) for i in range(n)]


@given(st.lists(st.floats(0.001, 3), max_size=60), st.floats(0.01, 5))
def test_interval_shows_what_is_on_screen_at_each_tick(gaps: list[float], every_seconds: float) -> None:
    times = np.concatenate([[0.0], np.cumsum(gaps)]) + 17.5
    indices = interval(times, every_seconds)
    ticks = np.arange(0, times[-1] - times[0] + 1e-9, every_seconds)
    shown = {int(np.searchsorted(times - times[0], tick + 5e-7, side="right")) - 1 for tick in ticks}
    near = {int(np.searchsorted(times - times[0], tick + 1e-6, side="right")) - 1 for tick in ticks}
    near |= {int(np.searchsorted(times - times[0], tick, side="right")) - 1 for tick in ticks}
    assert shown & set(indices.tolist()) == set(indices.tolist()) or set(indices.tolist()) <= shown | near
    assert shown <= set(indices.tolist()) | near
    assert indices.dtype == np.int64
    assert indices[0] == 0
    assert (np.diff(indices) > 0).all()


def test_interval_at_steady_and_at_ntsc_rate() -> None:
    assert interval(np.arange(100) / 25, 0.5).tolist() == [0, 12, 25, 37, 50, 62, 75, 87]
    assert interval(np.arange(100) / 25, 1 / 25).tolist() == list(range(100))
    assert interval(np.arange(60) * 1001 / 30000, 1.0).tolist() == [0, 29]
    assert interval(np.array([3.0]), 1.0).tolist() == [0]
    assert interval(np.array([0.0, 0.1, 5.0, 5.1]), 1e-9).tolist() == [0, 1, 2, 3]


@pytest.mark.slow
@given(counts, st.integers(1, 33), st.integers(1, 9))
def test_clip_grid_leaves_no_moment_out(frame_count: int, length: int, stride: int) -> None:
    indices, mask = clip_grid(frame_count, length, stride)
    hop = length * stride
    assert indices.shape == mask.shape == (-(-frame_count // hop), length)
    assert indices.dtype == np.int64
    assert mask.dtype == np.bool_
    assert indices.min() >= 0
    assert indices.max() < frame_count
    assert indices[mask].tolist() == list(range(0, frame_count, stride))
    assert mask[:, 0].all()
    assert mask[:-1].all()
    for clip, valid in zip(indices, mask, strict=True):
        assert (clip[~valid] == clip[valid][-1]).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: uniform(0, 9), "frame_count is 0; it must be at least 1"),
        (lambda: uniform(10, 0), "n is 0; it must be at least 1"),
        (lambda: jittered(-1, 3, np.random.default_rng(0)), "frame_count is -1"),
        (lambda: sequence(10, 3, 10), "start is 10; a video of 10 frames has 0 to 9"),
        (lambda: sequence(10, 3, -1), "start is -1"),
        (lambda: interval(np.array([]), 1.0), "at least one finite, ascending time"),
        (lambda: interval(np.array([0.0, 2.0, 1.0]), 1.0), "ascending"),
        (lambda: interval(np.array([0.0, np.nan]), 1.0), "finite"),
        (lambda: interval(np.array([0.0, 1.0]), 0.0), "every_seconds is 0.0; it must be a positive number"),
        (lambda: interval(np.array([0.0, 1.0]), float("nan")), "every_seconds is nan"),
        (lambda: clip_grid(10, 8, 0), "stride is 0"),
    ],
)
def test_bad_arguments(call: object, message: str) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match=message):
        call()
