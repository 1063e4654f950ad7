"""Container gaps: places in an AVI, Matroska or MPEG-TS file where bytes, and so frames, are missing.

There, the parts of the container do not follow each other. A reader continues at the next part that it recognises, so
the frames after a gap are decoded against the wrong reference pictures, and a decoder need not notice. MP4 needs no
such search: it has a table of all frames.
"""

import mmap
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

SEGMENT, CLUSTER = bytes.fromhex("18538067"), bytes.fromhex("1f43b675")
# https://www.rfc-editor.org/rfc/rfc9559: elements that hold blocks are entered, elements beside blocks are skipped.
ENTERED = frozenset({SEGMENT, CLUSTER, b"\xa0"})
BESIDE_BLOCKS = (
    "1a45dfa3 114d9b74 1549a966 1654ae6b 1c53bb6b 1941a469 1043a770 1254c367 1b538667 "  # head, tracks, index, tags
    "ec bf e7 a7 ab 5854 a3 a1 af 9b fb fd a4 a2 fa 75a1 75a2 8e c8"  # padding, checksum, times, blocks
)
TS_SYNC, TS_PARTS_AT_ONCE = 0x47, 4096
STEPPED_OVER = frozenset(bytes.fromhex(element) for element in BESIDE_BLOCKS.split())


def lost_places(path: Path, container: str, begins: Sequence[int]) -> list[int]:
    """Return the byte positions where a file's parts break off; empty for unsupported containers.

    Args:
        path: the file, not empty.
        container: "avi", "matroska" or "mpegts".
        begins: byte positions of the video packets that a reader found, ascending; after a gap the scan resumes there.
    """
    if container not in {"avi", "matroska", "mpegts"}:
        return []
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if container == "avi":
            return list(_avi_breaks(data, begins))
        return list(_matroska_breaks(data) if container == "matroska" else _transport_breaks(data))


def cut_within_element(path: Path, at: int) -> bool:
    """Return whether a Matroska element begins at a position and the file ends before the element does."""
    with path.open("rb") as file:
        file.seek(at)
        head = file.read(12)
    if not head:
        return False
    element, after, length = _element(head, 0)
    return element in STEPPED_OVER and length is not None and at + after + length > path.stat().st_size


def _avi_breaks(data: mmap.mmap, begins: Sequence[int]) -> Iterator[int]:
    at, following = 0, iter(begins)
    while at + 8 <= len(data):
        kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        enters = kind == b"RIFF" or (kind == b"LIST" and data[at + 8 : at + 12] in {b"movi", b"rec "})
        step = 12 if enters else 8 + length + length % 2
        known = kind.replace(b" ", b"").isalnum()
        if known and (enters or at + step <= len(data) + 1):
            at += step
            continue
        broken, at = at, next((begin - 8 for begin in following if begin - 8 > at), len(data))
        if not known or at < len(data):  # otherwise it is the last part, truncated
            yield broken


def _matroska_breaks(data: mmap.mmap) -> Iterator[int]:
    at = 0
    while at < len(data):
        element, after, length = _element(data, at)
        if element in ENTERED:
            at = after
        elif element in STEPPED_OVER and length is not None and after + length <= len(data):
            at = after + length
        else:
            yield at
            at = data.find(CLUSTER, at + 1)
            if at < 0:
                return


def _transport_breaks(data: mmap.mmap) -> Iterator[int]:
    found = transport_start(data, 0)
    while found is not None:
        at, part_bytes = found
        while at < len(data):
            segment = np.frombuffer(data[at : at + part_bytes * TS_PARTS_AT_ONCE], dtype=np.uint8)[::part_bytes]
            wrong = np.flatnonzero(segment != TS_SYNC)
            if wrong.size:
                at += int(wrong[0]) * part_bytes
                break
            at += part_bytes * len(segment)
        else:
            return
        yield at
        found = transport_start(data, at + 1)


def transport_start(data: mmap.mmap | bytes, at: int) -> tuple[int, int] | None:
    """Return the next place where three parts follow each other, and their length.

    A part has 188 bytes, or 192 with time codes, or 204 with checksums.
    """
    while (at := data.find(bytes([TS_SYNC]), at)) >= 0:
        for part_bytes in (188, 192, 204):
            if data[at : at + 2 * part_bytes + 1 : part_bytes] == bytes([TS_SYNC] * 3):
                return at, part_bytes
        at += 1
    return None


def _element(data: mmap.mmap | bytes, at: int) -> tuple[bytes, int, int | None]:
    """Return the name of the element at a position, where its content begins, and its length.

    The length is None if it is not a number.
    """
    name_bytes = 9 - data[at].bit_length()
    size_at = at + name_bytes
    lead = data[size_at] if size_at < len(data) else 0
    size_bytes = 9 - lead.bit_length()
    after = size_at + size_bytes
    if not lead or name_bytes > 4 or after > len(data):
        return b"", after, None
    length = int.from_bytes(data[size_at:after], "big") & ((1 << 7 * size_bytes) - 1)
    return data[at:size_at], after, length
