"""Times of frames: exact where the clock of a file is whole, and plausible wherever it is not."""

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.video_files import FRAMES, MPEG, join, number_in, restamped, shifted, write, x264
from urbanpipe.video.clock import Clock, clock_of, timeline
from urbanpipe.video.decode import index_frames, stream_frames
from urbanpipe.video.probe import probe

TICK = Fraction(1, 90_000)
WRAP = 2**33
RATES = (Fraction(25), Fraction(30_000, 1001), Fraction(50), Fraction(10), Fraction(15_000, 1001))


def group(frames: int, b_frames: bool) -> list[int]:
    """Presentation numbers of `frames` packets in decoding order: I, or I P B B with reordering."""
    order = list(range(frames))
    if b_frames:
        for at in range(1, frames - 2, 3):
            order[at : at + 3] = [at + 2, at, at + 1]
    return order


def times_of(clock: Clock) -> np.ndarray:
    order = np.lexsort((clock.ticks, clock.part))
    return timeline(clock.ticks[order], clock.part[order], TICK, 0.04)[0]


@st.composite
def recordings(draw: st.DrawFn) -> tuple[list[int], list[int], list[int], np.ndarray]:
    """Joined recordings of one rate: pts, dts, keyframes, and the true times."""
    gap = float(1 / draw(st.sampled_from(RATES)) / TICK)
    b_frames = draw(st.booleans())
    pts: list[int] = []
    dts: list[int] = []
    keyframes: list[int] = []
    end = None
    for _ in range(draw(st.integers(1, 4))):
        frames = draw(st.integers(4, 90))
        far = st.integers(200 * 90_000, WRAP // 2 - 200 * 90_000)
        begin = draw(st.integers(0, WRAP - 1)) if end is None else end + draw(st.sampled_from([-1, 1])) * draw(far)
        if end is not None and draw(st.booleans()):
            begin = end - draw(st.integers(round(5 * gap), 90_000 * 60))  # a clock that restarts a little lower
        keyframes.append(len(pts))
        shown = group(frames, b_frames)
        pts += [round(begin + (number + 2) * gap) % WRAP for number in shown]
        dts += [round(begin + number * gap) % WRAP for number in range(frames)]
        end = round(begin + frames * gap)
    return pts, dts, keyframes, np.arange(len(pts)) * gap * float(TICK)


@settings(max_examples=150, deadline=None)
@given(recordings())
def test_joined_recordings_last_as_long_as_their_parts(
    recording: tuple[list[int], list[int], list[int], np.ndarray],
) -> None:
    pts, dts, keyframes, expected = recording
    clock = clock_of(pts, dts, TICK, "mpegts", keyframes=keyframes)
    assert clock.jumps.tolist() == keyframes[1:]
    np.testing.assert_allclose(times_of(clock), expected, atol=1e-3)


@settings(max_examples=100, deadline=None)
@given(
    frames=st.integers(20, 200),
    pauses=st.lists(st.tuples(st.integers(3, 19), st.floats(0.1, 100)), max_size=3, unique_by=lambda pause: pause[0]),
    begin=st.integers(0, WRAP - 1),
    rate=st.sampled_from(RATES),
    container=st.sampled_from(["mpegts", "mpeg", "mp4", "matroska"]),
)
def test_pauses_offsets_and_wraps_keep_the_true_times(
    frames: int, pauses: list[tuple[int, float]], begin: int, rate: Fraction, container: str
) -> None:
    gap = float(1 / rate / TICK)
    true = np.arange(frames) * gap
    for at, seconds in pauses:
        true[at:] += seconds * 90_000
    stamps = [int(begin + tick) for tick in true]
    if container in {"mpegts", "mpeg"}:
        stamps = [stamp % WRAP for stamp in stamps]
    clock = clock_of(stamps, stamps, TICK, container, keyframes=[0])
    assert not clock.jumps.size
    np.testing.assert_allclose(times_of(clock), true * float(TICK), atol=2e-5)


@settings(max_examples=100, deadline=None)
@given(
    frames=st.integers(30, 300),
    unit_ms=st.integers(1, 1000),
    rate=st.sampled_from(RATES),
    container=st.sampled_from(["mp4", "matroska", "mpegts"]),
)
def test_coarse_stamps_keep_the_duration(frames: int, unit_ms: int, rate: Fraction, container: str) -> None:
    true = np.arange(frames) / float(rate)
    unit = unit_ms * 90
    stamps = [int(second * 90_000) // unit * unit for second in true]
    times = times_of(clock_of(stamps, stamps, TICK, container, keyframes=[0]))
    assert (np.diff(times) > 0).all()
    np.testing.assert_allclose(times, true, atol=unit_ms / 1000 + 1 / float(rate) + 1e-4)


@settings(max_examples=100, deadline=None)
@given(
    frames=st.integers(40, 200),
    repeats=st.sets(st.integers(1, 190), max_size=20),
    missing=st.sets(st.integers(1, 190), max_size=20),
)
def test_repeated_and_missing_stamps_are_filled(frames: int, repeats: set[int], missing: set[int]) -> None:
    true = np.arange(frames) * 3600
    stamps: list[int | None] = list(true.tolist())
    for at in sorted(repeats):
        if at < frames:
            stamps[at] = stamps[at - 1]
    for at in missing:
        if at < frames:
            stamps[at] = None
    times = timeline(np.array(stamps, dtype=np.float64), np.zeros(frames, dtype=np.int64), TICK, 0.04)[0]
    np.testing.assert_allclose(times, true * float(TICK), atol=0.04 * (len(repeats) + len(missing)) + 1e-9)
    assert (np.diff(times) > 0).all()
    known = [at for at in range(frames) if at not in repeats and at not in missing]
    np.testing.assert_allclose(times[known], true[known] * float(TICK), atol=1e-9)


@pytest.mark.parametrize("container", ["mpegts", "mp4", "matroska"])
@pytest.mark.parametrize("away", [-7 * 90_000, 40 * 90_000, 2**31])
@pytest.mark.parametrize("length", [1, 2, 40])
def test_a_run_of_wrong_stamps_changes_no_other_time(container: str, away: int, length: int) -> None:
    true = np.arange(300) * 3600 + 90_000 * 1000
    stamps = true.copy()
    stamps[100 : 100 + length] += away
    clock = clock_of(stamps.tolist(), stamps.tolist(), TICK, container, keyframes=[0, 100, 100 + length])
    np.testing.assert_allclose(times_of(clock), np.arange(300) * 0.04, atol=0.081)


def test_no_stamps_at_all() -> None:
    clock = clock_of([None] * 5, [None] * 5, TICK, "mpeg")
    assert np.isnan(clock.ticks).all()
    assert times_of(clock).tolist() == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("sources")

    @cache
    def make(name: str) -> Path:
        if name == "mpg":
            return write(folder / "a.mpg", codec="mpeg2video", options=MPEG)
        return write(folder / f"{name}.mp4", options=x264(25, bframes=0) if name == "without_b" else x264(25))

    return make


def _times(path: Path) -> tuple[list[int], np.ndarray, str]:
    index = index_frames(path)
    numbers = [number_in(frame) for _, frame in stream_frames(path, index=index)]
    assert len(numbers) == index.frame_count
    return numbers, index.times_seconds, "; ".join(index.notes)


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second"), [(1000, 5), (5, 1000), (3, 1.5), (95_443, 90_000)])
@pytest.mark.parametrize("form", ["mpegts", "mpeg"])
def test_joined_files(form: str, first: float, second: float, sources: Callable[[str], Path], tmp_path: Path) -> None:
    source = sources("mpg") if form == "mpeg" else sources("with_b")
    parts = [shifted(source, tmp_path / f"{begin}.part", begin, form) for begin in (first, second)]
    path = join(tmp_path / "joined", *parts)
    numbers, times, notes = _times(path)
    assert numbers == [*range(FRAMES), *range(FRAMES)]
    np.testing.assert_allclose(times, np.arange(2 * FRAMES) / 25, atol=1e-4)
    assert notes == "the clock jumps at 3.0 s: recordings were joined, or time stamps are wrong"
    info = probe(path)
    assert (info.damage, info.notes) == ("", notes)
    assert info.duration_seconds == pytest.approx(2 * FRAMES / 25, abs=1e-3)


@pytest.mark.slow
def test_a_clock_that_wraps(sources: Callable[[str], Path], tmp_path: Path) -> None:
    path = shifted(sources("with_b"), tmp_path / "wraps.ts", WRAP / 90_000 - 1.2, "mpegts")
    numbers, times, notes = _times(path)
    assert (numbers, notes) == (list(range(FRAMES)), "")
    np.testing.assert_allclose(times, np.arange(FRAMES) / 25, atol=1e-4)


@pytest.mark.slow
def test_coarse_and_repeated_stamps(sources: Callable[[str], Path], tmp_path: Path) -> None:
    def coarse(number: int, _pts: int, _dts: int) -> tuple[int, int]:
        return number * 40 // 100 * 100, number * 40 // 100 * 100

    def repeated(number: int, _pts: int, _dts: int) -> tuple[int, int]:
        return (number - (number % 10 == 9)) * 40, (number - (number % 10 == 9)) * 40

    for name, stamp, tolerance in (("coarse", coarse, 0.07), ("repeated", repeated, 1e-6)):
        path = restamped(sources("without_b"), tmp_path / f"{name}.mkv", stamp, time_base=Fraction(1, 1000))
        numbers, times, notes = _times(path)
        assert (numbers, notes) == (list(range(FRAMES)), ""), name
        np.testing.assert_allclose(times, np.arange(FRAMES) / 25, atol=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
def test_a_pause_in_the_recording_stays(suffix: str, sources: Callable[[str], Path], tmp_path: Path) -> None:
    def paused(number: int, pts: int, dts: int) -> tuple[int, int]:
        return pts + (number >= 25) * 45_000, dts + (number >= 25) * 45_000

    path = restamped(sources("with_b"), tmp_path / f"paused{suffix}", paused, time_base=Fraction(1, 1000))
    numbers, times, notes = _times(path)
    assert (numbers, notes) == (list(range(FRAMES)), "")
    np.testing.assert_allclose(times, np.arange(FRAMES) / 25 + 45 * (np.arange(FRAMES) >= 25), atol=2e-3)


@pytest.mark.slow
def test_times_that_contradict_the_order_of_pictures_are_damage(sources: Callable[[str], Path], tmp_path: Path) -> None:
    def reversed_runs(number: int, _pts: int, dts: int) -> tuple[int, int]:
        return (16 * ((number - 1) // 16) + 16 - (number - 1) % 16) * 40 if number else 0, dts - 16 * 40

    source = sources("without_b")
    path = restamped(source, tmp_path / "swapped.mkv", reversed_runs, time_base=Fraction(1, 1000))
    numbers, times, _ = _times(path)
    assert numbers == list(range(FRAMES))
    assert times[-1] == pytest.approx(FRAMES / 25, abs=0.7)
    assert "contradict the order" in probe(path).damage
