"""Intervals of a timeline, and the frames kept as evidence."""

import numpy as np
import pytest
from numpy.typing import NDArray

from urbanpipe.decision.localization import MomentsConfig
from urbanpipe.inspection.evidence import intervals
from urbanpipe.inspection.evidence_buffer import APART_SECONDS, MOST, Candidate, EvidenceBuffer


class TestIntervals:
    TIMES = np.arange(0, 60, 0.5)

    def bump(self, at: float, height: float) -> NDArray[np.float64]:
        found: NDArray[np.float64] = height * np.exp(-(((self.TIMES - at) / 3) ** 2))
        return found

    def test_peaks_half_as_high_as_the_best_are_moments(self) -> None:
        scores = self.bump(10, 0.8) + self.bump(30, 0.5) + self.bump(50, 0.2)
        found = intervals(self.TIMES, scores, MomentsConfig())
        assert [one.seconds for one in found] == [10, 30]
        assert found[0].begin == pytest.approx(10 - 3 * np.sqrt(np.log(2)), abs=0.5)
        assert found[0].end == pytest.approx(10 + 3 * np.sqrt(np.log(2)), abs=0.5)

    def test_stretches_of_near_peaks_part_at_the_lowest_place_between_them(self) -> None:
        scores = np.maximum(self.bump(10, 0.9), np.maximum(self.bump(40, 0.6), 0.33))
        first, second = intervals(self.TIMES, scores, MomentsConfig())
        assert (first.seconds, second.seconds) == (10, 40)
        assert 10 < first.end <= second.begin < 40

    def test_what_is_seen_all_the_time_is_one_stretch(self) -> None:
        (found, *_) = intervals(self.TIMES, np.full(len(self.TIMES), 0.7), MomentsConfig())
        assert (found.begin, found.end) == (0, 59.5)

    def test_nothing_is_no_moment(self) -> None:
        assert intervals(self.TIMES, np.zeros(len(self.TIMES)), MomentsConfig()) == []


def test_candidates_are_few_apart_and_the_best() -> None:
    rng = np.random.default_rng(0)
    times, scores = np.arange(0, 1000, 1.0), rng.random(1000)
    kept = EvidenceBuffer([0])
    for at, score in zip(times, scores, strict=True):
        row = np.array([score])
        if labels := kept.wants(float(at), row):
            kept.add(Candidate(float(at), row, np.zeros(1, np.uint8), 1, ()), labels)
    found = kept.between(0, 0, 1000)
    assert len(found) == MOST
    assert found[0].scores[0] == scores.max()
    apart = np.diff(np.sort([one.seconds for one in found]))
    assert apart.min() >= APART_SECONDS
    assert min(one.scores[0] for one in found) > np.quantile(scores, 0.9)
