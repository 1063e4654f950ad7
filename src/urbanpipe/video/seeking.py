"""Reach a packet of a video by its number: seek to a keyframe, or read on where that reads less."""

from collections.abc import Iterator
from itertools import islice

import av.error
import numpy as np
from av.packet import Packet
from av.video.stream import VideoStream

from urbanpipe.video.container import OpenVideo
from urbanpipe.video.frames import NumberedPacket
from urbanpipe.video.index import FrameIndex

SEEK_TRIES = 3
MAX_PASSED_PACKETS = 60  # of MPEG-TS, in which FFmpeg searches for times: passing over so many packets reads less


class CannotSeekError(Exception):
    """The file does not match its index: decode it from the start."""


def packets_from(video: OpenVideo, index: FrameIndex, start: int, last: int) -> Iterator[NumberedPacket]:
    """Yield packets `start` to `last` with their numbers.

    Raises:
        CannotSeekError: packet `start` does not come after any of the keyframes before it.
    """
    passed = _passed_over(video, index, start)
    yield start, _sought(video, index, start) if passed is None else passed
    yield from enumerate(islice(video.packets(), last - start), start + 1)
    video.following = last + 1


def _passed_over(video: OpenVideo, index: FrameIndex, start: int) -> "Packet[VideoStream] | None":
    """Return packet `start` if it comes so soon that passing over those before it is cheaper than seeking."""
    following = video.following
    if following is None or "mpegts" not in video.container.format.name:
        return None
    if not 0 <= start - following <= MAX_PASSED_PACKETS:
        return None
    video.stream.codec_context.flush_buffers()  # the decoder was drained
    packet = next(islice(video.packets(), start - following, None), None)
    has_come = packet is not None and packet.pts is not None and index.packet_at.get(packet.pts) == start
    return packet if has_come else None


def _sought(video: OpenVideo, index: FrameIndex, start: int) -> "Packet[VideoStream]":
    """Return packet `start`, read from one of the keyframes before it."""
    before = index.keyframes[: np.searchsorted(index.keyframes, start) + 1]
    for key in reversed(before[-SEEK_TRIES:]):
        if start or not video.fresh:
            _seek(video, int(index.pts[key]))
        for packet in video.packets():
            number = -1 if packet.pts is None else index.packet_at.get(packet.pts, -1)
            if number == start:
                return packet
            if not 0 <= number < start:
                break
    raise CannotSeekError


def _seek(video: OpenVideo, ticks: int) -> None:
    try:
        video.seek(ticks)
    except (av.error.FFmpegError, OSError):
        raise CannotSeekError from None
