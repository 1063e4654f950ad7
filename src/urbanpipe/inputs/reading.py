"""Segments of videos as tensors: through the frame cache for videos of a catalog, in one pass for videos from outside."""

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
from urbanpipe.video.decode import FrameIndex, index_frames, read_frames, stream_frames
from urbanpipe.video.probe import digest

T = TypeVar("T")
UNEVEN_SECONDS = 0.1  # further from even spacing than this, a video's own times count
BLOCK = 256  # frames of a cache entry, in order of time: one pass of a long video makes many, and a clip reads one


@dataclass(frozen=True)
class SegmentInputs:
    """What a network sees of one video, or a part of it.

    Attributes:
        images: uint8 (segments, ...), as the view makes them.
        rows: number of each segment among all that are judged of the video, shape (segments,).
        real: frames of each that are not padding, shape (segments,).
        seconds: begin and end of each in the video, shape (segments, 2).
    """

    images: Frames
    rows: Indices
    real: Indices
    seconds: Seconds


def frame_timeline_of(video: Video) -> FrameTimeline:
    """What the catalog knows of a video; the times of frames that are not evenly spaced are read from the file.

    Raises:
        VideoError: the catalog does not have its numbers, or such a file cannot be read.
    """
    if not video.frame_count or not video.duration_seconds:
        raise VideoError(video.path, "its catalog has no frame_count or duration_seconds; run `urbanpipe scan` again")
    if video.uneven_seconds <= UNEVEN_SECONDS:
        return FrameTimeline(video.frame_count, video.duration_seconds)
    return FrameTimeline(video.frame_count, video.duration_seconds, _times(video.path, video.modified_ns))


class CatalogReader:
    """Segments of the videos of a catalog.

    Args:
        view: cuts them.
        cache: where frames are kept; None decodes every time.
    """

    def __init__(self, view: View, cache: FrameCache | None) -> None:
        self.view, self.cache = view, cache

    def training(self, video: Video, seed: SampleSeed) -> SegmentInputs:
        """The augmented segments of one epoch.

        Raises:
            VideoError: the video cannot be read, or is no longer the one that was scanned.
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
        """The plain segments `begin` to `end`, exclusive, of those that are judged. Raises as `training`."""
        timeline = frame_timeline_of(video)
        whole = self.view.evaluation_sample(timeline)
        selection = whole[begin:end]
        frames = self._frames(video, timeline, selection, part=len(selection) < len(whole))
        images = np.stack([self.view.evaluation_input(segment) for segment in frames])
        return SegmentInputs(images, selection.rows, selection.real, timeline.spans(selection.frames))

    def _frames(
        self, video: Video, timeline: FrameTimeline, selection: Selection, part: bool = False
    ) -> NDArray[np.uint8]:
        """Pixels (segments, k, height, width, 3); `part` where other parts of the video are read too."""
        wanted, places = np.unique(selection.frames, return_inverse=True)
        if video.digest:
            unchanged(video, self.cache)
        kept = self.view.cacheable_frames(timeline) if self.cache and video.digest else None
        if self.cache is None or kept is None:
            index = _index(video.path, video.modified_ns) if part else None
            pixels = read_frames(video.path, wanted, self.view.frame_size, index, "conceal")
        else:
            pixels = np.concatenate([*_blocks(self.cache, video, kept, wanted, self.view.frame_size)])
        return pixels[places.reshape(selection.frames.shape)]


@lru_cache(maxsize=4096)
def _times(path: Path, modified_ns: int) -> Seconds:
    return _index(path, modified_ns).times_seconds


@lru_cache(maxsize=2)
def _index(path: Path, modified_ns: int) -> FrameIndex:
    """The index of a video that is read part by part."""
    del modified_ns  # a changed file is another
    return index_frames(path)


def _blocks(
    cache: FrameCache, video: Video, kept: Indices, wanted: Indices, size: tuple[int, int]
) -> Iterator[NDArray[np.uint8]]:
    places = np.searchsorted(kept, wanted)
    parts = [kept[begin : begin + BLOCK] for begin in range(0, len(kept), BLOCK)]
    needed = np.unique(places // BLOCK).tolist()
    if len(parts) > 1 and not all(cache.holds(video.digest, parts[block], size) for block in needed):
        index = _index(video.path, video.modified_ns)
        if not index.timed:  # each block would be decoded from the start of the video
            cache.fill(index, video.digest, parts, size)
    for block in needed:
        inside = places[places // BLOCK == block] - block * BLOCK
        yield cache.frames(video.path, video.digest, parts[block], size=size, only=inside)


def unchanged(video: Video, cache: FrameCache | None) -> None:
    """See that the digest in the catalog, by which cache entries are found, is still that of the file.

    Args:
        video: the row of the catalog.
        cache: keeps for copies, which have another time, that they are of the same content.

    Raises:
        VideoError: it is not, or there is no file.
    """
    try:
        found = video.path.stat()
    except OSError as error:
        raise VideoError(video.path, error.strerror or "cannot be read") from error
    same_size = found.st_size == video.size_bytes
    if same_size and found.st_mtime_ns == video.modified_ns:
        return
    if not same_size or _content(video.path, found.st_mtime_ns, found.st_size, cache) != video.digest:
        raise VideoError(video.path, "changed since it was scanned; run `urbanpipe scan` again")


def _content(path: Path, modified_ns: int, size_bytes: int, cache: FrameCache | None) -> str:
    """The digest of a file, for which all of it is read once: not each time that a frame is wanted."""
    key = f"digest\0{path}\0{modified_ns}\0{size_bytes}".encode(errors="surrogateescape")
    if cache and (kept := cache.read(key)) is not None:
        return kept.decode("ascii")
    found = _digest(path, modified_ns, size_bytes)
    if cache:
        cache.write(key, found.encode("ascii"))
    return found


@lru_cache(maxsize=65_536)
def _digest(path: Path, modified_ns: int, size_bytes: int) -> str:
    del modified_ns, size_bytes  # a changed file is another
    return digest(path)


def stream_segments(path: Path, view: View, most: int) -> Iterator[SegmentInputs]:
    """The plain segments of a video that is in no catalog, in one pass and in memory that its length does not move.

    Args:
        path: the video.
        view: cuts it.
        most: segments at once.

    Raises:
        VideoError: it cannot be read.
    """
    index = index_frames(path)
    timeline = FrameTimeline(index.frame_count, index.duration_seconds, index.times_seconds)
    selection = view.evaluation_sample(timeline)
    images: list[Frames] = []
    for place, frames in enumerate(_streamed(index, selection, view.frame_size)):
        images.append(view.evaluation_input(frames))
        if len(images) == most or place == len(selection) - 1:
            part = selection[place + 1 - len(images) : place + 1]
            yield SegmentInputs(np.stack(images), part.rows, part.real, timeline.spans(part.frames))
            images = []


def _streamed(index: FrameIndex, selection: Selection, size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
    """The frames (k, height, width, 3) of each segment. A frame that cannot be decoded is its nearest neighbour."""
    segments: Assembler[NDArray[np.uint8]] = Assembler(index.path, selection)
    for number, picture in stream_frames(index.path, np.unique(selection.frames), size, index, "conceal"):
        yield from (np.stack(frames) for _, frames in segments.push(number, picture))
    yield from (np.stack(frames) for _, frames in segments.rest())


class Assembler(Generic[T]):
    """Puts frames that come in order of time together to segments, and holds no more of them than later segments need.

    Args:
        path: of the video, for messages.
        selection: the segments.

    Attributes:
        wanted: numbers of the frames that it must be given.
    """

    def __init__(self, path: Path, selection: Selection) -> None:
        self.wanted = frozenset(np.unique(selection.frames).tolist())
        self._path, self._selection = path, selection
        self._lasts = selection.frames.max(axis=1)
        self._needed_later = np.minimum.accumulate(selection.frames.min(axis=1)[::-1])[::-1]
        self._held: dict[int, T] = {}
        self._place, self._reached = 0, -1

    def push(self, number: int, frame: T) -> Iterator[tuple[int, list[T]]]:
        """Take a frame; give the segments that are complete now, with their place in the selection."""
        self._held[number], self._reached = frame, number
        while self._place < len(self._selection) and self._lasts[self._place] <= number:
            yield self._next()

    def rest(self) -> Iterator[tuple[int, list[T]]]:
        """The segments that still wait for frames, which did not come; their nearest neighbours stand for them.

        Raises:
            VideoError: no frame came at all.
        """
        while self._place < len(self._selection):
            yield self._next()

    def _next(self) -> tuple[int, list[T]]:
        if not self._held:
            raise VideoError(self._path, "no frame of it can be decoded")
        place, have = self._place, np.array([*self._held])
        wanted = self._selection.frames[place]
        frames = [self._held[int(have[np.abs(have - number).argmin()])] for number in wanted]
        self._place += 1
        after = self._needed_later[self._place] if self._place < len(self._selection) else self._reached
        self._held = {n: kept for n, kept in self._held.items() if n >= after or n == self._reached}
        return place, frames
