"""Probe a video: size, length, codec, content address and damage, counted instead of taken from the header."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from urbanpipe.video.container import reading
from urbanpipe.video.hashed_file import DIGEST_BYTES
from urbanpipe.video.index import index_frames


@dataclass(frozen=True)
class VideoInfo:
    """Properties of a readable video.

    Attributes:
        duration_seconds: from the first frame to the end of the last, by the frames' own times.
        frame_count: number of presented frames.
        frame_rate: mean frames per second.
        width: displayed width, after rotation, in pixels; non-square pixels are not stretched.
        height: displayed height, after rotation, in pixels.
        codec: FFmpeg's codec name, such as "h264".
        bit_rate: bits per second of the whole file.
        size_bytes: size of the file.
        rotation: clockwise rotation that the container asks for: 0, 90, 180 or 270.
        interlaced: whether frames hold two fields of different moments.
        uneven_seconds: largest deviation of a frame's time from evenly spaced frames.
        digest: BLAKE2b-128 of the file's bytes, hexadecimal; the same content has the same digest under any name.
        damage: "", or what is wrong although frames can be read.
        notes: what else to know about the file, such as joined recordings or a second video stream; may be empty.
    """

    duration_seconds: float
    frame_count: int
    frame_rate: float
    width: int
    height: int
    codec: str
    bit_rate: float
    size_bytes: int
    rotation: int
    interlaced: bool
    uneven_seconds: float
    digest: str
    damage: str
    notes: str = ""


def probe(path: Path, thorough: bool = False) -> VideoInfo:
    """Probe a video in one pass over its packets, which also hashes its bytes.

    Args:
        path: the file.
        thorough: also decode every frame, so that `damage` reports corrupt pictures in an otherwise sound file.

    Raises:
        VideoError: the file is missing, empty or not a video, has only audio or no frames, or no frame can be decoded.
    """
    path = Path(path)
    index = index_frames(path, thorough, hashed=True)
    with reading(path):
        size_bytes = path.stat().st_size
    even = np.linspace(0.0, index.duration_seconds, index.frame_count, endpoint=False)
    return VideoInfo(
        duration_seconds=index.duration_seconds,
        frame_count=index.frame_count,
        frame_rate=index.frame_count / index.duration_seconds,
        width=index.width,
        height=index.height,
        codec=index.codec,
        bit_rate=size_bytes * 8 / index.duration_seconds,
        size_bytes=size_bytes,
        rotation=index.rotation,
        interlaced=index.interlaced,
        uneven_seconds=float(np.abs(index.times_seconds - even).max()),
        digest=index.digest,
        damage=index.damage,
        notes="; ".join(index.notes),
    )


def digest(path: Path) -> str:
    """Return the content address of a file: BLAKE2b-128 of its bytes, 32 hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=DIGEST_BYTES)).hexdigest()
