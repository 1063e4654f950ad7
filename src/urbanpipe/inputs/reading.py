"""Reading of segments: through the frame cache for videos of a catalog, in one pass for other videos."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from urbanpipe.catalog.catalog_file import Video
from urbanpipe.errors import VideoError
from urbanpipe.inputs.frame_timeline import FrameTimeline, Indices, SampleSeed, Seconds, Selection
from urbanpipe.inputs.view import Frames, View
from urbanpipe.video.cache import FrameCache
from urbanpipe.video.index import FrameIndex
from urbanpipe.video.isolated import digest, index_frames, read_frames, stream_frames

T = TypeVar("T")
UNEVEN_SECONDS = 0.1  # for larger deviations from even spacing, the frame times are read from the file
BLOCK = 256  # consecutive frames per cache entry: a long video has several entries, and a clip reads only one of them


@dataclass(frozen=True)
class SegmentInputs:
    """Network inputs of all or some segments of a video.

    Attributes:
        images: uint8 (segments, ...), in the shape of the view.
        rows: index of each segment among all evaluated segments of the video, shape (segments,).
        real: number of frames of each segment that are not padding, shape (segments,).
        seconds: begin and end of each segment in the video, shape (segments, 2).
    """

    images: Frames
    rows: Indices
    real: Indices
    seconds: Seconds


def frame_timeline_of(video: Video) -> FrameTimeline:
    """Return the timeline of a video from the catalog; times of unevenly spaced frames are read from the file.

    Raises:
        VideoError: the catalog lacks frame count or duration, or the file cannot be read.
    """
    if not video.frame_count or not video.duration_seconds:
        raise VideoError(video.path, "its catalog has no frame_count or duration_seconds; run `urbanpipe scan` again")
    times = None if video.uneven_seconds <= UNEVEN_SECONDS else _times(video.path, video.modified_ns)
    moments = tuple(seconds for _, seconds in video.moments)
    return FrameTimeline(video.frame_count, video.duration_seconds, times, moments)


class CatalogReader:
    """Reader of the segments of a catalog's videos.

    Args:
        view: how the method cuts a video into segments.
        cache: frame cache; None decodes frames every time.
    """

    def __init__(self, view: View, cache: FrameCache | None) -> None:
        self.view, self.cache = view, cache

    def training(self, video: Video, seed: SampleSeed) -> SegmentInputs:
        """Return the augmented segments of one epoch.

        Raises:
            VideoError: the video cannot be read, or has changed since it was scanned.
        """
        timeline = frame_timeline_of(video)
        selection = self.view.training_sample(timeline, seed)
        frames = self._frames(video, timeline, selection)
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed.torch_seed)
            images = np.stack([self.view.training_input(segment) for segment in frames])
        return SegmentInputs(images, selection.rows, selection.real, timeline.spans(selection.frames))

    def evaluation_sample(self, video: Video, begin: int, end: int) -> SegmentInputs:
        """Return the evaluated segments `begin` to `end` (exclusive), without augmentation.

        Raises:
            VideoError: the video cannot be read, or has changed since it was scanned.
        """
        timeline = frame_timeline_of(video)
        whole = self.view.evaluation_sample(timeline)
        selection = whole[begin:end]
        frames = self._frames(video, timeline, selection, part=len(selection) < len(whole))
        images = np.stack([self.view.evaluation_input(segment) for segment in frames])
        return SegmentInputs(images, selection.rows, selection.real, timeline.spans(selection.frames))

    def has_stored(self, video: Video) -> bool:
        """Return whether the cache has all frames of a video that the view may ask for.

        Raises:
            VideoError: the video is missing, or has changed since it was scanned.
        """
        kept = self.view.cacheable_frames(frame_timeline_of(video)) if self.cache and video.digest else None
        if self.cache is None or kept is None:
            return False
        parts = (kept[begin : begin + BLOCK] for begin in range(0, len(kept), BLOCK))
        if not all(self.cache.holds(video.digest, part, self.view.frame_size) for part in parts):
            return False
        unchanged(video, self.cache)
        return True

    def _frames(
        self, video: Video, timeline: FrameTimeline, selection: Selection, part: bool = False
    ) -> NDArray[np.uint8]:
        """Return pixels (segments, k, height, width, 3); `part` if other parts of the video will be read too."""
        wanted, inverse = np.unique(selection.frames, return_inverse=True)
        if video.digest:
            unchanged(video, self.cache)
        kept = self.view.cacheable_frames(timeline) if self.cache and video.digest else None
        if self.cache is None or kept is None:
            index = _index(video.path, video.modified_ns) if part else None
            pixels = read_frames(video.path, wanted, self.view.frame_size, index, "conceal")
        else:
            pixels = np.concatenate([*_blocks(self.cache, video, kept, wanted, self.view.frame_size)])
        return pixels[inverse.reshape(selection.frames.shape)]


@lru_cache(maxsize=4096)
def _times(path: Path, modified_ns: int) -> Seconds:
    return _index(path, modified_ns).times_seconds


@lru_cache(maxsize=2)
def _index(path: Path, modified_ns: int) -> FrameIndex:
    """Return the frame index of a video that is read part by part."""
    del modified_ns  # part of the cache key: a changed file is indexed again
    return index_frames(path)


def _blocks(
    cache: FrameCache, video: Video, kept: Indices, wanted: Indices, size: tuple[int, int]
) -> Iterator[NDArray[np.uint8]]:
    indices = np.searchsorted(kept, wanted)
    parts = [kept[begin : begin + BLOCK] for begin in range(0, len(kept), BLOCK)]
    needed = np.unique(indices // BLOCK).tolist()
    if len(parts) > 1 and not all(cache.holds(video.digest, parts[block], size) for block in needed):
        index = _index(video.path, video.modified_ns)
        if not index.timed:  # without seeking, each block would be decoded from the start of the video
            cache.fill(index, video.digest, parts, size)
    for block in needed:
        inside = indices[indices // BLOCK == block] - block * BLOCK
        yield cache.frames(video.path, video.digest, parts[block], size=size, only=inside)


def unchanged(video: Video, cache: FrameCache | None) -> None:
    """Check that a file still has the digest in the catalog, which is the key of its cache entries.

    Args:
        video: row of the catalog.
        cache: stores the digests of copies, whose modification time differs from the catalog.

    Raises:
        VideoError: the digest differs, or the file is missing.
    """
    try:
        status = video.path.stat()
    except OSError as error:
        raise VideoError(video.path, error.strerror or "cannot be read") from error
    same_size = status.st_size == video.size_bytes
    if same_size and status.st_mtime_ns == video.modified_ns:
        return
    if not same_size or _content(video.path, status.st_mtime_ns, status.st_size, cache) != video.digest:
        raise VideoError(video.path, "changed since it was scanned; run `urbanpipe scan` again")


def _content(path: Path, modified_ns: int, size_bytes: int, cache: FrameCache | None) -> str:
    """Return the digest of a file; cached, because it requires reading the whole file."""
    key = f"digest\0{path}\0{modified_ns}\0{size_bytes}".encode(errors="surrogateescape")
    if cache and (kept := cache.read(key)) is not None:
        return kept.decode("ascii")
    computed = _digest(path, modified_ns, size_bytes)
    if cache:
        cache.write(key, computed.encode("ascii"))
    return computed


@lru_cache(maxsize=65_536)
def _digest(path: Path, modified_ns: int, size_bytes: int) -> str:
    del modified_ns, size_bytes  # part of the cache key: a changed file is read again
    return digest(path)


def stream_segments(path: Path, view: View, most: int) -> Iterator[SegmentInputs]:
    """Yield the evaluated segments of a video without a catalog, in one pass and in constant memory.

    Args:
        path: the video.
        view: how the method cuts a video into segments.
        most: largest number of segments at once.

    Raises:
        VideoError: the video cannot be read.
    """
    index = index_frames(path)
    timeline = FrameTimeline(index.frame_count, index.duration_seconds, index.times_seconds)
    selection = view.evaluation_sample(timeline)
    images: list[Frames] = []
    for row, frames in enumerate(_streamed(index, selection, view.frame_size)):
        images.append(view.evaluation_input(frames))
        if len(images) == most or row == len(selection) - 1:
            part = selection[row + 1 - len(images) : row + 1]
            yield SegmentInputs(np.stack(images), part.rows, part.real, timeline.spans(part.frames))
            images = []


def _streamed(index: FrameIndex, selection: Selection, size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames (k, height, width, 3) of each segment; the nearest frame replaces one that cannot be decoded."""
    segments: Assembler[NDArray[np.uint8]] = Assembler(index.path, selection)
    for number, picture in stream_frames(index.path, np.unique(selection.frames), size, index, "conceal"):
        yield from (np.stack(frames) for _, frames in segments.push(number, picture))
    yield from (np.stack(frames) for _, frames in segments.rest())


class Assembler(Generic[T]):
    """Assembles frames that arrive in order of time into segments, and holds only those that later segments need.

    Args:
        path: path of the video, for messages.
        selection: the segments.

    Attributes:
        wanted: numbers of the frames to push.
    """

    def __init__(self, path: Path, selection: Selection) -> None:
        self.wanted = frozenset(np.unique(selection.frames).tolist())
        self._path, self._selection = path, selection
        self._lasts = selection.frames.max(axis=1)
        self._needed_later = np.minimum.accumulate(selection.frames.min(axis=1)[::-1])[::-1]
        self._held: dict[int, T] = {}
        self._place, self._reached = 0, -1

    def push(self, number: int, frame: T) -> Iterator[tuple[int, list[T]]]:
        """Add a frame; yield the segments that it completes, with their index in the selection."""
        self._held[number], self._reached = frame, number
        while self._place < len(self._selection) and self._lasts[self._place] <= number:
            yield self._next()

    def rest(self) -> Iterator[tuple[int, list[T]]]:
        """Yield the incomplete segments, with the nearest frames in place of the missing ones.

        Raises:
            VideoError: no frame was pushed.
        """
        while self._place < len(self._selection):
            yield self._next()

    def _next(self) -> tuple[int, list[T]]:
        if not self._held:
            raise VideoError(self._path, "no frame of it can be decoded")
        row, have = self._place, np.array([*self._held])
        wanted = self._selection.frames[row]
        frames = [self._held[int(have[np.abs(have - number).argmin()])] for number in wanted]
        self._place += 1
        after = self._needed_later[self._place] if self._place < len(self._selection) else self._reached
        self._held = {n: kept for n, kept in self._held.items() if n >= after or n == self._reached}
        return row, frames
