"""Intervals of a timeline, and the pictures kept as evidence."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from urbanpipe.contracts.findings import Occurrence
from urbanpipe.decision.localization import MomentsConfig
from urbanpipe.evaluation.peaks import smoothed
from urbanpipe.inspection.evidence_buffer import (
    CLOSE_SECONDS,
    MAX_PEAKS,
    SECOND_SECONDS,
    EvidenceBuffer,
    Peak,
    Segment,
    Snapshot,
)
from urbanpipe.inspection.inspector import Inspector
from urbanpipe.inspection.intervals import Interval, intervals, merged
from urbanpipe.inspection.screen_text.distance import Distance

PICTURE = np.zeros((8, 8, 3), np.uint8)


class TestIntervals:
    TIMES = np.arange(0, 60, 0.5)

    def bump(self, at: float, height: float) -> NDArray[np.float64]:
        found: NDArray[np.float64] = height * np.exp(-(((self.TIMES - at) / 3) ** 2))
        return found

    def test_peaks_half_as_high_as_the_best_are_moments(self) -> None:
        scores = self.bump(10, 0.8) + self.bump(30, 0.5) + self.bump(50, 0.2)
        found = intervals(self.TIMES, scores, MomentsConfig())
        assert [one.seconds for one in found] == [10, 30]

    @pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
    def test_an_interval_lasts_while_the_score_is_near_its_peak(self, share: float) -> None:
        (found,) = intervals(self.TIMES, self.bump(20, 0.8), MomentsConfig(interval_share=share))
        half = 3 * np.sqrt(-np.log(share))
        assert found.begin == pytest.approx(20 - half, abs=0.5)
        assert found.end == pytest.approx(20 + half, abs=0.5)

    def test_intervals_of_near_peaks_part_at_the_lowest_score_between_them(self) -> None:
        scores = np.maximum(self.bump(10, 0.9), np.maximum(self.bump(40, 0.6), 0.4))
        first, second = intervals(self.TIMES, scores, MomentsConfig(interval_share=0.1))
        assert (first.seconds, second.seconds) == (10, 40)
        assert 10 < first.end <= second.begin < 40

    @pytest.mark.parametrize(("valley", "expected"), [(0.4, [10, 40]), (0.5, [40])])
    def test_two_peaks_with_a_shallow_valley_are_one_moment(self, valley: float, expected: list[float]) -> None:
        scores = np.maximum(valley, np.maximum(self.bump(10, 0.6), self.bump(40, 0.7)))
        found = intervals(self.TIMES, scores, MomentsConfig())
        assert [one.seconds for one in found] == expected
        assert found[0].begin < 10 < found[0].end

    def test_a_chain_of_shallow_valleys_is_one_moment_and_a_deep_one_ends_it(self) -> None:
        scores = np.maximum(0.5, self.bump(8, 0.6) + self.bump(20, 0.7) + self.bump(32, 0.65))
        scores = np.where(self.TIMES > 38, self.bump(52, 0.6), scores)
        first, second = intervals(self.TIMES, scores, MomentsConfig())
        assert (first.seconds, second.seconds) == (20, 52)
        assert first.end < 40 < second.begin

    def test_a_plateau_at_the_end_counts_at_its_middle(self) -> None:
        scores = np.where(self.TIMES >= 50, 0.8, 0.1)
        (found,) = intervals(self.TIMES, scores, MomentsConfig())
        assert found.seconds == pytest.approx(54.75, abs=0.25)
        assert (found.begin, found.end) == (50, 59.5)

    def test_what_is_visible_all_the_time_is_one_interval(self) -> None:
        (found,) = intervals(self.TIMES, np.full(len(self.TIMES), 0.7), MomentsConfig())
        assert (found.begin, found.end) == (0, 59.5)

    def test_one_segment_is_one_moment(self) -> None:
        assert intervals(np.array([1.5]), np.array([0.7]), MomentsConfig()) == [Interval(1.5, 1.5, 1.5, 0.7)]

    def test_nothing_is_no_moment(self) -> None:
        assert intervals(self.TIMES, np.zeros(len(self.TIMES)), MomentsConfig()) == []


def test_smoothing_is_short_in_a_short_video() -> None:
    config = MomentsConfig()
    assert config.smoothing(600) == config.smooth_seconds == 2.0
    assert config.smoothing(7.5) == 0.5
    assert MomentsConfig(smooth_seconds=0).smoothing(7.5) == 0


class TestMerged:
    MOMENTS = (Interval(5, 2, 8, 0.6), Interval(20, 15, 25, 0.9), Interval(40, 30, 50, 0.7))

    def test_a_place_in_view_again_and_again_is_one_row_with_first_best_and_last_time(self) -> None:
        assert merged(self.MOMENTS, lambda *_: True) == [Interval(20, 2, 50, 0.9)]

    def test_separate_places_stay_separate(self) -> None:
        assert merged(self.MOMENTS, lambda *_: False) == list(self.MOMENTS)

    def test_only_neighbours_merge(self) -> None:
        def first_and_last(one: Interval, other: Interval) -> bool:
            return (one.seconds, other.seconds) == (5, 40)

        assert merged(self.MOMENTS, first_and_last) == list(self.MOMENTS)

    def test_a_moment_may_match_any_of_those_before_it(self) -> None:
        def not_the_last_two(one: Interval, other: Interval) -> bool:
            return one.seconds == 5

        assert merged(self.MOMENTS, not_the_last_two) == [Interval(20, 2, 50, 0.9)]


def buffered(
    times: NDArray[np.float64], scores: NDArray[np.float64], smooth: float, shown: NDArray[np.bool_] | None = None
) -> EvidenceBuffer:
    """Return the buffer of a class after a video with these scores; `shown` says which segments have a picture."""
    buffer = EvidenceBuffer([0], smooth)
    for number, (time, score) in enumerate(zip(times.tolist(), scores.tolist(), strict=True)):
        snapshots = (Snapshot(0, number, time, PICTURE, None),) if shown is None or shown[number] else ()
        buffer.push(Segment(time, np.array([score]), np.zeros(1, np.uint8), 1, snapshots))
    buffer.finish()
    return buffer


class TestEvidenceBuffer:
    @pytest.mark.parametrize("seed", range(5))
    @pytest.mark.parametrize("duration", [8, 60, 600])
    def test_every_moment_has_a_picture_close_to_its_peak(self, seed: int, duration: int) -> None:
        config = MomentsConfig()
        rng, times = np.random.default_rng(seed), np.arange(0.25, duration, 0.5)
        raw = np.clip(smoothed(times, rng.random((len(times), 1)), 3.0) + rng.normal(0, 0.1, (len(times), 1)), 0, 1)
        smooth = config.smoothing(duration)
        buffer = buffered(times, raw[:, 0], smooth)
        scores = smoothed(times, raw, smooth)[:, 0]
        for moment in intervals(times, scores, config):
            peak = buffer.nearest(0, moment.seconds, moment.begin, moment.end)
            assert peak is not None
            assert abs(peak.seconds - moment.seconds) <= 1.0
            best = peak.pictures[0]
            assert abs(best.seconds - peak.seconds) <= CLOSE_SECONDS
            near = np.abs(times - peak.seconds) <= CLOSE_SECONDS
            assert best.scores[0] == raw[near, 0].max()

    def test_the_second_picture_is_a_little_apart(self) -> None:
        times = np.arange(0, 30, 0.5)
        peak = buffered(times, np.exp(-(((times - 12) / 4) ** 2)), 2.0).nearest(0, 12, 0, 30)
        assert peak is not None
        first, second = peak.pictures
        assert first.seconds == 12
        assert abs(second.seconds - 12) == SECOND_SECONDS[0]

    def test_a_high_spike_elsewhere_does_not_displace_a_lasting_peak(self) -> None:
        """Single segments with high scores are no moments once scores are smoothed, and need no pictures."""
        times = np.arange(0, 300, 0.5)
        scores = np.where(np.abs(times - 150) < 4, 0.6, 0.05)
        scores[::20] = 0.9
        peak = buffered(times, scores, 2.0).nearest(0, 150, 145, 155)
        assert peak is not None
        assert abs(peak.pictures[0].seconds - 150) <= 4

    def test_a_segment_without_a_picture_is_replaced_by_a_close_one(self) -> None:
        times = np.arange(0, 30, 0.5)
        peak = buffered(times, np.exp(-(((times - 12) / 4) ** 2)), 2.0, times != 12).nearest(0, 12, 0, 30)
        assert peak is not None
        assert abs(peak.pictures[0].seconds - 12) == 0.5

    def test_a_video_of_one_segment_has_its_picture(self) -> None:
        peak = buffered(np.array([3.0]), np.array([0.4]), 0.2).nearest(0, 0, 0, 0)
        assert peak is not None
        assert [picture.seconds for picture in peak.pictures] == [3.0]

    def test_a_score_that_is_too_low_needs_no_picture(self) -> None:
        assert buffered(np.arange(10.0), np.full(10, 0.01), 2.0).nearest(0, 5, 0, 10) is None

    def test_segments_that_come_late_are_taken(self) -> None:
        """Frames that cannot be decoded are replaced when the video has ended."""
        times = np.append(np.arange(0, 40, 0.5), 10.0)
        scores = np.append(np.full(80, 0.1), 0.8)
        peak = buffered(times, scores, 2.0).nearest(0, 10, 9, 11)
        assert peak is not None
        assert peak.pictures[0].seconds == 10.0

    def test_memory_does_not_grow_with_the_length_of_the_video(self) -> None:
        rng, buffer, used = np.random.default_rng(0), EvidenceBuffer([0], 2.0), []
        tracemalloc.start()
        for number in range(1200):
            snapshot = Snapshot(0, number, number / 2, np.zeros((64, 64, 3), np.uint8), None)
            buffer.push(Segment(number / 2, rng.random(1), np.zeros(100, np.uint8), 1, (snapshot,)))
            used += [tracemalloc.get_traced_memory()[0]] if number in (400, 1199) else []
        tracemalloc.stop()
        assert len(buffer._peaks[0]) <= MAX_PEAKS
        assert used[1] < 1.2 * used[0]


def test_the_nearest_peak_of_the_interval_comes_before_a_nearer_one_outside() -> None:
    buffer = EvidenceBuffer([0], 2.0)
    buffer._peaks[0] = [Peak(4.0, 0.5, ()), Peak(9.0, 0.9, ())]
    inside, none_inside = buffer.nearest(0, 6.0, 5.5, 10.0), buffer.nearest(0, 6.0, 5.5, 7.0)
    assert inside is not None
    assert none_inside is not None
    assert (inside.seconds, none_inside.seconds) == (9.0, 4.0)


@pytest.fixture(scope="module")
def inspector(frame_bundle: Path) -> Inspector:
    return Inspector.load(frame_bundle, device="cpu")


class TextOfRegion:
    """A reader of distances whose regions hold centimetres; 0 cannot be read."""

    def read(self, region: NDArray[np.uint8]) -> Distance | None:
        return Distance(f"{region[0, 0, 0] / 100:.2f} m", region[0, 0, 0] / 100) if region.any() else None


class TestRows:
    """Rows of a class with three separate peaks, seen by a camera that stands, moves, or writes its distance."""

    TIMES = np.arange(0, 60, 0.5)

    def rows(
        self,
        inspector: Inspector,
        monkeypatch: pytest.MonkeyPatch,
        *,
        moving: bool,
        centimetres: tuple[int, int, int] = (0, 0, 0),
    ) -> list[Occurrence]:
        scores = np.max([np.exp(-(((self.TIMES - at) / 3) ** 2)) for at in (10, 30, 50)], axis=0)
        buffer = EvidenceBuffer([0], 2.0)
        for number, (time, score) in enumerate(zip(self.TIMES.tolist(), scores.tolist(), strict=True)):
            texture = np.random.default_rng(number // 40 if moving else 0).integers(0, 256, (6, 8, 3), np.uint8)
            region = np.full((1, 1, 1), centimetres[number // 40], np.uint8)
            snapshot = Snapshot(0, number, time, texture.repeat(40, axis=0).repeat(40, axis=1), region)
            buffer.push(Segment(time, np.array([score]), np.zeros(1, np.uint8), 1, (snapshot,)))
        buffer.finish()
        maker = inspector._evidence_maker
        maker.forget()
        monkeypatch.setattr(maker, "distance", TextOfRegion())
        monkeypatch.setattr(maker, "_maps", lambda *_: np.zeros((1, 1, 1), np.float32))
        moments = intervals(self.TIMES, smoothed(self.TIMES, scores[:, None], 2.0)[:, 0], MomentsConfig())
        assert len(moments) == 3
        return maker.occurrences(0, moments, buffer, {})

    def test_a_standing_camera_makes_one_row(self, inspector: Inspector, monkeypatch: pytest.MonkeyPatch) -> None:
        (row,) = self.rows(inspector, monkeypatch, moving=False)
        assert (row.seconds, row.evidence[0].seconds) in {(at, at) for at in (10, 30, 50)}
        assert row.begin_seconds < 10
        assert row.end_seconds > 50

    def test_a_moving_camera_makes_a_row_per_place(self, inspector: Inspector, monkeypatch: pytest.MonkeyPatch) -> None:
        rows = self.rows(inspector, monkeypatch, moving=True)
        assert [row.seconds for row in rows] == [10, 30, 50]
        assert all(row.evidence[0].seconds == row.seconds for row in rows)
        assert all(row.begin_seconds <= row.evidence[1].seconds <= row.end_seconds for row in rows)

    @pytest.mark.parametrize(("centimetres", "expected"), [((40, 41, 200), [2, 1]), ((40, 120, 200), [1, 1, 1])])
    def test_places_at_one_distance_are_one_row(
        self,
        inspector: Inspector,
        monkeypatch: pytest.MonkeyPatch,
        centimetres: tuple[int, int, int],
        expected: list[int],
    ) -> None:
        rows = self.rows(inspector, monkeypatch, moving=True, centimetres=centimetres)
        peaks = [sum(row.begin_seconds <= at <= row.end_seconds for at in (10, 30, 50)) for row in rows]
        assert peaks == expected

    def test_different_distances_outweigh_a_view_that_looks_the_same(
        self, inspector: Inspector, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert len(self.rows(inspector, monkeypatch, moving=False, centimetres=(40, 120, 200))) == 3

    def test_a_distance_that_cannot_be_read_leaves_the_view(
        self, inspector: Inspector, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert len(self.rows(inspector, monkeypatch, moving=False, centimetres=(40, 0, 200))) == 1
