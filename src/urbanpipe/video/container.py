"""Open a file as a video: one stream of one container, one decoding thread, and a plain reason if that fails."""

import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import av
import av.error
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from urbanpipe.errors import VideoError

# FFmpeg also opens text files, pictures, playlists and network descriptions as "video".
NOT_VIDEO_FORMATS = frozenset(
    {"tty", "image2", "ico", "hls", "dash", "concat", "sdp", "rtsp", "imf", "lrc", "bin", "xbin"}
)
MP4_BOXES = frozenset({b"ftyp", b"styp", b"moov", b"mdat", b"wide", b"free", b"skip"})
RIFF_BYTES = 2**30  # longer AVI files continue in further RIFF parts
EBML, MATROSKA_SEGMENT = bytes.fromhex("1a45dfa3"), bytes.fromhex("18538067")
IMPLAUSIBLE = 1000  # a header that declares so many times the bytes that are present is wrong; the file need not be cut
OPEN_OPTIONS = {"protocol_whitelist": "file"}


@dataclass
class OpenVideo:
    """One video stream of an open file.

    Attributes:
        path: the file.
        container: the open container.
        stream: the video stream that players show; all other streams are skipped.
        others: the other video streams, apart from cover pictures.
        fresh: whether nothing has been read yet, so that packets come from the start.
    """

    path: Path
    container: InputContainer
    stream: VideoStream
    others: tuple[VideoStream, ...] = ()
    fresh: bool = True

    def packets(self) -> "Iterator[Packet[VideoStream]]":
        """Return the remaining packets in decoding order, without empty ones.

        An empty packet (AVI writes one for a repeated frame) would signal the end of the video to the decoder.
        """
        self.fresh = False
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
        self.fresh = False
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
def open_video(path: Path) -> Iterator[OpenVideo]:
    """Open a video, and close it at the end of the block.

    Raises:
        VideoError: the file does not exist, is empty, is not a video, has no video stream, or cannot be read in the
            block.
    """
    with reading(Path(path)), _opened(Path(path)) as video:
        yield video


@contextmanager
def _opened(path: Path) -> Iterator[OpenVideo]:
    check_file(path)
    try:
        # "file:" keeps a colon in a name from being read as a protocol; old archives carry metadata that is not UTF-8.
        container = av.open(f"file:{path}", options=OPEN_OPTIONS, metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise VideoError(path, _why_not_opened(path, error)) from None
    with container:
        stream, *others = _video_streams(path, container)
        _read_only(container, stream, path)
        yield OpenVideo(path, container, stream, tuple(others))


def outer_damage(path: Path) -> str:
    """Return what the outer boxes of MP4, AVI and Matroska say about missing bytes: "" or one line."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[4:8] in MP4_BOXES:
            return _mp4_damage(file, size)
        declared = None
        if head[:4] == b"RIFF" and head[8:12] == b"AVI " and size <= RIFF_BYTES:
            declared = 8 + int.from_bytes(head[4:8], "little")
        elif head[:4] == EBML:
            file.seek(0)
            declared = _matroska_bytes(file)
    return _truncated(size, declared) if declared is not None else ""


def _truncated(size: int, declared: int) -> str:
    if declared > IMPLAUSIBLE * size:
        return f"corrupt: the header declares {declared} bytes, {size} are present"
    return f"truncated: {size} of {declared} bytes present" if declared > size else ""


def _mp4_damage(file: BinaryIO, size: int) -> str:
    end, fragmented = 0, False
    while end + 8 <= size:
        file.seek(end)
        length, kind = struct.unpack(">I4s", file.read(8))
        if length == 1:
            length = int.from_bytes(file.read(8), "big")
        fragmented |= kind == b"moof"
        if fragmented and length == 0 and kind == bytes(4):  # without fragments, zeros are padding
            return f"only zeros from byte {end} of {size} on"
        if length < 8:  # 0: up to the end of the file; otherwise not a box
            return ""
        end += length
    return _truncated(size, end)


def _matroska_bytes(file: BinaryIO) -> int | None:
    """Return the length of the header and the segment, or None if the segment's length is not given."""
    end = 0
    for _ in range(2):
        file.seek(end)
        head = file.read(12)
        if head[:4] not in {EBML, MATROSKA_SEGMENT} or len(head) < 12:
            return None
        extra = 8 - head[4].bit_length()
        length = int.from_bytes(bytes([head[4] & (0x7F >> extra)]) + head[5 : 5 + extra], "big")
        if length == (1 << 7 * (extra + 1)) - 1:
            return None
        end += 5 + extra + length
        if end > 2**62:  # no file is so long, and no file can be sought there
            return end
    return end


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
