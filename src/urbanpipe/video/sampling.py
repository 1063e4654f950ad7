"""Frame sampling: small pure functions from frame counts or times to frame indices.

Every function returns int64 indices in presentation order, each in [0, frame_count).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
SLACK_SECONDS = 5e-7  # times come from a container's ticks and are not exact multiples of the gap


def uniform(frame_count: int, n: int) -> Indices:
    """Return the middle frames of `n` equal segments: floor((i + 0.5) * frame_count / n), shape (n,).

    In a video of fewer than `n` frames, some repeat.

    Raises:
        ValueError: `frame_count` or `n` is below one.

    Example:
        >>> uniform(100, 4).tolist(), uniform(2, 4).tolist()
        ([12, 37, 62, 87], [0, 0, 1, 1])
    """
    _check(frame_count=frame_count, n=n)
    return (2 * np.arange(n, dtype=np.int64) + 1) * frame_count // (2 * n)


def jittered(frame_count: int, n: int, rng: np.random.Generator) -> Indices:
    """Return one random frame of each of `n` equal segments, shape (n,); for training.

    Segment i holds the frames from floor(i * frame_count / n) up to but excluding floor((i + 1) * frame_count / n). A
    segment without a frame of its own (fewer frames than segments) gives the frame that it lies in.

    Raises:
        ValueError: `frame_count` or `n` is below one.
    """
    _check(frame_count=frame_count, n=n)
    edges = np.arange(n + 1, dtype=np.int64) * frame_count // n
    first, last = edges[:-1], np.maximum(edges[1:] - 1, edges[:-1])
    return rng.integers(first, last, endpoint=True, dtype=np.int64)


def sequence(frame_count: int, n: int, start: int) -> Indices:
    """Return `n` consecutive frames from `start`, shape (n,); past the end, the last frame repeats.

    Raises:
        ValueError: `frame_count` or `n` is below one, or `start` is not a frame of the video.
    """
    _check(frame_count=frame_count, n=n)
    if not 0 <= start < frame_count:
        raise ValueError(f"start is {start}; a video of {frame_count} frames has 0 to {frame_count - 1}")
    return np.minimum(start + np.arange(n, dtype=np.int64), frame_count - 1)


def interval(times_seconds: NDArray[np.float64], every_seconds: float) -> Indices:
    """Return the frames on screen at 0, t, 2t, ... seconds after the first frame, without repeats.

    Args:
        times_seconds: presentation time of every frame, shape (frames,), ascending; the frame rate may vary.
        every_seconds: t, > 0.

    Raises:
        ValueError: `times_seconds` is empty, descending or not finite, or `every_seconds` is not a positive number.
    """
    times = np.asarray(times_seconds, dtype=np.float64)
    if times.ndim != 1 or times.size == 0 or not np.isfinite(times).all() or (np.diff(times) < 0).any():
        raise ValueError("times_seconds must be a list of at least one finite, ascending time")
    if not (np.isfinite(every_seconds) and every_seconds > 0):
        raise ValueError(f"every_seconds is {every_seconds}; it must be a positive number")
    starts = times - times[0]
    ends = np.append(starts[1:] - SLACK_SECONDS, starts[-1] + SLACK_SECONDS)
    next_due = np.ceil((starts - SLACK_SECONDS) / every_seconds) * every_seconds
    return np.flatnonzero(next_due < ends).astype(np.int64)


def near(
    times_seconds: NDArray[np.float64],
    moments_seconds: Sequence[float],
    window_seconds: float,
    n: int,
    rng: np.random.Generator,
) -> Indices:
    """Return `n` frames near moments, shape (n,): a random frame in the window of a random moment each; for training.

    Args:
        times_seconds: time of every frame, shape (frames,), ascending.
        moments_seconds: the moments, at least one.
        window_seconds: largest distance of a frame to its moment; where no frame is so near, the nearest is returned.
        n: number of frames.
        rng: source of randomness.
    """
    chosen = rng.choice(np.asarray(moments_seconds, dtype=np.float64), size=n)
    away = np.abs(times_seconds - chosen[:, None])
    near_enough = away <= np.maximum(window_seconds, away.min(axis=1, keepdims=True))
    return np.array([rng.choice(np.flatnonzero(row)) for row in near_enough], dtype=np.int64)


def clip_grid(frame_count: int, length: int, stride: int) -> tuple[Indices, NDArray[np.bool_]]:
    """Return all clips of `length` frames, `stride` apart, on hops of length * stride: no moment is left out.

    Returns:
        Indices (clips, length) and a mask (clips, length), False where the last clip is padded by repeating its last
        frame. clips = ceil(frame_count / (length * stride)).

    Raises:
        ValueError: an argument is below one.
    """
    _check(frame_count=frame_count, length=length, stride=stride)
    clips = -(-frame_count // (length * stride))
    wanted = np.arange(clips * length, dtype=np.int64).reshape(clips, length) * stride
    last = (frame_count - 1) // stride * stride
    return np.minimum(wanted, last), wanted < frame_count


def _check(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} is {count}; it must be at least 1")
