"""Decode packets into frames: which packet a frame came from, and whether damage reached it."""

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av.error
from av.packet import Packet
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from urbanpipe.video.container import open_video

NumberedPacket = tuple[int, "Packet[VideoStream]"]

# Codecs in which no other picture needs a picture marked as non-reference. In HEVC the mark holds only within a
# temporal layer, so skipping there could change a wanted frame.
SKIPPABLE_CODECS = frozenset({"h264", "mpeg1video", "mpeg2video", "mpeg4"})
REORDER_FRAMES = 16  # maximum distance by which a picture may precede one that it depends on (H.264, HEVC)
# MPEG-TS marks a packet where its continuity counter jumps. This close to a keyframe, two recordings were joined there,
# and no picture is incomplete; if one is nevertheless, the decoder reports it.
JOIN_PACKETS = 2


@dataclass(frozen=True)
class Shown:
    """A frame as the decoder shows it.

    Attributes:
        packet: number of its packet, in decoding order.
        frame: the picture.
        damaged: whether it, or a picture that it may depend on, was decoded from corrupt data.
    """

    packet: int
    frame: VideoFrame
    damaged: bool


def decode_all(path: Path, torn: Iterable[int] = (), strict: bool = False) -> Iterator[Shown]:
    """Yield every frame of a video in presentation order, from one plain decoding pass.

    Args:
        path: the video.
        torn: packets after which bytes are known to be missing.
        strict: as in `open_video`.

    Raises:
        VideoError: the video cannot be opened. Damage further on only marks frames, or ends them early.
    """
    with open_video(path, strict) as video:
        yield from decode_packets(video.stream, enumerate(video.packets()), None, torn)


def decode_packets(
    stream: VideoStream,
    numbered: Iterable[NumberedPacket],
    keep: Collection[int] | None = None,
    torn: Iterable[int] = (),
) -> Iterator[Shown]:
    """Yield the frames of consecutive packets in presentation order; with `keep`, only those of these packets.

    With `keep`, pictures that no other picture needs are not decoded at all (H.264, MPEG-1, -2 and -4). At the end the
    decoder is drained, so that it returns all frames without being fed further packets.
    """
    context = stream.codec_context
    skipping = keep is not None and context.name in SKIPPABLE_CODECS
    watch = _DamageWatch(torn=frozenset(torn))
    for number, packet in _readable(numbered):
        watch.mark(number, packet)
        if skipping:
            context.skip_frame = "DEFAULT" if number in (keep or ()) else "NONREF"
        packet.opaque = number
        yield from watch.passing(_decode(stream, packet, number, watch), keep)
    watch.confirm()
    yield from watch.passing(_decode(stream, None, -1, watch), keep)
    yield from watch.rest()


def _readable(numbered: Iterable[NumberedPacket]) -> Iterator[NumberedPacket]:
    try:
        yield from numbered
    except (av.error.FFmpegError, OSError):  # the container breaks off: frames before it are still valid
        return


def _decode(
    stream: VideoStream, packet: "Packet[VideoStream] | None", number: int, watch: "_DamageWatch"
) -> list[VideoFrame]:
    try:
        return stream.codec_context.decode(packet)
    except av.error.FFmpegError:
        if packet is not None:
            watch.taint(number)
        return []


@dataclass
class _DamageWatch:
    """Propagates damage from where the decoder met it to every dependent frame, up to the next keyframe.

    A frame is held back until every picture that it may depend on has been shown too.
    """

    torn: frozenset[int]
    taints: list[int] = field(default_factory=list)
    held: deque[tuple[int, Shown]] = field(default_factory=deque)
    shown: int = 0
    marked: int | None = None

    def mark(self, number: int, packet: "Packet[VideoStream]") -> None:
        """Treat a packet as corrupt if the container says so.

        Marks where two recordings were joined are ignored (JOIN_PACKETS).
        """
        if self.marked is not None and packet.is_keyframe:
            self.marked = None
        if self.marked is not None and (packet.is_corrupt or number >= self.marked + JOIN_PACKETS):
            self.confirm()
        if packet.is_corrupt:
            self.marked = number
        if number in self.torn:
            self.taint(number)

    def confirm(self) -> None:
        """Confirm the pending mark: nothing that followed explains it."""
        if self.marked is not None:
            self.taint(self.marked)
            self.marked = None

    def taint(self, packet: int) -> None:
        self.taints.append(packet)
        self.held = deque(
            (at, Shown(one.packet, one.frame, one.damaged or one.packet >= packet)) for at, one in self.held
        )

    def passing(self, frames: list[VideoFrame], keep: Collection[int] | None) -> Iterator[Shown]:
        for frame in frames:
            packet = frame.opaque if isinstance(frame.opaque, int) else -1
            if frame.is_corrupt:
                self.taint(packet)
            elif frame.key_frame and frame.pict_type == PictureType.I:
                self.taints = [tainted for tainted in self.taints if tainted >= packet]
            damaged = any(tainted <= packet for tainted in self.taints)
            if keep is None or packet in keep:
                self.held.append((self.shown, Shown(packet, frame, damaged)))
            self.shown += 1
        while self.held and self.shown - self.held[0][0] > REORDER_FRAMES:
            yield self.held.popleft()[1]

    def rest(self) -> Iterator[Shown]:
        while self.held:
            yield self.held.popleft()[1]
