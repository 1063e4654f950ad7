from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from urbanpipe.contracts.segment_scores import SegmentScores, joined, read_segment_scores, write_segment_scores
from urbanpipe.errors import OutputError, PredictionError
from urbanpipe.evaluation.peaks import peaks, smoothed, suppressed
from urbanpipe.taxonomy import DefectClass, Taxonomy

SMALL = Taxonomy("small", tuple(DefectClass(i, code, code) for i, code in enumerate(("OK", "AB"))), exclusive="OK")
OTHER = Taxonomy("other", tuple(DefectClass(i, code, code) for i, code in enumerate(("OK", "CD"))))


def segments(**changes: Any) -> SegmentScores:
    fields: dict[str, Any] = {
        "names": ("a.mp4", "管 b.mp4"),
        "starts": np.array([0, 3, 4]),
        "seconds": np.array([[0.0, 1.0], [0.5, 1.5], [1.0, 1.5], [0.0, 0.0]]),
        "scores": np.array([[0.1, 1 / 3], [0.0, 1.0], [0.5, 0.25], [0.3, 0.2]]),
    }
    return SegmentScores(**(fields | changes))


def scores_with(value: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    scores = segments().scores.copy()
    scores[1, 1] = value
    return scores


def times_with(row: int, begin: float, end: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    seconds = segments().seconds.copy()
    seconds[row] = begin, end
    return seconds


def test_a_file_gives_back_every_digit(tmp_path: Path) -> None:
    write_segment_scores(segments(), tmp_path / "new" / "p.npz", SMALL)
    found = read_segment_scores(tmp_path / "new" / "p.npz", SMALL)
    assert found.names == segments().names
    for name in ("starts", "seconds", "scores"):
        assert (getattr(found, name) == getattr(segments(), name)).all()
    seconds, scores = found.of("管 b.mp4")
    assert (seconds.tolist(), scores.tolist()) == ([[0.0, 0.0]], [[0.3, 0.2]])
    with pytest.raises(PredictionError, match=r"no segments of video 'c\.mp4'"):
        found.of("c.mp4")


def test_parts_are_joined_in_their_order() -> None:
    other = segments(names=("c.mp4", "d.mp4"))
    whole = joined([segments(), other])
    assert whole.names == ("a.mp4", "管 b.mp4", "c.mp4", "d.mp4")
    assert whole.starts.tolist() == [0, 3, 4, 7, 8]
    assert (whole.of("c.mp4")[1] == other.of("c.mp4")[1]).all()
    with pytest.raises(PredictionError, match=r"1 video: a\.mp4"):
        joined([segments(), segments(names=("a.mp4", "d.mp4"))])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": ("a", "a")}, "twice"),
        ({"names": ("a",)}, "starts"),
        ({"starts": np.array([0, 3, 3])}, "starts must rise from 0 to 4"),
        ({"starts": np.array([0, 0, 4])}, "at least one segment"),
        ({"starts": np.array([1, 3, 4])}, "starts must rise"),
        ({"seconds": np.zeros((4, 3))}, "seconds"),
        ({"scores": np.zeros(4)}, "scores"),
    ],
)
def test_arrays_that_do_not_fit(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        segments(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": scores_with(float("nan"))}, r"a\.mp4 has nan for AB at 0\.5 s; expected a number in \[0, 1\]"),
        ({"scores": scores_with(1.5)}, "has 1.5 for AB"),
        ({"scores": scores_with(-0.1)}, "has -0.1 for AB"),
        ({"seconds": times_with(3, -1.0, 0.0)}, "管 b.mp4 has a segment from -1 to 0 s"),
        ({"seconds": times_with(0, 1.0, 0.5)}, "from 1 to 0.5 s"),
        ({"seconds": times_with(1, 5.0, 6.0)}, "from 1 to 1.5 s; .* in order of time"),
        ({"seconds": times_with(2, 1.0, float("inf"))}, "to inf s"),
    ],
)
def test_values_that_no_segment_has(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = tmp_path / "p.npz"
    with pytest.raises(PredictionError, match=message):
        write_segment_scores(segments(**changes), path, SMALL)
    assert list(tmp_path.iterdir()) == []
    bad = segments(**changes)
    np.savez(path, codes=["OK", "AB"], names=bad.names, starts=bad.starts, seconds=bad.seconds, scores=bad.scores)
    with pytest.raises(PredictionError, match=message) as caught:
        read_segment_scores(path, SMALL)
    assert str(path) in str(caught.value)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[60:160] = bytes(100)
    path.write_bytes(content)


def rewritten(**changes: Any) -> Callable[[Path], None]:
    """Damage: the file with other arrays; None leaves one out."""

    def write(path: Path) -> None:
        with np.load(path) as file:
            arrays = dict(file) | changes
        np.savez(path, allow_pickle=True, **{name: array for name, array in arrays.items() if array is not None})

    return write


def bare_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.ones(3))


DAMAGE = [
    cut,
    flip,
    rewritten(names=np.array(["a", None], dtype=object)),
    rewritten(names=None),
    rewritten(names=np.array("a")),
    rewritten(starts=np.array([0.0, 3.0, 4.0])),
    rewritten(scores=np.ones((4, 2), dtype=int)),
    rewritten(scores=np.ones((3, 2))),
    rewritten(scores=np.ones((4, 1))),
    bare_array,
    lambda path: path.write_bytes(b""),
    lambda path: path.write_text("no npz"),
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_files_are_named_in_one_line(tmp_path: Path, damage: Callable[[Path], Any]) -> None:
    path = tmp_path / "p.npz"
    write_segment_scores(segments(), path, SMALL)
    damage(path)
    with pytest.raises(PredictionError, match="damaged") as caught:
        read_segment_scores(path, SMALL)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_and_other_classes(tmp_path: Path) -> None:
    with pytest.raises(PredictionError, match="no such file"):
        read_segment_scores(tmp_path / "p.npz", SMALL)
    with pytest.raises(PredictionError, match="no such file"):
        read_segment_scores(tmp_path, SMALL)
    write_segment_scores(segments(), tmp_path / "p.npz", SMALL)
    with pytest.raises(PredictionError, match="has the classes OK AB, not OK CD of other"):
        read_segment_scores(tmp_path / "p.npz", OTHER)
    with pytest.raises(OutputError):
        write_segment_scores(segments(), tmp_path / "p.npz" / "q.npz", SMALL)


def test_smoothing_is_a_gaussian_mean_over_real_time() -> None:
    times = np.array([0.0, 1.0, 1.1, 4.0, 30.0])
    scores = np.array([[0.0, 1.0], [1.0, 1.0], [0.2, 1.0], [0.4, 1.0], [0.9, 1.0]])
    found = smoothed(times, scores, 2.0)
    weights = [np.exp(-((t - 1.0) ** 2) / 8) for t in times]
    assert found[1, 0] == pytest.approx(np.dot(weights, scores[:, 0]) / sum(weights), abs=1e-6)
    assert (found[:, 1] == 1.0).all(), "what is constant stays so, at the ends too"
    assert found[4, 0] == 0.9, "what is far does not count"
    assert (smoothed(times, scores, 0.0) == scores).all()


def test_smoothing_in_blocks_is_that_of_the_whole() -> None:
    rng = np.random.default_rng(0)
    times = np.sort(rng.random(1300) * 100)
    scores = rng.random((1300, 3))
    weights = np.exp(-0.5 * ((times[:, None] - times) / 1.5) ** 2)
    expected = weights @ scores / weights.sum(axis=1, keepdims=True)
    assert np.allclose(smoothed(times, scores, 1.5), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.1, 0.9, 0.2], [(1.0, 0.9)]),
        ([0.9, 0.5, 0.1], [(0.0, 0.9)]),
        ([0.1, 0.5, 0.5, 0.5, 0.2], [(2.0, 0.5)]),
        ([0.1, 0.5, 0.5], [(1.5, 0.5)]),
        ([0.1, 0.5, 0.5, 0.6, 0.1], [(3.0, 0.6)]),
        ([0.4, 0.4, 0.4], [(1.0, 0.4)]),
        ([0.4], [(0.0, 0.4)]),
        ([0.3, 0.1, 0.2, 0.1, 0.4], [(0.0, 0.3), (4.0, 0.4)]),
    ],
)
def test_peaks_by_hand(scores: list[float], expected: list[tuple[float, float]]) -> None:
    seconds, heights = peaks(np.arange(len(scores), dtype=float), np.array(scores), 0.2)
    assert list(zip(seconds.tolist(), heights.tolist(), strict=True)) == expected


def test_suppression_by_hand() -> None:
    seconds = np.array([0.0, 4.0, 5.0, 9.0, 20.0])
    heights = np.array([0.5, 0.9, 0.8, 0.7, 0.1])
    assert suppressed(seconds, heights, 5.0, 9) == [1, 3, 4], "5 s apart is far enough; 0 and 5 are too near to 4"
    assert suppressed(seconds, heights, 4.5, 2) == [1, 3]
    assert suppressed(seconds, heights, 0.0, 9) == [1, 2, 3, 0, 4]
    assert suppressed(np.array([1.0, 2.0]), np.array([0.5, 0.5]), 5.0, 9) == [0], "of equals the first"
