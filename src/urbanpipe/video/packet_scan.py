"""Packet scan: one pass over the packets of a video, for frame times and damage of the file."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import av.error
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from urbanpipe.errors import VideoError
from urbanpipe.video.clock import Clock, clock_of
from urbanpipe.video.container import OpenVideo
from urbanpipe.video.container_gaps import lost_places
from urbanpipe.video.file_end import cut_at, outer_damage, unfinished
from urbanpipe.video.frames import JOIN_PACKETS, NumberedPacket, decode_packets

# Containers whose packets have presentation times that can be used for seeking, and codecs in which a packet is a
# picture. In all others, frames are found by counting the output of the decoder.
TIMED_CONTAINERS = frozenset({"mp4", "matroska", "mpegts"})
TIMED_CODECS = frozenset({"h264", "hevc", "mpeg4", "mpeg2video", "mjpeg", "vp9", "av1"})
MAX_REORDER_PACKETS = 32  # a decoder holds at most 16 pictures; times further out of order belong to joined recordings
UNREAD_SHARE, UNREAD_BYTES = 0.05, 16_384  # a hole larger than both is not a header or index
ZEROS = bytes(16)
DISORDERED = "corrupt: presentation times contradict the order of the pictures"


@dataclass
class PacketScan:
    """Properties of the packets of a video, in decoding order.

    Attributes:
        container: "mp4" (also QuickTime), "matroska" (also WebM), or FFmpeg's first name of the format.
        codec: FFmpeg's codec name.
        tick_seconds: unit of the times.
        frame_seconds: frame duration by the header; used only if nothing better is known.
        pts: presentation times in ticks; None for a packet without one.
        dts: decoding times in ticks; None for a packet without one.
        durations: durations in ticks; 0 if unknown.
        keyframes: numbers of the packets marked as keyframes.
        hidden: whether a packet is decoded but not presented (before the start of an edit list).
        begins: byte positions in the file where packets begin; empty if unknown.
        ends: byte positions where packets end; empty if unknown.
        reorder_depth: number of pictures that the decoder holds back to show them in order.
        left_out: the other video streams, in words.
        alone: whether this is the only stream in the file.
        breaks: byte positions of container gaps.
        cut: whether the file ends within an element of its container.
        unfinished: whether it lacks the index that its writer adds at the end.
        marked: numbers of the packets that the container marks as corrupt, or that begin with zeros only.
        broken: "", or where reading stopped before the end.
        first: the first frame that can be decoded.
        counted: packet, presentation time in ticks and damage of every frame, by decoding the whole video without
            regard to `breaks`; None if only the first frame was decoded.
    """

    container: str
    codec: str
    tick_seconds: Fraction
    frame_seconds: float
    pts: list[int | None] = field(default_factory=list)
    dts: list[int | None] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)
    keyframes: list[int] = field(default_factory=list)
    hidden: list[bool] = field(default_factory=list)
    begins: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    reorder_depth: int = 0
    left_out: tuple[str, ...] = ()
    alone: bool = True
    breaks: list[int] = field(default_factory=list)
    cut: bool = False
    unfinished: bool = False
    marked: list[int] = field(default_factory=list)
    broken: str = ""
    first: VideoFrame | None = None
    counted: list[tuple[int, int | None, bool]] | None = None

    @property
    def torn(self) -> list[int]:
        """Packets after which bytes are missing: later packets may be missing, and the end of this one overwritten."""
        end = self.begins[-1] if self.begins else 0
        return sorted({max(bisect_right(self.begins, at), 1) - 1 for at in self.breaks if at < end})

    @property
    def may_be_timed(self) -> bool:
        """Whether `timed` can be true, by container and codec alone."""
        return self.container in TIMED_CONTAINERS and self.codec in TIMED_CODECS

    @property
    def timed(self) -> bool:
        """Whether packets are identified by their time, and sorting by it gives the presentation order."""
        if not self.may_be_timed or self.marked or self.broken:
            return False
        if self.container == "mpegts" and self.first is not None and self.first.interlaced_frame:
            return False  # there, each field of a frame may be a packet of its own
        if not self.keyframes or self.keyframes[0] != 0 or any(pts is None for pts in self.pts):
            return False
        if self.clock.jumps.size or self.disordered:
            return False
        pts = np.array(self.pts, dtype=np.int64)
        shown = pts[~np.array(self.hidden)]
        starts_whole = shown.size and shown.min() >= pts[0]
        return bool(starts_whole and len(self.pts) == np.unique(pts).size)

    @cached_property
    def clock(self) -> Clock:
        """The time stamps without wraps and wrong values, and the jumps between them."""
        return clock_of(
            self.pts, self.dts, self.tick_seconds, self.container, keyframes=self.keyframes, lossy=self.marked
        )

    @cached_property
    def disordered(self) -> bool:
        """Whether presentation times contradict the order in which the decoder shows the pictures."""
        if not self.may_be_timed:
            return False
        depths = [_reordering(ticks) for ticks in np.split(self.clock.ticks, self.clock.jumps)]
        return max(depths) > min(self.reorder_depth, MAX_REORDER_PACKETS)


def _reordering(ticks: NDArray[np.float64]) -> int:
    """Return by how many packets one comes after another that is shown later."""
    known = ticks[~np.isnan(ticks)]
    ahead = np.argsort(known, kind="stable") - np.arange(len(known))
    return int(ahead.max(initial=0))


def packet_scan(video: OpenVideo, counting: bool = False) -> PacketScan:
    """Read every packet of a freshly opened video once, and decode its first frame.

    Args:
        video: the video.
        counting: decode all frames if they cannot be found by the times of packets, as container and codec say.

    Raises:
        VideoError: the video has no pictures, or none can be decoded.
    """
    found = _header(video.container, video.stream)
    found.left_out = tuple(_description(other) for other in video.others)
    if counting and not found.may_be_timed:
        _count_frames(video, found)
    else:
        for _, packet in _noted(video, found):
            if found.first is None:
                found.first = _first_frame(video.stream, packet)
        if found.first is None:
            found.first = _first_frame(video.stream, None)
    found.reorder_depth = video.stream.codec_context.reorder_depth
    if len(found.ends) < len(found.pts):
        found.begins, found.ends = [], []
    breaks = lost_places(video.path, found.container, found.begins)
    found.breaks = _within(video.path.stat().st_size, breaks, found)
    found.cut = bool(breaks) and cut_at(video.path, found.container, breaks[-1])
    found.unfinished = unfinished(video.path, found.container)
    if not found.pts:
        raise VideoError(video.path, "no frames")
    if found.first is None:
        raise VideoError(video.path, "no frame of it can be decoded")
    return found


def _noted(video: OpenVideo, found: PacketScan) -> Iterator[NumberedPacket]:
    """Yield the packets, noted, up to the end or to where reading stops."""
    try:
        for number, packet in enumerate(video.packets()):
            _note(found, number, packet)
            yield number, packet
    except (av.error.FFmpegError, OSError):
        found.broken = f"corrupt: reading stops after {len(found.pts)} packets"


def _count_frames(video: OpenVideo, found: PacketScan) -> None:
    found.counted = []
    for shown in decode_packets(video.stream, _noted(video, found)):
        found.first = found.first or shown.frame
        found.counted.append((shown.packet, shown.frame.pts, shown.damaged))


def damage(path: Path, found: PacketScan) -> str:
    """Return what is wrong with the file, as far as that shows without decoding; "" if nothing is."""
    if outer := outer_damage(path):
        return outer
    if found.cut:
        return "truncated: the file ends within a block"
    joins = {keyframe - ahead for keyframe in found.keyframes for ahead in range(1, JOIN_PACKETS + 1)}
    if corrupt := sum(number not in joins for number in found.marked):
        return f"corrupt packets: {corrupt} of {len(found.pts)}"
    size = path.stat().st_size
    if found.breaks:
        return f"corrupt: bytes are missing in {len(found.breaks)} places, first at {found.breaks[0]} of {size}"
    return found.broken or _unread(size, found) or (DISORDERED if found.disordered else "")


def _header(container: InputContainer, stream: VideoStream) -> PacketScan:
    rate = stream.average_rate or stream.guessed_rate
    return PacketScan(
        container="mp4" if "mp4" in container.format.name else container.format.name.split(",")[0],
        codec=stream.codec_context.codec.canonical_name,  # of the codec, not of its decoder (libdav1d)
        tick_seconds=stream.time_base or Fraction(0),
        frame_seconds=1 / float(rate) if rate else 0.04,
        alone=len(container.streams) == 1,
    )


def _description(stream: VideoStream) -> str:
    context = stream.codec_context
    return "unknown codec" if context is None else f"{context.width}x{context.height} {context.name}"


def _note(found: PacketScan, number: int, packet: "Packet[VideoStream]") -> None:
    found.pts.append(packet.pts)
    found.dts.append(packet.dts)
    found.durations.append(packet.duration or 0)
    found.hidden.append(packet.is_discard)
    zeroed = found.codec in TIMED_CODECS and bytes(memoryview(packet)[: len(ZEROS)]) == ZEROS
    if packet.is_corrupt or zeroed:
        found.marked.append(number)
    if packet.is_keyframe:
        found.keyframes.append(number)
    if packet.pos is not None and packet.pos >= 0:
        found.begins.append(packet.pos)
        found.ends.append(packet.pos + packet.size)


def _first_frame(stream: VideoStream, packet: "Packet[VideoStream] | None") -> VideoFrame | None:
    try:
        frames = stream.codec_context.decode(packet)
    except av.error.FFmpegError:
        return None
    return frames[0] if frames else None


def _within(size: int, breaks: list[int], found: PacketScan) -> list[int]:
    """Return the gaps without the padding that some recorders leave after the last frame."""
    end = found.begins[-1] if found.begins else 0
    hole = max(UNREAD_BYTES, UNREAD_SHARE * size)
    return [at for at in breaks if at < end or size - at > hole]


def _unread(size: int, found: PacketScan) -> str:
    """Return damage if a large part of a file that holds only video gave no frames; otherwise ""."""
    if (
        not found.ends or not found.alone or found.container == "mp4"
    ):  # the table of contents of an MP4 says where frames are
        return ""
    begins = np.array([*found.begins[1:], size])
    gaps = begins - np.array(found.ends)
    worst = int(np.argmax(gaps))
    if gaps[worst] <= max(UNREAD_BYTES, UNREAD_SHARE * size):
        return ""
    return f"corrupt: no frames in bytes {found.ends[worst]} to {begins[worst]} of {size}"
