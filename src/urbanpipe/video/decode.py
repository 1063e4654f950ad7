"""Exact frame access by number or time: every frame is the one that decoding the whole video would give.

Decoding starts at the nearest keyframe that the wanted frames do not reach back across, and skips pictures that no
other picture depends on. Where a file does not allow that (no presentation times, false keyframes), decoding starts at
the first frame. The number of seeks is at most a small multiple of the number of wanted frames.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from av.video.frame import PictureType, VideoFrame
from numpy.typing import ArrayLike, NDArray

from urbanpipe.errors import VideoError
from urbanpipe.video.container import OpenVideo, open_video
from urbanpipe.video.frames import Shown, decode_all, decode_packets
from urbanpipe.video.index import FrameIndex, index_frames, quick_index
from urbanpipe.video.packet_scan import MAX_REORDER_PACKETS
from urbanpipe.video.picture import deinterlaced, to_rgb
from urbanpipe.video.resizing import Pixels, check_size
from urbanpipe.video.seeking import CannotSeekError, packets_from

__all__ = ["FrameIndex", "index_frames", "read_frames", "read_frames_at", "stream_decoded", "stream_frames"]

OnDamage = Literal["raise", "conceal"]
log = logging.getLogger(__name__)


class Found(NamedTuple):
    """A wanted frame; `frame` is None if it could not be decoded."""

    number: int
    frame: VideoFrame | None
    damaged: bool


def read_frames(
    path: Path,
    indices: ArrayLike,
    size: tuple[int, int] | None = None,
    index: FrameIndex | None = None,
    on_damage: OnDamage = "raise",
) -> Pixels:
    """Return the frames at `indices` as RGB.

    Args:
        path: the video.
        indices: frame numbers, counted in presentation order, shape (n,); in any order, repeats allowed.
        size: (width, height) to resize to; None keeps the displayed size.
        index: index of this video, from `index_frames`; None creates one.
        on_damage: what to do if corrupt data reached a wanted frame. "raise" raises an error; "conceal" takes the
            decoder's repaired picture, or the nearest wanted frame if there is none, and logs one warning.

    Returns:
        uint8, shape (n, height, width, 3).

    Raises:
        VideoError: the video cannot be read, an index is out of range, or a wanted frame is damaged (see `on_damage`).
    """
    wanted = np.asarray(indices)
    if wanted.ndim != 1 or (wanted.size and not np.issubdtype(wanted.dtype, np.integer)):
        raise ValueError(f"indices must be a list of whole numbers, not {wanted.dtype} of shape {wanted.shape}")
    check_size(size)
    numbers, places = np.unique(wanted.astype(np.int64), return_inverse=True)
    with open_video(path, on_damage == "raise") as video:
        index = index or quick_index(video)
        _check_range(index, numbers)
        width, height = size or (index.width, index.height)
        pictures = np.empty((len(numbers), height, width, 3), dtype=np.uint8)
        got = np.zeros(len(numbers), dtype=bool)
        for found in _undamaged(index, _found(video, index, numbers), on_damage):
            if found.frame is not None:
                place = np.searchsorted(numbers, found.number)
                pictures[place], got[place] = to_rgb(found.frame, index, (width, height)), True
    if not got.all():
        _fill_gaps(index, numbers, pictures, got, on_damage)
    return pictures[places]


def read_frames_at(
    path: Path,
    seconds: ArrayLike,
    size: tuple[int, int] | None = None,
    index: FrameIndex | None = None,
    on_damage: OnDamage = "raise",
) -> Pixels:
    """Return the frames on screen at `seconds` after the first frame, shape (n,), as RGB.

    Everything else is as in `read_frames`.
    """
    index = index or index_frames(path)
    return read_frames(path, index.frame_at(np.asarray(seconds, dtype=np.float64)), size, index, on_damage)


def stream_frames(
    path: Path,
    indices: ArrayLike | None = None,
    size: tuple[int, int] | None = None,
    index: FrameIndex | None = None,
    on_damage: OnDamage = "raise",
) -> Iterator[tuple[int, Pixels]]:
    """Yield (frame number, RGB picture) in presentation order, in constant memory.

    Everything else is as in `read_frames`.

    Args:
        path: the video.
        indices: the wanted frames; each is yielded once, in presentation order. None: all.
        size: (width, height) to resize to; None keeps the displayed size.
        index: index of this video, from `index_frames`; None creates one.
        on_damage: "raise" or "conceal"; when concealing, a frame that cannot be decoded is left out.
    """
    check_size(size)
    with open_video(path, on_damage == "raise") as video:
        index = index or quick_index(video)
        for found in _shown(video, index, indices, on_damage):
            if found.frame is not None:
                yield found.number, to_rgb(found.frame, index, size)


def stream_decoded(index: FrameIndex, indices: ArrayLike, on_damage: OnDamage = "raise") -> Iterator[Found]:
    """Yield the frames at `indices` as decoded, for callers that need each at several sizes (`to_rgb`).

    Args:
        index: index of the video, from `index_frames`.
        indices: as in `stream_frames`.
        on_damage: as in `stream_frames`.
    """
    with open_video(index.path, on_damage == "raise") as video:
        yield from _shown(video, index, indices, on_damage)


def _shown(video: OpenVideo, index: FrameIndex, indices: ArrayLike | None, on_damage: OnDamage) -> Iterator[Found]:
    numbers: NDArray[np.int64] | None = None
    if indices is not None:
        numbers = np.unique(np.asarray(indices, dtype=np.int64))
        _check_range(index, numbers)
    elif index.frame_count:
        numbers = np.arange(index.frame_count)
    yield from _undamaged(index, _found(video, index, numbers), on_damage)


def _check_range(index: FrameIndex, numbers: NDArray[np.int64]) -> None:
    beyond = numbers[(numbers < 0) | ((numbers >= index.frame_count) & (index.frame_count > 0))]
    if beyond.size:
        raise VideoError(index.path, f"no frame {beyond[0]}; it has frames 0 to {index.frame_count - 1}")


def _undamaged(index: FrameIndex, found: Iterator[Found], on_damage: OnDamage) -> Iterator[Found]:
    """Yield the frames; raise an error for damaged ones, or warn once."""
    warned = False
    for one in found:
        if one.damaged and on_damage == "raise":
            raise VideoError(index.path, f"frame {one.number} is damaged: corrupt data")
        if one.damaged and not warned:
            log.warning("%s: corrupt data; frame %d may differ from the recording", index.path, one.number)
            warned = True
        yield one


def _fill_gaps(
    index: FrameIndex, numbers: NDArray[np.int64], pictures: Pixels, got: NDArray[np.bool_], on_damage: OnDamage
) -> None:
    if on_damage == "raise":
        raise VideoError(index.path, f"frame {numbers[~got][0]} cannot be decoded")
    if not got.any():
        pictures[0], got[0] = _nearest_of_all(index, int(numbers[0]), pictures.shape[2:0:-1]), True
    for place in np.flatnonzero(~got):
        nearest = np.flatnonzero(got)[np.argmin(np.abs(numbers[got] - numbers[place]))]
        pictures[place] = pictures[nearest]


def _nearest_of_all(index: FrameIndex, wanted: int, size: tuple[int, ...]) -> Pixels:
    numbers = {int(packet): number for number, packet in enumerate(index.packet_of)}
    best: tuple[int, VideoFrame] | None = None
    for count, shown in enumerate(decode_all(index.path)):
        away = abs(numbers.get(shown.packet, count) - wanted)
        if best is None or away < best[0]:
            best = away, shown.frame
    if best is None:
        raise VideoError(index.path, "no frame of it can be decoded")
    return to_rgb(best[1], index, (size[0], size[1]))


def _found(video: OpenVideo, index: FrameIndex, numbers: NDArray[np.int64] | None) -> Iterator[Found]:
    """Yield the frames `numbers` (ascending; None: all), deinterlaced."""
    if numbers is not None and not numbers.size:
        return
    if index.interlaced:
        yield from _with_neighbours(video, index, numbers)
        return
    for done, one in enumerate(_raw(video, index, numbers)):
        if one.frame is not None and one.frame.interlaced_frame:  # interlaced from here on
            rest = _with_neighbours(video, index, None if numbers is None else numbers[done:])
            yield from (other for other in rest if other.number >= one.number)
            return
        yield one


def _with_neighbours(video: OpenVideo, index: FrameIndex, numbers: NDArray[np.int64] | None) -> Iterator[Found]:
    wanted, asked = None, numbers
    if numbers is not None:
        wanted = set(numbers.tolist())
        asked = np.unique(np.concatenate([numbers - 1, numbers, numbers + 1]))
        asked = asked[(asked >= 0) & ((asked < index.frame_count) | (index.frame_count == 0))]
    before, now = None, None
    for after in _and_none(_raw(video, index, asked)):
        if now is not None and (wanted is None or now.number in wanted):
            yield _at_one_moment(before, now, after)
        before, now = now, after


def _and_none(found: Iterator[Found]) -> Iterator[Found | None]:
    yield from found
    yield None


def _at_one_moment(before: Found | None, now: Found, after: Found | None) -> Found:
    if now.frame is None:
        return now
    previous = before.frame if before and before.number == now.number - 1 else None
    following = after.frame if after and after.number == now.number + 1 else None
    return now._replace(frame=deinterlaced(previous, now.frame, following))


def _raw(video: OpenVideo, index: FrameIndex, numbers: NDArray[np.int64] | None) -> Iterator[Found]:
    if index.timed:
        return _sought(video, index, np.arange(index.frame_count) if numbers is None else numbers)
    return _counted(video, index, numbers)


def _counted(video: OpenVideo, index: FrameIndex, numbers: NDArray[np.int64] | None) -> Iterator[Found]:
    wanted = None if numbers is None else set(numbers.tolist())
    if video.fresh:  # opening a file again reads megabytes of MPEG-PS
        frames = decode_packets(video.stream, enumerate(video.packets()), None, index.torn)
    else:
        frames = decode_all(index.path, index.torn, video.strict)
    for number, shown in enumerate(frames):
        if wanted is None or number in wanted:
            yield Found(number, shown.frame, shown.damaged)
            if numbers is not None and number == numbers[-1]:
                return


def _sought(video: OpenVideo, index: FrameIndex, numbers: NDArray[np.int64]) -> Iterator[Found]:
    done = 0
    try:
        for start, run in _runs(index, numbers):
            for found in _decode_run(video, index, start, run):
                yield found
                done += 1
    except CannotSeekError:
        log.debug("%s: no exact seeking; decoding from the start", index.path)
        yield from _from_the_start(index, numbers[done:], video.strict)


def _from_the_start(index: FrameIndex, numbers: NDArray[np.int64], strict: bool) -> Iterator[Found]:
    with open_video(index.path, strict) as video:
        try:
            yield from _decode_run(video, index, 0, numbers)
        except CannotSeekError:
            raise VideoError(index.path, "it changed while it was read") from None


def _runs(index: FrameIndex, numbers: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Split the wanted frames where seeking ahead saves decoding; yield (first packet, frames)."""
    starts = index.start_of[numbers]
    reached = np.maximum.accumulate(index.packet_of[numbers])
    cuts = np.flatnonzero(starts[1:] > reached[:-1] + 1) + 1
    for run in np.split(np.arange(len(numbers)), cuts):
        yield int(starts[run[0]]), numbers[run]


def _decode_run(video: OpenVideo, index: FrameIndex, start: int, run: NDArray[np.int64]) -> Iterator[Found]:
    """Yield the frames `run`, in order, decoded from packet `start` on.

    Raises:
        CannotSeekError: `start` is not a keyframe after all, or a frame is missing although nothing is damaged.
    """
    wanted = {int(index.packet_of[number]): int(number) for number in run}
    numbered = packets_from(video, index, start, max(wanted))
    waiting = [int(number) for number in reversed(run)]
    early: dict[int, Shown] = {}
    started = start == 0
    for shown in decode_packets(video.stream, numbered, {start, *wanted}, index.torn):
        if shown.packet == start and not started:
            started = shown.frame.key_frame and shown.frame.pict_type == PictureType.I
        if shown.packet not in wanted:
            continue
        if not started:
            raise CannotSeekError
        early[wanted[shown.packet]] = shown
        latest = shown.packet - MAX_REORDER_PACKETS
        while waiting and (waiting[-1] in early or index.packet_of[waiting[-1]] < latest):
            yield _next(waiting.pop(), early, start)
    while waiting:
        yield _next(waiting.pop(), early, start)


def _next(number: int, early: dict[int, Shown], start: int) -> Found:
    """Return the next frame, which the decoder has shown or never will."""
    if (shown := early.pop(number, None)) is not None:
        return Found(number, shown.frame, shown.damaged)
    return _lost(number, start, any(other.damaged for other in early.values()))


def _lost(number: int, start: int, damaged: bool) -> Found:
    if start and not damaged:
        raise CannotSeekError
    return Found(number, None, True)
