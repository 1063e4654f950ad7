"""Open a file as a video: one stream of one container, one decoding thread, and a plain reason if that fails."""

import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import av.error
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from urbanpipe.errors import VideoError
from urbanpipe.video.file_end import outer_damage
from urbanpipe.video.hashed_file import HashedFile, RememberedStart

# FFmpeg also opens text files, pictures, playlists and network descriptions as "video".
NOT_VIDEO_FORMATS = frozenset(
    {"tty", "image2", "ico", "hls", "dash", "concat", "sdp", "rtsp", "imf", "lrc", "bin", "xbin"}
)
# Codecs whose decoders only log most errors. With this option they return them, and no picture.
LENIENT_CODECS = frozenset({"hevc", "mjpeg"})
STRICT_OPTIONS = {"err_detect": "explode"}
# The duration of MPEG-TS and MPEG-PS, which nothing here uses, would be looked for at the end of the file.
OPEN_OPTIONS = {"protocol_whitelist": "file", "skip_estimate_duration_from_pts": "1"}
# Old archives carry metadata that is not UTF-8. From version 19 on, PyAV reads it without this option.
_METADATA: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}


@dataclass
class OpenVideo:
    """One video stream of an open file.

    Attributes:
        path: the file.
        container: the open container.
        stream: the video stream that players show; all other streams are skipped.
        others: the other video streams, apart from cover pictures.
        strict: whether the decoder gives no picture where it met an error, instead of a repaired one.
        fresh: whether nothing has been read yet, so that packets come from the start.
        following: number of the packet that comes next, where whoever reads them has noted it.
    """

    path: Path
    container: InputContainer
    stream: VideoStream
    others: tuple[VideoStream, ...] = ()
    strict: bool = False
    fresh: bool = True
    following: int | None = None

    def packets(self) -> "Iterator[Packet[VideoStream]]":
        """Return the remaining packets in decoding order, without empty ones.

        An empty packet (AVI writes one for a repeated frame) would signal the end of the video to the decoder.
        """
        self.fresh, self.following = False, None
        return self._packets()

    def _packets(self) -> "Iterator[Packet[VideoStream]]":
        try:
            for packet in self.container.demux(self.stream):
                if packet.size > 0:
                    yield packet
        except IndexError:  # PyAV raises it after the last packet if streams appeared that the header does not list
            return

    def seek(self, ticks: int) -> None:
        """Seek to the last keyframe shown at or before a time, as far as the container knows.

        The decoder is reset.

        Raises:
            av.error.FFmpegError: the container cannot seek.
        """
        self.fresh, self.following = False, None
        self.container.seek(ticks, stream=self.stream, backward=True)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever PyAV, FFmpeg or the system raise about a damaged file in the block into a `VideoError`.

    Raises:
        VideoError: anything failed; the original error is its cause.
    """
    try:
        yield
    except VideoError:
        raise
    except OSError as error:  # also the errors of FFmpeg
        raise VideoError(path, f"cannot be read ({error.strerror or error})") from error
    except Exception as error:
        raise VideoError(path, f"cannot be read ({type(error).__name__}: {error})") from error


@contextmanager
def open_video(path: Path, strict: bool = False, file: HashedFile | None = None) -> Iterator[OpenVideo]:
    """Open a video, and close it at the end of the block.

    Args:
        path: the file.
        strict: decode no picture from data with errors (HEVC, motion JPEG), rather than repairing it unnoticed.
        file: the opened file at `path`, which is then read through it and left open; None opens it.

    Raises:
        VideoError: the file does not exist, is empty, is not a video, has no video stream, or cannot be read in the
            block.
    """
    with reading(Path(path)), _opened(Path(path), strict, file) as video:
        yield video


@contextmanager
def _opened(path: Path, strict: bool, file: RememberedStart | None) -> Iterator[OpenVideo]:
    check_file(path)
    if file is None:
        with closing(RememberedStart(path)) as remembered, _opened(path, strict, remembered) as video:
            yield video
        return
    try:
        container = av.open(file, "r", options=OPEN_OPTIONS, **_METADATA)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise VideoError(path, _why_not_opened(path, error)) from None
    with container:
        stream, *others = _video_streams(path, container)
        _read_only(container, stream, path)
        if strict and stream.codec_context.name in LENIENT_CODECS:
            stream.codec_context.options = STRICT_OPTIONS
        yield OpenVideo(path, container, stream, tuple(others), strict)


def check_file(path: Path) -> None:
    """Check that a file exists, is readable and is not empty, without looking into it.

    Raises:
        VideoError: there is no such file.
    """
    try:
        if path.is_dir():
            raise VideoError(path, "a folder, not a video")
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):  # opening a pipe would wait forever
            raise VideoError(path, "not a regular file")
        if facts.st_size == 0:
            raise VideoError(path, "the file is empty")
        with path.open("rb"):
            pass
    except FileNotFoundError:
        raise VideoError(path, "no such file") from None
    except PermissionError:
        raise VideoError(path, "no permission to read it") from None
    except OSError as error:
        raise VideoError(path, f"cannot be read ({error.strerror or error})") from None


def _why_not_opened(path: Path, error: Exception) -> str:
    with path.open("rb") as file:
        is_mp4 = file.read(12)[4:8] == b"ftyp"
    if is_mp4 and outer_damage(path).startswith("truncated"):
        return "truncated: the file ends before its table of contents"
    if is_mp4:
        return "not a video: the MP4 has no table of contents (the recording was not finished)"
    if isinstance(error, av.error.InvalidDataError):
        return "not a video"
    return f"not a video ({getattr(error, 'strerror', None) or error})"


def _video_streams(path: Path, container: InputContainer) -> list[VideoStream]:
    """Return the video streams, first the one that players show: the first default one, or FFmpeg's own choice."""
    names = set(container.format.name.split(","))
    if names & NOT_VIDEO_FORMATS or any(name.endswith("_pipe") for name in names):
        raise VideoError(path, f"not a video ({container.format.long_name})")
    streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if not streams:
        audio = bool(container.streams.audio)
        raise VideoError(path, "no video stream, only audio" if audio else "no video stream")
    default = next((stream for stream in streams if stream.disposition & Disposition.default), None)
    best = default or container.streams.best("video")
    return sorted(streams, key=lambda stream: best is None or stream.index != best.index)


def _read_only(container: InputContainer, stream: VideoStream, path: Path) -> None:
    for other in container.streams:
        if other.index != stream.index:
            other.discard = Discard.all
    if stream.codec_context is None:
        raise VideoError(path, "no decoder for its codec")
    stream.codec_context.thread_count = 1
    stream.codec_context.copy_opaque = True
