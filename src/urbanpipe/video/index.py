"""Frame index: when every frame is shown and from where it can be decoded, from one pass over the packets.

The frame count in the header of a container is never used: packets are counted. Where packets cannot be trusted (no
presentation times, a codec with hidden frames, corrupt packets), the frames of one decoding pass are counted.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from urbanpipe.errors import VideoError
from urbanpipe.video.clock import timeline
from urbanpipe.video.container import OpenVideo, check_file, open_video, reading
from urbanpipe.video.frames import decode_all
from urbanpipe.video.hashed_file import HashedFile
from urbanpipe.video.packet_scan import PacketScan, damage, packet_scan

Times = NDArray[np.float64]
Numbers = NDArray[np.int64]
MAX_HALF_SECONDS = 0.25
SLACK_SECONDS = 5e-7  # a requested time and a container's ticks rarely coincide exactly


@dataclass(frozen=True)
class FrameIndex:
    """The presented frames of a video, in presentation order.

    Attributes:
        path: the file.
        times_seconds: time of each frame after the first, shape (frames,), float64, ascending, starting at 0.
        duration_seconds: from the first frame to the end of the last.
        width: displayed width, after rotation, in pixels.
        height: displayed height, after rotation, in pixels.
        rotation: clockwise rotation that the container asks for: 0, 90, 180 or 270.
        interlaced: whether the first frame holds two fields.
        codec: FFmpeg's codec name.
        timed: whether frames can be found by their presentation time; otherwise they are counted from the start.
        pts: presentation time of each packet in decoding order, in ticks; empty if not `timed`.
        packet_of: packet that holds each frame; empty if not `timed`.
        keyframes: packets marked as keyframes; ascending.
        torn: packets after which bytes are missing from the file; ascending.
        damage: "" or what is wrong with the file.
        clock_seconds: time of each frame on the clock of the file, on which players seek, shape (frames,), float64.
        notes: what else to know about the file: jumps of its clock, video streams that are not read.
        digest: content address of the file (see `VideoInfo.digest`); empty if it was not asked for.
    """

    path: Path
    times_seconds: Times
    duration_seconds: float
    width: int
    height: int
    rotation: int
    interlaced: bool
    codec: str
    timed: bool
    pts: Numbers
    packet_of: Numbers
    keyframes: Numbers
    torn: Numbers
    damage: str
    clock_seconds: Times = field(default_factory=lambda: np.empty(0))
    notes: tuple[str, ...] = ()
    digest: str = ""

    @property
    def frame_count(self) -> int:
        """Number of presented frames."""
        return len(self.times_seconds)

    @cached_property
    def packet_at(self) -> dict[int, int]:
        """Packet number by presentation time in ticks."""
        return {int(pts): number for number, pts in enumerate(self.pts)}

    @cached_property
    def start_of(self) -> Numbers:
        """The packet from which each frame must be decoded.

        This is the last keyframe that is neither decoded nor shown after it: frames shown before a keyframe but
        decoded after it (an open group of pictures) still need the keyframe before that.
        """
        earliest = np.maximum.accumulate(self.pts[self.keyframes])
        by_decoding = np.searchsorted(self.keyframes, self.packet_of, side="right")
        by_showing = np.searchsorted(earliest, self.pts[self.packet_of], side="right")
        starts: Numbers = self.keyframes[np.maximum(np.minimum(by_decoding, by_showing) - 1, 0)]
        return starts

    def player_seconds(self, frames: Numbers) -> Times:
        """Return where a player must seek to show frames: their middles on the clock of the file, float64, same shape.

        Players begin at 0 if that clock begins below 0. Of a frame that stays longer, the first half second counts.
        """
        numbers = np.clip(np.asarray(frames), 0, self.frame_count - 1)
        ends = np.append(self.times_seconds[1:], self.duration_seconds)
        half = np.minimum((ends - self.times_seconds) / 2, MAX_HALF_SECONDS)
        follows = np.append(np.diff(self.clock_seconds), np.inf)
        half = np.where(follows > 0, np.minimum(half, follows / 2), half)
        seconds: Times = (self.clock_seconds + half - min(0.0, float(self.clock_seconds.min())))[numbers]
        return seconds

    def frame_at(self, seconds: Times) -> Numbers:
        """Return the frame on screen at each time after the first frame; int64, same shape.

        Raises:
            VideoError: a time is negative, not a number, or after the end of the video.
        """
        times = np.asarray(seconds, dtype=np.float64)
        outside = ~((times >= 0) & (times <= self.duration_seconds))
        if outside.any():
            lasts = f"it lasts {self.duration_seconds:.3f} s"
            raise VideoError(self.path, f"no frame at {times[outside].flat[0]:g} s; {lasts}")
        return np.maximum(np.searchsorted(self.times_seconds, times + SLACK_SECONDS, side="right") - 1, 0)


@dataclass(frozen=True)
class _Timeline:
    times_seconds: Times
    duration_seconds: float
    packet_of: Numbers
    clock_seconds: Times
    damage: str = ""
    notes: tuple[str, ...] = ()


_UNKNOWN = _Timeline(np.empty(0), 0.0, np.empty(0, dtype=np.int64), np.empty(0))


def index_frames(path: Path, thorough: bool = False, *, hashed: bool = False) -> FrameIndex:
    """Return the index of a video, reusable for several reads.

    The cost is one pass over the file without decoding. If packets cannot be trusted, it is one decoding pass; a second
    one where only the first shows that.

    Args:
        path: the file.
        thorough: decode every frame in any case, so that `damage` also reports corrupt pictures.
        hashed: also compute the digest of the file, in the same pass.

    Raises:
        VideoError: the file is missing, empty or not a video, has no pictures, or no frame of it can be decoded.
    """
    path = Path(path)
    with reading(path):
        found, digest = _scan(path, hashed)
        frames = _by_packets(found) if found.timed else _by_decoding(path, found)
        worn = damage(path, found) or frames.damage
        if thorough and found.timed and not worn:
            worn = _decoding_damage(path, frames)
        return replace(_index(path, found, frames, worn), digest=digest)


def _scan(path: Path, hashed: bool) -> tuple[PacketScan, str]:
    """Return the packets of a video and, if `hashed`, the digest of the file; else an empty one."""
    if not hashed:
        with open_video(path) as video:
            return packet_scan(video, counting=True), ""
    check_file(path)
    with closing(HashedFile(path)) as file:
        with open_video(path, file=file) as video:
            found = packet_scan(video, counting=True)
        return found, file.digest()


def quick_index(video: OpenVideo) -> FrameIndex:
    """Return an index as `index_frames` does, but without decoding the whole video.

    A video that would have to be decoded gets an index without frames and times.

    Raises:
        VideoError: as `index_frames`.
    """
    found = packet_scan(video)
    return _index(video.path, found, _by_packets(found) if found.timed else _UNKNOWN, damage(video.path, found))


def clockwise(frame: VideoFrame) -> int:
    """Return the clockwise rotation in degrees that turns a decoded frame upright: 0, 90, 180 or 270."""
    return round(-frame.rotation / 90) % 4 * 90


def _index(path: Path, found: PacketScan, frames: _Timeline, worn: str) -> FrameIndex:
    first = found.first
    assert first is not None
    sides = (first.width, first.height)
    rotation = clockwise(first)
    width, height = sides[::-1] if rotation in {90, 270} else sides
    return FrameIndex(
        path=path,
        times_seconds=frames.times_seconds,
        duration_seconds=frames.duration_seconds,
        width=width,
        height=height,
        rotation=rotation,
        interlaced=first.interlaced_frame,
        codec=found.codec,
        timed=found.timed,
        pts=np.array(found.pts if found.timed else [], dtype=np.int64),
        packet_of=frames.packet_of,
        keyframes=np.array(found.keyframes, dtype=np.int64),
        torn=np.array(found.torn, dtype=np.int64),
        damage=worn,
        clock_seconds=frames.clock_seconds,
        notes=(*frames.notes, *_file_notes(found)),
    )


def _file_notes(found: PacketScan) -> Iterator[str]:
    for other in found.left_out:
        yield f"another video stream ({other}) is not read"
    if found.unfinished:
        yield "fragments without an index at the end: the recording may have been interrupted"


def _by_packets(found: PacketScan) -> _Timeline:
    pts = np.array(found.pts, dtype=np.int64)
    shown = np.flatnonzero(~np.array(found.hidden))
    packet_of = shown[np.argsort(pts[shown])]
    ticks = pts[packet_of] - pts[packet_of[0]]
    times = _seconds(ticks, found)
    last = found.durations[packet_of[-1]]
    end = _seconds(ticks[-1:] + last, found)[0] if last else times[-1] + _usual_gap(times, found)
    return _Timeline(times, float(end), packet_of, _seconds(pts[packet_of], found))


def _by_decoding(path: Path, found: PacketScan) -> _Timeline:
    frames = found.counted
    if frames is None or found.torn:
        frames = [(shown.packet, shown.frame.pts, shown.damaged) for shown in decode_all(path, found.torn)]
    last = len(found.pts) - 1
    frames = [frame for frame in frames if not (frame[0] == last and frame[2])]  # cut within the last packet
    if not frames:
        raise VideoError(path, "no frame of it can be decoded")
    ticks, part = _stamps([packet for packet, _, _ in frames], found)
    times, gap = timeline(ticks, part, found.tick_seconds, found.frame_seconds)
    errors = sum(damaged for *_, damaged in frames)
    return _Timeline(
        times,
        float(times[-1] + gap),
        _UNKNOWN.packet_of,
        _clock_seconds([pts for _, pts, _ in frames], times, found),
        damage=f"corrupt data: {errors} frames are damaged" if errors else "",
        notes=_jump_notes(times, part),
    )


def _clock_seconds(stamps: list[int | None], times: Times, found: PacketScan) -> Times:
    """Return the stamps of frames in seconds; a missing one follows the stamp before it, and a first one is 0."""
    ticks = np.array([np.nan if stamp is None else stamp for stamp in stamps], dtype=np.float64)
    offsets = ticks * float(found.tick_seconds) - times
    known = np.flatnonzero(~np.isnan(offsets))
    if not known.size:
        return times
    before = known[np.maximum(np.searchsorted(known, np.arange(len(times)), side="right") - 1, 0)]
    return times + offsets[before]


def _jump_notes(times: Times, part: Numbers) -> tuple[str, ...]:
    jumps = np.flatnonzero(np.diff(np.maximum.accumulate(part))) + 1
    if not jumps.size:
        return ()
    where = (
        f"at {times[jumps[0]]:.1f} s" if jumps.size == 1 else f"{jumps.size} times, first at {times[jumps[0]]:.1f} s"
    )
    return (f"the clock jumps {where}: recordings were joined, or time stamps are wrong",)


def _stamps(numbers: list[int], found: PacketScan) -> tuple[Times, Numbers]:
    """Return the stamp of each decoded frame without wraps, and the part of the recording that it belongs to."""
    packets = np.array(numbers)
    clock = found.clock
    known = (packets >= 0) & (packets < len(clock.ticks))
    packets = np.where(known, packets, 0)
    if found.container == "avi":  # AVI has decoding times only; frames are shown at the same rate
        ticks = np.array([np.nan if found.dts[packet] is None else found.dts[packet] for packet in packets])
    else:
        ticks = clock.ticks[packets]
    return np.where(known, ticks, np.nan), np.where(known, clock.part[packets], 0)


def _decoding_damage(path: Path, frames: _Timeline) -> str:
    sound = sum(not one.damaged for one in decode_all(path, strict=True))
    errors = len(frames.packet_of) - sound
    return f"corrupt data: {errors} frames are damaged" if errors > 0 else ""


def _seconds(ticks: Numbers, found: PacketScan) -> Times:
    """Return times in seconds, exact up to one rounding, in the division."""
    times: Times = ticks * found.tick_seconds.numerator / found.tick_seconds.denominator
    return times


def _usual_gap(times: Times, found: PacketScan) -> float:
    gaps = np.diff(times)
    return float(np.median(gaps[gaps > 0])) if (gaps > 0).any() else found.frame_seconds
