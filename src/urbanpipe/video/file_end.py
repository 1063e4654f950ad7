"""Cut files: what the outer structure of a file and its last bytes say about missing bytes, without decoding."""

import struct
from pathlib import Path
from typing import BinaryIO

from urbanpipe.video.container_gaps import cut_within_element, transport_start

MP4_BOXES = frozenset({b"ftyp", b"styp", b"moov", b"mdat", b"wide", b"free", b"skip"})
RIFF_BYTES = 2**30  # longer AVI files continue in further RIFF parts
EBML, MATROSKA_SEGMENT = bytes.fromhex("1a45dfa3"), bytes.fromhex("18538067")
ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
ASF_HEADER_BYTES = 65_536  # the properties come early in the header
PS_PACK = bytes.fromhex("000001ba")
PS_STREAMS = frozenset({0xBD, 0xBE, 0xBF, *range(0xC0, 0xF0)})
PS_PACKET_BYTES = 6 + 65_535
IMPLAUSIBLE = 1000  # a header that declares so many times the bytes that are present is wrong; the file need not be cut


def outer_damage(path: Path) -> str:
    """Return what the outer structure of a file says about missing bytes: "" or one line.

    MP4, AVI, Matroska and ASF declare their lengths; MPEG-TS and MPEG-PS end with a whole packet.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(1024)
        if head[4:8] in MP4_BOXES:
            return _mp4_damage(file, size)
        if head[:4] == PS_PACK:
            return _program_damage(file, size)
        if (start := transport_start(head, 0)) is not None and start[0] in {0, 4}:
            return _transport_damage(file, size, *start)
        declared = _declared(file, head, size)
    return _truncated(size, declared) if declared is not None else ""


def unfinished(path: Path, container: str) -> bool:
    """Return whether a fragmented MP4 lacks the index that its writer adds at the end."""
    if container != "mp4":
        return False
    with path.open("rb") as file:
        kinds = {kind for kind, _, _ in _mp4_boxes(file, path.stat().st_size)}
    return b"moof" in kinds and not kinds & {b"mfra", b"sidx"}


def cut_at(path: Path, container: str, at: int) -> bool:
    """Return whether a break in a file is its end: an element of Matroska that is longer than what is left."""
    return container == "matroska" and cut_within_element(path, at)


def _declared(file: BinaryIO, head: bytes, size: int) -> int | None:
    """Return the length that a header declares; None if it declares none."""
    if head[:4] == b"RIFF" and head[8:12] == b"AVI " and size <= RIFF_BYTES:
        return 8 + int.from_bytes(head[4:8], "little")
    if head[:4] == EBML:
        return _matroska_bytes(file)
    if head[:16] == ASF_HEADER:
        file.seek(0)
        header = file.read(ASF_HEADER_BYTES)
        at = header.find(ASF_PROPERTIES)
        return int.from_bytes(header[at + 40 : at + 48], "little") if at >= 0 else None
    return None


def _truncated(size: int, declared: int) -> str:
    if declared > IMPLAUSIBLE * size:
        return f"corrupt: the header declares {declared} bytes, {size} are present"
    return f"truncated: {size} of {declared} bytes present" if declared > size else ""


def _mp4_boxes(file: BinaryIO, size: int) -> "list[tuple[bytes, int, int]]":
    """Return the type, begin and length of the outer boxes up to the first that cannot be one, which is included."""
    boxes, end = [], 0
    while end + 8 <= size:
        file.seek(end)
        length, kind = struct.unpack(">I4s", file.read(8))
        if length == 1:
            length = int.from_bytes(file.read(8), "big")
        boxes.append((kind, end, length))
        if length < 8:  # 0: up to the end of the file; otherwise not a box
            break
        end += length
    return boxes


def _mp4_damage(file: BinaryIO, size: int) -> str:
    boxes = _mp4_boxes(file, size)
    kind, begin, length = boxes[-1] if boxes else (b"", 0, 0)
    fragmented = any(box[0] == b"moof" for box in boxes)
    if fragmented and length == 0 and kind == bytes(4):  # without fragments, zeros are padding
        return f"only zeros from byte {begin} of {size} on"
    if length < 8:
        return ""
    if kind == b"moof" and begin + length == size:
        return "truncated: the last fragment has no pictures"
    return _truncated(size, begin + length)


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


def _transport_damage(file: BinaryIO, size: int, start: int, part_bytes: int) -> str:
    left = (size - start) % part_bytes
    file.seek(size - left)
    return "truncated: the file ends within a packet" if left and file.read(1) == b"\x47" else ""


def _program_damage(file: BinaryIO, size: int) -> str:
    begin = max(0, size - PS_PACKET_BYTES)
    file.seek(begin)
    tail = file.read()
    at = tail.rfind(b"\0\0\1")
    while at >= 0:
        if tail[at + 3 : at + 4] and tail[at + 3] in PS_STREAMS:
            length = int.from_bytes(tail[at + 4 : at + 6], "big")
            whole = len(tail) >= at + 6 and (not length or at + 6 + length <= len(tail))
            return "" if whole else "truncated: the file ends within a packet"
        at = tail.rfind(b"\0\0\1", 0, at)
    return ""
