"""Exact frames of videos as JPEG pictures."""

import threading
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from urbanpipe.errors import VideoError
from urbanpipe.review.media.indices import IndexCache
from urbanpipe.review.media.player_times import frame_shown, seek_seconds
from urbanpipe.video.index import FrameIndex, Times
from urbanpipe.video.isolated import read_frames, stream_pictures

QUALITY = 90
AT_ONCE = 2
NEAR_FRAMES = 500  # decoding so many frames takes less than a second


class Stills:
    """Gives single frames as JPEG; safe to call from several threads.

    Every frame is the one that decoding the whole video would give. What a damaged video lacks is replaced by the
    decoder's repaired picture, or by the nearest frame.

    Args:
        indices: frame indices, which may be shared with others; None: its own.
        quality: JPEG quality, 1 to 100.
        at_once: number of frames that are decoded at the same time, each in a process of its own; further callers wait.
    """

    def __init__(self, indices: IndexCache | None = None, *, quality: int = QUALITY, at_once: int = AT_ONCE) -> None:
        if not 1 <= quality <= 100:
            raise ValueError(f"quality is {quality}; it must be 1 to 100")
        self.indices = indices or IndexCache()
        self._quality = quality
        self._turns = threading.BoundedSemaphore(at_once)

    def count(self, path: Path) -> int:
        """Return the number of frames of a video.

        Raises:
            VideoError: the video cannot be read.
        """
        return self.indices.index(path).frame_count

    def times(self, path: Path) -> Times:
        """Return the time of each frame after the first, in seconds, shape (frames,), ascending.

        Raises:
            VideoError: the video cannot be read.
        """
        return self.indices.index(path).times_seconds

    def is_quick(self, path: Path, n: int) -> bool:
        """Return whether a frame can be decoded within about a second.

        In files whose packets do not tell their times (AVI, MPEG program streams, raw streams, joined recordings),
        frames can only be counted from the start.

        Raises:
            VideoError: the video cannot be read.
        """
        return self.indices.index(path).timed or n <= NEAR_FRAMES

    def frame(self, path: Path, n: int, *, max_width: int | None = None, proxy: Path | None = None) -> bytes:
        """Return a frame as JPEG.

        Args:
            path: the video.
            n: frame number, from 0.
            max_width: largest width and largest height, in pixels; None: as large as the video is displayed.
            proxy: proxy of the video (`ProxyCache.proxy`), from which the same frame is taken if the video's own is
                not quick: coarser, but within a second. None: always the video's own.

        Raises:
            VideoError: the video cannot be read, or has no such frame.
        """
        index = self.indices.index(path)
        if not 0 <= n < index.frame_count:
            raise VideoError(path, f"no frame {n}; it has frames 0 to {index.frame_count - 1}")
        source, number = index, n
        if proxy is not None and not self.is_quick(path, n):
            source = self.indices.index(proxy)
            number = frame_shown(source, float(seek_seconds(index, np.array(n))))
        with self._turns:
            pixels = _pixels(source, number)
        return _jpeg(pixels, _size(index, max_width), self._quality)

    def frame_at(self, path: Path, seconds: float, *, max_width: int | None = None, proxy: Path | None = None) -> bytes:
        """Return the frame on screen at a time after the first frame, in seconds, as JPEG.

        Everything else is as in `frame`.
        """
        index = self.indices.index(path)
        return self.frame(path, int(index.frame_at(np.array(seconds))), max_width=max_width, proxy=proxy)


def _pixels(index: FrameIndex, number: int) -> NDArray[np.uint8]:
    """Return a frame as it was decoded; uint8, shape (height, width, 3)."""
    (picture,) = stream_pictures(index, [number], "conceal")
    if picture.pixels is not None:
        return picture.pixels
    nearest: NDArray[np.uint8] = read_frames(index.path, [number], index=index, on_damage="conceal")[0]
    return nearest


def _size(index: FrameIndex, max_width: int | None) -> tuple[int, int]:
    if max_width is not None and max_width < 1:
        raise ValueError(f"max_width is {max_width}; it must be at least 1")
    longest = max(index.width, index.height)
    share = 1.0 if max_width is None else min(1.0, max_width / longest)
    return max(1, round(index.width * share)), max(1, round(index.height * share))


def _jpeg(pixels: NDArray[np.uint8], size: tuple[int, int], quality: int) -> bytes:
    image = Image.fromarray(pixels)
    if image.size != size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    with BytesIO() as file:
        image.save(file, "JPEG", quality=quality)
        return file.getvalue()
