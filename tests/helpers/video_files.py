"""Videos for the tests: every frame carries its number as a pattern of blocks, over a moving texture."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

WIDTH, HEIGHT, BLOCK, BITS = 192, 144, 16, 12
RATE = 25
FRAMES = 75

Rgb = NDArray[np.uint8]


@cache
def _texture() -> Rgb:
    rng = np.random.default_rng(7)
    coarse = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((8, 8, 1), dtype=np.uint8))


def picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> Rgb:
    """Frame `number`: its bits as white and black blocks in the top row, their inverse below, texture in the rest."""
    frame = np.roll(_texture(), (3 * number, -2 * number), axis=(0, 1))[:height, :width].copy()
    bits = number >> np.arange(BITS) & 1
    row = np.repeat(np.where(bits, 235, 20), BLOCK).astype(np.uint8)[:, None]
    frame[:BLOCK, : BITS * BLOCK] = row
    frame[BLOCK : 2 * BLOCK, : BITS * BLOCK] = 255 - row
    return frame


def number_in(frame: Rgb) -> int:
    """The number burnt into a frame; -1 where blocks and their inverses disagree."""
    blocks = frame[: 2 * BLOCK, : BITS * BLOCK].mean(2).reshape(2, BLOCK, BITS, BLOCK)[:, 4:-4, :, 4:-4].mean((1, 3))
    bits = blocks[0] > blocks[1]
    return int((bits << np.arange(BITS)).sum()) if (np.abs(blocks[0] - blocks[1]) > 100).all() else -1


def write(
    path: Path,
    frames: int = FRAMES,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
    form: str | None = None,
    ticks: Sequence[int] | None = None,
    clockwise: int = 0,
    first: int = 0,
    size: tuple[int, int] = (WIDTH, HEIGHT),
) -> Path:
    """Encode `frames` numbered frames from `first` on; `ticks` gives their times in 1/100 s, else 25 a second.

    `clockwise` stores them turned the other way, with the metadata that turns them upright.
    """
    base = Fraction(1, 100)
    with av.open(str(path), "w", format=form, options=container or {}) as out:
        stream = cast("VideoStream", out.add_stream(codec, rate=RATE, options=options or x264(12)))
        turned = clockwise in {90, 270}
        stream.width, stream.height = size[::-1] if turned else size
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = base if ticks else Fraction(1, RATE)
        if clockwise:
            stream.set_display_rotation(-clockwise)
        for number in range(frames):
            pixels = np.rot90(picture(first + number, *size), k=clockwise // 90)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts = ticks[number] if ticks else number
            frame.time_base = stream.codec_context.time_base
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def full_decode(path: Path) -> list[Rgb]:
    """Every frame that FFmpeg gives, in its order, by the plainest possible program."""
    with av.open(str(path)) as container:
        return [np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8) for frame in container.decode(video=0)]


def x264(gop: int, **parameters: object) -> dict[str, str]:
    settings = {"keyint": gop, "min-keyint": gop, "scenecut": 0, **parameters}
    text = ":".join(f"{name.replace('_', '-')}={value}" for name, value in settings.items())
    return {"preset": "veryfast", "x264-params": text}


def cut_without_encoding(source: Path, path: Path, first: int) -> Path:
    """Copy packets from the keyframe before frame `first`, with an edit list that hides what comes before `first`."""
    with av.open(str(source)) as given, av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as out:
        old = given.streams.video[0]
        new = out.add_stream_from_template(old)
        packets = [packet for packet in given.demux(old) if packet.size]
        times = sorted(packet.pts for packet in packets if packet.pts is not None)
        start = max(n for n, packet in enumerate(packets) if packet.is_keyframe and (packet.pts or 0) <= times[first])
        for packet in packets[start:]:
            assert packet.pts is not None
            assert packet.dts is not None
            packet.pts, packet.dts, packet.stream = packet.pts - times[first], packet.dts - times[first], new
            out.mux(packet)
    return path


def restamped(
    source: Path,
    path: Path,
    stamp: Callable[[int, int, int], tuple[int | None, int | None]],
    form: str | None = None,
    time_base: Fraction | None = None,
) -> Path:
    """Copy packets; `stamp` gives presentation and decoding time from the packet's number and its old times."""
    with av.open(str(source)) as given, av.open(str(path), "w", format=form) as out:
        old = given.streams.video[0]
        new = out.add_stream_from_template(old)
        for number, packet in enumerate(packet for packet in given.demux(old) if packet.size):
            base = time_base or packet.time_base
            assert packet.pts is not None
            assert packet.dts is not None
            ratio = packet.time_base / base
            times = stamp(number, round(packet.pts * ratio), round(packet.dts * ratio))
            packet.time_base, packet.stream = base, new
            packet.pts, packet.dts = times
            out.mux(packet)
    return path


def shifted(source: Path, path: Path, seconds: float, form: str) -> Path:
    """Copy packets to MPEG-TS or MPEG-PS with times that begin later; modulo 2**33 there."""
    ticks = round(seconds * 90_000)
    return restamped(source, path, lambda _, pts, dts: (pts + ticks, dts + ticks), form, Fraction(1, 90_000))


def join(path: Path, *parts: Path) -> Path:
    """The bytes of the parts, one after the other."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def doubled_in_header(source: Path, path: Path) -> Path:
    """An AVI whose header claims twice its frames, in both places."""
    data = bytearray(source.read_bytes())
    main, stream = data.index(b"avih"), data.index(b"strh")
    for at in (main + 8 + 16, stream + 8 + 32):
        count = int.from_bytes(data[at : at + 4], "little")
        assert count == FRAMES
        data[at : at + 4] = (2 * count).to_bytes(4, "little")
    path.write_bytes(data)
    return path


def _varying_times() -> list[int]:
    gaps = np.random.default_rng(3).integers(1, 30, FRAMES - 1)
    return [0, *np.cumsum(gaps).tolist()]


VARYING_TIMES = _varying_times()

MPEG = {"bf": "2", "g": "12", "b": "2M"}
X265 = {"preset": "ultrafast", "x265-params": "keyint=12:bframes=3:log-level=0"}
VPX = {"g": "12", "deadline": "realtime", "cpu-used": "8", "b": "2M"}
HIDDEN_FRAMES = {**VPX, "deadline": "good", "auto-alt-ref": "1", "lag-in-frames": "16"}
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
OPEN = x264(12, open_gop=1, b_adapt=0, bframes=3)
PYRAMID = x264(25, bframes=8, b_adapt=0, b_pyramid="normal")
REFRESH = x264(12, intra_refresh=1)


def _joined(to: Path, suffix: str, form: str | None = None) -> Path:
    one = write(to / f"one{suffix}", 40, form=form)
    two = write(to / f"two{suffix}", FRAMES - 40, form=form, first=40)
    return join(to / f"joined{suffix}", one, two)


def _with_edit_list(to: Path) -> Path:
    whole = write(to / "whole.mp4", FRAMES + 33, options=x264(25, b_adapt=0, bframes=3))
    return cut_without_encoding(whole, to / "cut.mp4", 33)


# name: (how to write it in a folder, whether frames can be sought)
FORMS: dict[str, tuple[Callable[[Path], Path], bool]] = {
    "plain": (lambda to: write(to / "plain.mp4"), True),
    "long groups": (lambda to: write(to / "long.mp4", options=x264(50)), True),
    "without B-frames": (lambda to: write(to / "no_b.mp4", options=x264(12, bframes=0)), True),
    "B-pyramid": (lambda to: write(to / "pyramid.mp4", options=PYRAMID), True),
    "open groups": (lambda to: write(to / "open.mp4", options=OPEN), True),
    "open groups, MKV": (lambda to: write(to / "open.mkv", options=OPEN), True),
    "fragmented": (lambda to: write(to / "frag.mp4", container=FRAGMENTS), True),
    "edit list": (_with_edit_list, True),
    "varying rate": (lambda to: write(to / "varying.mp4", ticks=VARYING_TIMES), True),
    "varying rate, MKV": (lambda to: write(to / "varying.mkv", ticks=VARYING_TIMES), True),
    "MKV": (lambda to: write(to / "plain.mkv"), True),
    "TS": (lambda to: write(to / "plain.ts"), True),
    "TS, open groups": (lambda to: write(to / "open.ts", options=OPEN), True),
    "TS, joined": (lambda to: _joined(to, ".ts"), False),
    "AVI": (lambda to: write(to / "plain.avi"), False),
    "AVI, doubled frame count": (lambda to: doubled_in_header(write(to / "right.avi"), to / "wrong.avi"), False),
    "AVI, MPEG-4": (lambda to: write(to / "mpeg4.avi", codec="mpeg4", options=MPEG), False),
    "MPEG-PS": (lambda to: write(to / "ps.mpg", codec="mpeg2video", options=MPEG), False),
    "TS, MPEG-2": (lambda to: write(to / "mpeg2.ts", codec="mpeg2video", options=MPEG), True),
    "raw H.264": (lambda to: write(to / "raw.h264", form="h264"), False),
    "raw H.264, joined": (lambda to: _joined(to, ".h264", "h264"), False),
    "intra refresh": (lambda to: write(to / "refresh.mp4", options=REFRESH), True),
    "intra refresh, MKV": (lambda to: write(to / "refresh.mkv", options=REFRESH), True),
    "intra refresh, TS": (lambda to: write(to / "refresh.ts", options=REFRESH), True),
    "HEVC": (lambda to: write(to / "hevc.mp4", codec="libx265", options=X265), True),
    "VP8": (lambda to: write(to / "vp8.webm", codec="libvpx", options=HIDDEN_FRAMES), False),
    "VP9": (lambda to: write(to / "vp9.webm", codec="libvpx-vp9", options=VPX), True),
    "motion JPEG": (lambda to: write(to / "mjpeg.mkv", codec="mjpeg", options={"strict": "-1", "qscale": "3"}), True),
}
