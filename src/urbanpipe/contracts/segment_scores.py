"""Scores of the segments of videos: one row of class scores per frame or clip."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from urbanpipe.contracts.names import canonical_name, shortened
from urbanpipe.errors import PredictionError
from urbanpipe.outputs import whole_file
from urbanpipe.taxonomy import Taxonomy

_ARRAYS = ("codes", "names", "starts", "seconds", "scores")


@dataclass(frozen=True, eq=False)
class SegmentScores:
    """Scores of the m segments of n videos.

    Attributes:
        names: the videos, each once.
        starts: (n + 1,) int64; the segments of video i are the rows starts[i]:starts[i + 1], in order of time, at least
            one.
        seconds: (m, 2) float64, begin and end of every segment in its video; equal for a single frame.
        scores: (m, C) float64 in [0, 1], classes in the order of the taxonomy.
    """

    names: tuple[str, ...]
    starts: NDArray[np.int64]
    seconds: NDArray[np.float64]
    scores: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit each other.

        Raises:
            ValueError: shapes that do not fit, a name twice, or a video without segments.
        """
        n, m = len(self.names), len(self.scores)
        if self.starts.shape != (n + 1,) or self.seconds.shape != (m, 2) or self.scores.ndim != 2:
            shapes = f"starts {self.starts.shape}, seconds {self.seconds.shape}, scores {self.scores.shape}"
            raise ValueError(f"{n} names need starts ({n + 1},), seconds (m, 2) and scores (m, C), not {shapes}")
        if len(set(self.names)) != n:
            raise ValueError("a video is listed twice; list each once, with all its segments")
        if self.starts[0] != 0 or self.starts[-1] != m or (np.diff(self.starts) < 1).any():
            raise ValueError(f"starts must rise from 0 to {m}, at least one segment per video")

    @cached_property
    def rows(self) -> dict[str, slice]:
        """Rows of every video."""
        edges = self.starts.tolist()
        return {name: slice(edges[row], edges[row + 1]) for row, name in enumerate(self.names)}

    def of(self, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return begins and ends (k, 2) and scores (k, C) of the k segments of a video.

        Raises:
            PredictionError: there is no such video.
        """
        if name not in self.rows:
            raise PredictionError(f"there are no segments of video {name!r}")
        return self.seconds[self.rows[name]], self.scores[self.rows[name]]


def joined(parts: Sequence[SegmentScores]) -> SegmentScores:
    """Return the segments of several sets of videos as one, in their order.

    Raises:
        ValueError: there are no parts, or their numbers of classes differ.
        PredictionError: a video is in two parts.
    """
    names = tuple(name for part in parts for name in part.names)
    if twice := sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []:
        raise PredictionError(f"segments of the same video come from two places, {shortened(twice)}")
    lengths = np.concatenate([np.diff(part.starts) for part in parts])
    return SegmentScores(
        names=names,
        starts=np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]),
        seconds=np.concatenate([part.seconds for part in parts]),
        scores=np.concatenate([part.scores for part in parts]),
    )


def write_segment_scores(segments: SegmentScores, path: Path, taxonomy: Taxonomy) -> None:
    """Write an npz with the arrays codes, names, starts, seconds and scores, at full precision and without pickle.

    Raises:
        ValueError: the scores are not of the taxonomy's classes.
        PredictionError: a score or a time that `read_segment_scores` would refuse; nothing is written.
        OutputError: the file cannot be written.
    """
    path = Path(path)
    if segments.scores.shape[1] != len(taxonomy):
        raise ValueError(f"scores {segments.scores.shape} must be (m, {len(taxonomy)})")
    _check_values(segments, path, taxonomy)
    with whole_file(path, "wb") as file:
        np.savez_compressed(
            file,
            codes=np.array(taxonomy.codes),
            names=np.array(segments.names),
            starts=segments.starts.astype(np.int64),
            seconds=segments.seconds.astype(np.float64),
            scores=segments.scores.astype(np.float64),
        )


def read_segment_scores(path: Path, taxonomy: Taxonomy) -> SegmentScores:
    """Read a file of `write_segment_scores`.

    Raises:
        PredictionError: the file is missing, damaged or of other classes; a score is NaN or outside [0, 1]; times are
            not numbers, run backwards or begin before the video does.
    """
    path = Path(path)
    arrays = _arrays(path)
    codes = tuple(arrays["codes"].tolist())
    if codes != taxonomy.codes:
        raise PredictionError(
            f"{path} has the classes {_listed(codes)}, not {_listed(taxonomy.codes)} of {taxonomy.name}; "
            "give the taxonomy that it was made with"
        )
    names = tuple(canonical_name(name) for name in arrays["names"].tolist())
    try:
        segments = SegmentScores(names, arrays["starts"], arrays["seconds"], arrays["scores"])
    except ValueError as error:
        raise PredictionError(f"{path} is damaged: {error}") from error
    if segments.scores.shape[1] != len(taxonomy):
        raise PredictionError(f"{path} is damaged: scores {segments.scores.shape} for {len(taxonomy)} classes")
    _check_values(segments, path, taxonomy)
    return segments


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of the file by name, after checking their data types."""
    if not path.is_file():
        raise PredictionError(f"cannot read the segments {path}: no such file; give an .npz of segments")
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: np.asarray(file[name]) for name in _ARRAYS}
    except Exception as error:  # numpy and zipfile raise many kinds of errors for a file that is cut or altered
        text = (str(error).splitlines() or [""])[0][:80]
        raise PredictionError(
            f"{path} is damaged or not a file of segments ({type(error).__name__}: {text})"
        ) from error
    for name, kind in zip(_ARRAYS, "UUiff", strict=True):
        if arrays[name].dtype.kind != kind or (kind == "U" and arrays[name].ndim != 1):
            raise PredictionError(f"{path} is damaged: {name} is {arrays[name].dtype} {arrays[name].shape}")
    return arrays


def _check_values(segments: SegmentScores, path: Path, taxonomy: Taxonomy) -> None:
    bad = ~((segments.scores >= 0.0) & (segments.scores <= 1.0))
    if bad.any():
        row, column = np.argwhere(bad)[0].tolist()
        value = f"{segments.scores[row, column]} for {taxonomy.codes[column]} at {segments.seconds[row, 0]:g} s"
        raise PredictionError(f"{path}: {_video_of(segments, row)} has {value}; expected a number in [0, 1]")
    begins, ends = segments.seconds.T
    wrong = ~(np.isfinite(begins) & np.isfinite(ends) & (begins >= 0.0) & (ends >= begins))
    later = np.ones(len(wrong), dtype=bool)
    later[1:] = (np.diff(segments.seconds, axis=0) >= 0.0).all(axis=1)
    later[segments.starts[:-1]] = True
    if (odd := np.flatnonzero(wrong | ~later)).size:
        row = int(odd[0])
        times = f"a segment from {begins[row]:g} to {ends[row]:g} s"
        raise PredictionError(
            f"{path}: {_video_of(segments, row)} has {times}; segments must begin at 0 or later, end after they begin "
            "and be in order of time"
        )


def _video_of(segments: SegmentScores, row: int) -> str:
    return segments.names[int(np.searchsorted(segments.starts, row, side="right")) - 1]


def _listed(codes: Sequence[str]) -> str:
    return " ".join(codes[:4]) + (f" ... ({len(codes)})" if len(codes) > 4 else "")
