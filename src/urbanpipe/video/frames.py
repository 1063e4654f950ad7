"""Decoding packets into frames: which packet a frame came from, and whether damage reached it."""

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

# Codecs in which a picture marked as no reference is needed by no other. In HEVC the mark holds within a temporal layer
# only, so skipping there could change a wanted frame.
SKIPPABLE_CODECS = frozenset({"h264", "mpeg1video", "mpeg2video", "mpeg4"})
REORDER_FRAMES = 16  # the longest way that a picture may be shown ahead of one it depends on (H.264, HEVC)
# MPEG-TS marks a packet where its count of parts jumps. So soon before a keyframe that is where two recordings were
# joined, and no picture lacks anything; were one hurt all the same, the decoder would tell.
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


def decode_all(path: Path, torn: Iterable[int] = ()) -> Iterator[Shown]:
    """Every frame of a video in order of presentation, as a plain decoding pass gives them.

    Args:
        path: the video.
        torn: packets after which bytes are known to be lost.

    Raises:
        VideoError: it cannot be opened. Damage further on only marks frames, or ends them early.
    """
    with open_video(path) as video:
        yield from decode_packets(video.stream, enumerate(video.packets()), None, torn)


def decode_packets(
    stream: VideoStream,
    numbered: Iterable[NumberedPacket],
    keep: Collection[int] | None = None,
    torn: Iterable[int] = (),
) -> Iterator[Shown]:
    """The frames of consecutive packets in order of presentation; with `keep`, only the frames of those packets.

    With `keep`, pictures that no other needs are not decoded at all (H.264, MPEG-1, -2 and -4). The decoder is drained
    at the end, so that it gives all it has without being fed packets that nobody wants.
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
    except (av.error.FFmpegError, OSError):  # the container breaks off: what was read before it is still good
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
    """Carries damage from where the decoder met it to every frame that may depend on it, up to the next keyframe.

    A frame is held back until every picture that it may depend on has been shown too.
    """

    torn: frozenset[int]
    taints: list[int] = field(default_factory=list)
    held: deque[tuple[int, Shown]] = field(default_factory=deque)
    shown: int = 0
    marked: int | None = None

    def mark(self, number: int, packet: "Packet[VideoStream]") -> None:
        """Take the container's word that a packet is corrupt, unless recordings are joined there (JOIN_PACKETS)."""
        if self.marked is not None and packet.is_keyframe:
            self.marked = None
        if self.marked is not None and (packet.is_corrupt or number >= self.marked + JOIN_PACKETS):
            self.confirm()
        if packet.is_corrupt:
            self.marked = number
        if number in self.torn:
            self.taint(number)

    def confirm(self) -> None:
        """The mark stands: nothing that followed explains it."""
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
