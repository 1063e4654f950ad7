"""Reading of videos in a process of their own: a video that crashes or hangs the decoder costs that video alone.

The functions do what those of `decode.py` and `probe.py` do, and raise `VideoError` for whatever happens in the
decoder. Every verb reads videos through this module.
"""

import stat
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from urbanpipe.errors import VideoError
from urbanpipe.video.decode import OnDamage
from urbanpipe.video.decoder_messages import DecodedPicture
from urbanpipe.video.decoders import Decoders, shared_decoders
from urbanpipe.video.index import FrameIndex
from urbanpipe.video.probe import VideoInfo
from urbanpipe.video.probe import digest as file_digest
from urbanpipe.video.read_ahead import ReadAhead
from urbanpipe.video.resizing import Pixels, resized
from urbanpipe.video.stream_facts import StreamFacts

T = TypeVar("T")
Size = tuple[int, int]
PART_PICTURES = 24  # of a part of a video; as many as a process reads ahead
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def check_regular(path: Path) -> None:
    """Check that a path is a regular file, without opening it.

    Raises:
        VideoError: it is missing, or something else: opening a named pipe would wait forever.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise VideoError(path, "no such file") from None
    except (OSError, ValueError) as error:
        raise VideoError(path, f"cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if not stat.S_ISREG(mode):
        raise VideoError(path, f"{_KINDS.get(stat.S_IFMT(mode), 'not a regular file')}, not a video")


def digest(path: Path) -> str:
    """Return the content address of a video file.

    Raises:
        VideoError: it is not a regular file, or can no longer be read.
    """
    path = Path(path)
    check_regular(path)
    try:
        return file_digest(path)
    except OSError as error:
        raise VideoError(path, error.strerror or "cannot be read") from error


def probe(path: Path, thorough: bool = False, decoders: Decoders = shared_decoders) -> VideoInfo:
    """Probe a video; see `urbanpipe.video.probe.probe`.

    Args:
        path: the file.
        thorough: also decode every frame.
        decoders: processes to use.

    Raises:
        VideoError: the video cannot be read.
    """
    path = Path(path)
    check_regular(path)
    info: VideoInfo = _only(decoders.ask("probe", path, thorough))
    return info


def index_frames(path: Path, thorough: bool = False, *, hashed: bool = False) -> FrameIndex:
    """Return the index of a video; see `urbanpipe.video.index.index_frames`.

    Args:
        path: the file.
        thorough: also decode every frame.
        hashed: also compute the digest of the file, in the same pass.

    Raises:
        VideoError: the video cannot be read.
    """
    path = Path(path)
    check_regular(path)
    index: FrameIndex = _only(shared_decoders.ask("index", path, thorough, hashed))
    return index


def stream_facts(path: Path) -> StreamFacts:
    """Return how a video is stored; see `urbanpipe.video.stream_facts.stream_facts`.

    Raises:
        VideoError: the video cannot be read.
    """
    path = Path(path)
    check_regular(path)
    facts: StreamFacts = _only(shared_decoders.ask("stream", path))
    return facts


def read_frames(
    path: Path,
    indices: ArrayLike,
    size: Size | None = None,
    index: FrameIndex | None = None,
    on_damage: OnDamage = "raise",
) -> Pixels:
    """Return the frames at `indices` as RGB, equal to those of `urbanpipe.video.decode.read_frames`.

    Raises:
        VideoError: the video cannot be read, an index is out of range, or a wanted frame is damaged (see `on_damage`).
    """
    path, wanted = Path(path), np.asarray(indices)
    if wanted.ndim != 1 or (wanted.size and not np.issubdtype(wanted.dtype, np.integer)):
        raise ValueError(f"indices must be a list of whole numbers, not {wanted.dtype} of shape {wanted.shape}")
    numbers, positions = np.unique(wanted.astype(np.int64), return_inverse=True)
    check_regular(path)
    answers = shared_decoders.ask("pictures", path, numbers, on_damage, index=index)
    shown_size: Size = next(answers)
    width, height = size or shown_size
    pictures = np.empty((len(numbers), height, width, 3), dtype=np.uint8)
    decoded = np.zeros(len(numbers), dtype=bool)
    for picture in answers:
        if picture.pixels is not None:
            position = np.searchsorted(numbers, picture.number)
            pictures[position], decoded[position] = resized(picture.pixels, (width, height)), True
    if not decoded.all():
        _fill_gaps(path, index, numbers, pictures, decoded=decoded, on_damage=on_damage)
    return pictures[positions]


def _fill_gaps(
    path: Path,
    index: FrameIndex | None,
    numbers: NDArray[np.int64],
    pictures: Pixels,
    *,
    decoded: NDArray[np.bool_],
    on_damage: OnDamage,
) -> None:
    """Put the nearest decoded frame in place of each that could not be decoded."""
    if on_damage == "raise":
        raise VideoError(path, f"frame {numbers[~decoded][0]} cannot be decoded")
    if not decoded.any():
        nearest: DecodedPicture = _only(shared_decoders.ask("nearest", path, int(numbers[0]), index=index))
        assert nearest.pixels is not None, "the request fails if there is none"
        pictures[0], decoded[0] = resized(nearest.pixels, pictures.shape[2:0:-1]), True
    have = np.flatnonzero(decoded)
    for position in np.flatnonzero(~decoded):
        pictures[position] = pictures[have[np.argmin(np.abs(numbers[have] - numbers[position]))]]


def stream_frames(
    path: Path,
    indices: ArrayLike,
    size: Size | None = None,
    index: FrameIndex | None = None,
    on_damage: OnDamage = "raise",
) -> Iterator[tuple[int, Pixels]]:
    """Yield (frame number, RGB picture) in presentation order; see `urbanpipe.video.decode.stream_frames`.

    Raises:
        VideoError: the video cannot be read.
    """
    path = Path(path)
    check_regular(path)
    numbers = np.unique(np.asarray(indices, dtype=np.int64))
    answers = shared_decoders.ask("pictures", path, numbers, on_damage, index=index)
    shown_size: Size = next(answers)
    for picture in answers:
        if picture.pixels is not None:
            yield picture.number, resized(picture.pixels, size or shown_size)


def stream_pictures(
    index: FrameIndex, indices: ArrayLike, on_damage: OnDamage = "raise", decoders: int = 1
) -> Iterator[DecodedPicture]:
    """Yield the frames at `indices` as large as they were decoded, also those that could not be decoded.

    They are decoded ahead of the caller (`ReadAhead`), so that the decoder works while the caller does.

    Args:
        index: index of the video.
        indices: the wanted frames; each is yielded once, in presentation order.
        on_damage: as in `read_frames`.
        decoders: processes that decode parts of the video at the same time, where it can be parted at keyframes and no
            damage is known.

    Raises:
        VideoError: the video cannot be read.
    """
    numbers = np.unique(np.asarray(indices, dtype=np.int64))
    running = deque[ReadAhead]()
    try:
        for part in _parts(index, numbers) if decoders > 1 else [numbers]:
            running.append(ReadAhead(_pictures(index, part, on_damage)))
            if len(running) == decoders:
                yield from running.popleft()
        while running:
            yield from running.popleft()
    finally:
        for ahead in running:
            ahead.close()


def _parts(index: FrameIndex, numbers: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Split frames where decoding begins anew at a keyframe, so that no picture is decoded twice."""
    if not index.timed or index.damage or index.torn.size:
        return [numbers]
    cuts, begin = [], 0
    for place in (np.flatnonzero(np.diff(index.start_of[numbers])) + 1).tolist():
        if place - begin >= PART_PICTURES:
            cuts.append(place)
            begin = place
    return np.split(numbers, cuts)


def _pictures(index: FrameIndex, numbers: NDArray[np.int64], on_damage: OnDamage) -> Iterator[DecodedPicture]:
    answers = shared_decoders.ask("pictures", index.path, numbers, on_damage, index=index)
    next(answers)
    yield from answers


def _only(answers: Iterator[T]) -> T:
    (value,) = answers
    return value
