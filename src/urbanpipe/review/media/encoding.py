"""Encode the frames of a video as a proxy: small, quick to seek in, and each frame at its time.

Frames are decoded in a process of their own, as everywhere else. No B-frames: a frame is decoded when it is shown.
"""

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import av.error
import numpy as np
from av.container import OutputContainer
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from urbanpipe.errors import VideoError
from urbanpipe.review.media.jobs import Report
from urbanpipe.review.media.player_times import shown_from
from urbanpipe.video.decoder_messages import DecodedPicture
from urbanpipe.video.index import FrameIndex
from urbanpipe.video.isolated import stream_pictures

MAX_WIDTH = 640
KEYFRAME_SECONDS = 1.0
BIT_RATE = 240_000  # with the container's tables, under 2 MB a minute
VP9_BIT_RATE = 180_000  # its encoder exceeds what it is asked for
MAX_FRAME_RATE = 120
ITU_601, LIMITED_RANGE = 6, 1  # FFmpeg's AVCOL_SPC_SMPTE170M and AVCOL_RANGE_MPEG


@dataclass(frozen=True)
class ProxyFormat:
    """How a proxy is stored.

    Attributes:
        codec: FFmpeg's name of the encoder.
        suffix: of the file's name, with the dot.
        media_type: for the page.
        ticks_per_second: unit of the times.
        codec_options: options of the encoder.
        container_options: options of the container.
    """

    codec: str
    suffix: str
    media_type: str
    ticks_per_second: int
    codec_options: dict[str, str]
    container_options: dict[str, str]


H264 = ProxyFormat(
    codec="libx264",
    suffix=".mp4",
    media_type="video/mp4",
    ticks_per_second=90_000,
    codec_options={
        "preset": "superfast",
        "x264-params": "rc-lookahead=10:mbtree=1",  # without it keyframes are so coarse that the picture pulses
        "profile": "main",
        "crf": "26",
        "maxrate": str(BIT_RATE),
        "bufsize": str(BIT_RATE),
        "bf": "0",
        "g": "100000",
        "sc_threshold": "0",
        "forced-idr": "1",
        "threads": "2",
    },
    container_options={
        "movflags": "+faststart",
        "video_track_timescale": "90000",
        "movie_timescale": "90000",
    },
)
VP9 = ProxyFormat(
    codec="libvpx-vp9",
    suffix=".webm",
    media_type="video/webm",
    ticks_per_second=1000,
    codec_options={
        "deadline": "realtime",
        "cpu-used": "8",
        "row-mt": "1",
        "lag-in-frames": "0",
        "auto-alt-ref": "0",
        "max-intra-rate": "400",
        "b": str(VP9_BIT_RATE),
        "maxrate": str(VP9_BIT_RATE),
        "minrate": str(VP9_BIT_RATE),
        "bufsize": str(VP9_BIT_RATE),
        "g": "100000",
        "threads": "2",
    },
    container_options={"cues_to_front": "1", "reserve_index_space": "0"},
)


def proxy_format() -> ProxyFormat:
    """Return the format that this installation of PyAV can encode."""
    return H264 if H264.codec in av.codecs_available else VP9


def proxy_size(index: FrameIndex) -> tuple[int, int]:
    """Return the width and height of a proxy: even, at most `MAX_WIDTH` wide, with the sides' ratio of the video."""
    width = max(2, min(MAX_WIDTH, index.width) // 2 * 2)
    return width, max(2, round(index.height * width / index.width / 2) * 2)


def proxy_ticks(index: FrameIndex, ticks_per_second: int) -> NDArray[np.int64]:
    """Return when each frame of a proxy begins and the last one ends, in ticks, shape (frames + 1,), ascending."""
    begins = shown_from(index)
    end = begins[-1] + index.duration_seconds - index.times_seconds[-1]
    ticks = np.round(np.append(begins, end) * ticks_per_second).astype(np.int64)
    steps = np.arange(len(ticks))
    ascending: NDArray[np.int64] = np.maximum.accumulate(ticks - steps) + steps
    return ascending


def write_proxy(index: FrameIndex, to: Path, *, form: ProxyFormat, report: Report) -> NDArray[np.int64]:
    """Write the proxy of a video; frames that cannot be decoded are left out.

    Args:
        index: index of the video.
        to: the file to write.
        form: how to store it.
        report: called with the share done after every frame; what it raises ends the work.

    Returns:
        The numbers of the frames that were written, shape (written,), int64, ascending.

    Raises:
        VideoError: the video cannot be read, or no frame can be decoded.
        OSError: the proxy cannot be written.
    """
    try:
        written = list(_written(index, to, form=form, report=report))
    except av.error.FFmpegError as error:
        if isinstance(error, OSError):
            raise
        raise VideoError(index.path, f"its proxy cannot be encoded ({error.strerror})") from error
    if not written:
        raise VideoError(index.path, "no frame of it can be decoded")
    return np.array(written, dtype=np.int64)


def _written(index: FrameIndex, to: Path, *, form: ProxyFormat, report: Report) -> Iterator[int]:
    """Write a proxy; yield the number of each frame once it is encoded."""
    ticks = proxy_ticks(index, form.ticks_per_second)
    decoded = cast("Generator[DecodedPicture]", stream_pictures(index, np.arange(index.frame_count), "conceal"))
    with av.open(str(to), "w", options=form.container_options) as out, closing(decoded) as pictures:
        stream = _stream(out, index, form)
        for number, frame in _frames(pictures, stream, ticks):
            _mux(out, stream, frame, ticks)
            yield number
            report((number + 1) / index.frame_count)
        _mux(out, stream, None, ticks)


def _stream(out: OutputContainer, index: FrameIndex, form: ProxyFormat) -> VideoStream:
    rate = min(max(index.frame_count / index.duration_seconds, 1.0), MAX_FRAME_RATE)
    stream = out.add_stream(form.codec, rate=Fraction(rate).limit_denominator(1001), options=form.codec_options)
    video = cast("VideoStream", stream)
    video.width, video.height = proxy_size(index)
    video.pix_fmt = "yuv420p"
    video.time_base = video.codec_context.time_base = Fraction(1, form.ticks_per_second)
    video.codec_context.colorspace, video.codec_context.color_range = ITU_601, LIMITED_RANGE
    return video


def _frames(
    pictures: Iterator[DecodedPicture], stream: VideoStream, ticks: NDArray[np.int64]
) -> Iterator[tuple[int, VideoFrame]]:
    """Yield the frames to encode with their numbers and times, and keyframes where one is due."""
    scaler = VideoReformatter()
    base = stream.codec_context.time_base
    key: int | None = None
    for picture in pictures:
        if picture.pixels is None:
            continue
        shown, ends = int(ticks[picture.number]), int(ticks[picture.number + 1])
        source = VideoFrame.from_numpy_buffer(picture.pixels, "rgb24")
        frame = scaler.reformat(source, stream.width, stream.height, "yuv420p", interpolation="BILINEAR", threads=1)
        frame.pts, frame.time_base = shown, base
        due = key is None or (ends - key) * base > KEYFRAME_SECONDS
        frame.pict_type = PictureType.I if due else PictureType.NONE
        key = shown if due else key
        yield picture.number, frame


def _mux(out: OutputContainer, stream: VideoStream, frame: VideoFrame | None, ticks: NDArray[np.int64]) -> None:
    for packet in stream.encode(frame):
        number = int(np.searchsorted(ticks, cast("int", packet.pts)))
        packet.duration = int(ticks[number + 1] - ticks[number])  # tells how long the last frame stays
        out.mux(packet)
