"""Messages between a process and its decoder process: a kind, a length, and the content.

Requests are pickled. Answers come from a process that reads untrusted files, so only a fixed list of types is unpickled
from them.
"""

import io
import pickle
import struct
from dataclasses import dataclass, is_dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from urbanpipe.platform_support import is_broken_pipe

READY, REQUEST, VALUE, PICTURE, ERROR, LOG, END = b"R", b"Q", b"V", b"P", b"E", b"L", b"D"
TROUBLE = "reading it"  # how the reasons begin that are about the decoder, not about the file
MEMORY_BYTES = 6 * 2**30  # of a decoder process; decoding 8K video takes about a third of it
TOO_MUCH_MEMORY = f"{TROUBLE} needs more than {MEMORY_BYTES // 2**30} GiB of memory"
_HEAD = struct.Struct("<cQ")
_PICTURE = struct.Struct("<q?4q")
_MAX_BYTES = 2**32
_PLAIN_TYPES = {
    ("pathlib", "PosixPath"),
    ("pathlib", "WindowsPath"),
    ("fractions", "Fraction"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
}
_NUMPY_FUNCTIONS = {"_reconstruct", "scalar"}


@dataclass(frozen=True, eq=False)
class DecodedPicture:
    """A requested frame of a video.

    Attributes:
        number: frame number.
        damaged: whether corrupt data reached it.
        frame_size: width and height of the decoded frame, before rotation; zeros if it could not be decoded.
        pixels: uint8, shape (height, width, 3), RGB, upright; None if it could not be decoded.
    """

    number: int
    damaged: bool
    frame_size: tuple[int, int]
    pixels: NDArray[np.uint8] | None


def send(stream: BinaryIO, kind: bytes, *parts: "bytes | memoryview") -> None:
    """Write one message, whose content is the joined parts.

    Raises:
        BrokenPipeError: the other process has ended.
    """
    length = sum(len(part) for part in parts)
    try:
        for part in (_HEAD.pack(kind, length), *parts):
            rest = memoryview(part)
            while len(rest):
                rest = rest[stream.write(rest) :]
    except OSError as error:
        if is_broken_pipe(error):
            raise BrokenPipeError from error
        raise


def send_picture(stream: BinaryIO, picture: DecodedPicture) -> None:
    """Write a picture as raw pixels behind its facts."""
    pixels = np.empty((0, 0, 3), np.uint8) if picture.pixels is None else np.ascontiguousarray(picture.pixels)
    facts = _PICTURE.pack(picture.number, picture.damaged, *picture.frame_size, *pixels.shape[:2])
    send(stream, PICTURE, facts, pixels.reshape(-1).data)


def receive(stream: BinaryIO) -> tuple[bytes, Any] | None:
    """Read one message; None if the other process has ended.

    Returns:
        The kind, and a picture or the raw content.
    """
    head = bytearray(_HEAD.size)
    if not _fill(stream, memoryview(head)):
        return None
    kind, length = _HEAD.unpack(head)
    if length > _MAX_BYTES:
        return None  # not a message: the other process is broken
    if kind == PICTURE:
        picture = _receive_picture(stream, length)
        return None if picture is None else (kind, picture)
    content = bytearray(length)
    return (kind, bytes(content)) if _fill(stream, memoryview(content)) else None


def _receive_picture(stream: BinaryIO, length: int) -> DecodedPicture | None:
    facts = bytearray(_PICTURE.size)
    if length < len(facts) or not _fill(stream, memoryview(facts)):
        return None
    number, damaged, width, height, rows, columns = _PICTURE.unpack(facts)
    if min(rows, columns) < 0 or rows * columns * 3 != length - len(facts):
        return None
    pixels = np.empty((rows, columns, 3), dtype=np.uint8)
    if not _fill(stream, pixels.reshape(-1).data):
        return None
    return DecodedPicture(number, damaged, (width, height), pixels if pixels.size else None)


def _fill(stream: BinaryIO, buffer: memoryview) -> bool:
    """Read until the buffer is full; return whether the stream had as many bytes."""
    while len(buffer):
        count = stream.readinto(buffer)  # type: ignore[attr-defined]
        if not count:
            return False
        buffer = buffer[count:]
    return True


def packed(value: object) -> bytes:
    """Return a value as bytes."""
    return pickle.dumps(value, protocol=4)


def unpacked(content: bytes) -> Any:
    """Return the value of an answer, if it consists of plain values, arrays and the data classes of this package.

    Raises:
        pickle.UnpicklingError: it holds anything else.
    """
    return _PlainUnpickler(io.BytesIO(content)).load()


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        module = "pathlib" if module == "pathlib._local" else module  # where Python 3.13 has it
        is_numpy = module in {"numpy._core.multiarray", "numpy.core.multiarray"} and name in _NUMPY_FUNCTIONS
        if is_numpy or (module, name) in _PLAIN_TYPES:
            return super().find_class(module, name)
        if module.startswith("urbanpipe.video.") and name.isidentifier():
            found = super().find_class(module, name)
            if isinstance(found, type) and is_dataclass(found):
                return found
        raise pickle.UnpicklingError(f"{module}.{name} is not part of an answer")
