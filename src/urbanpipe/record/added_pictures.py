"""Pictures of defects that people added: frames of the videos, as the networks kept none."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from urbanpipe.errors import VideoError
from urbanpipe.exports.records import InspectionRecord, RecordRow
from urbanpipe.inspection.video_file import video_file
from urbanpipe.record.segments import RecordSegment
from urbanpipe.video.index import FrameIndex
from urbanpipe.video.isolated import index_frames, stream_frames


def added_name(row: RecordRow) -> str | None:
    """Return the name of the picture of a defect that a person added; None for any other row, or without a time."""
    if row.evidence is not None or row.occurrence is None or row.review is None:
        return None
    return f"{row.inspected.folder.name}/{row.occurrence.seconds:.3f}.jpg"


def write_added_pictures(segments: Sequence[RecordSegment], folder: Path) -> list[str]:
    """Write the frames at the times of added defects into a folder, and return their names.

    A video that is not at hand, cannot be read, or has other contents than when it was inspected has no picture.
    """
    names: list[str] = []
    for rows in _by_video(row for segment in segments for row in segment.rows).values():
        names += _write(rows[0].inspected, rows, folder)
    return names


def _by_video(rows: Iterable[RecordRow]) -> dict[str, list[RecordRow]]:
    added: defaultdict[str, list[RecordRow]] = defaultdict(list)
    for row in rows:
        if added_name(row) is not None:
            added[row.inspected.name].append(row)
    return added


def _write(one: InspectionRecord, rows: Sequence[RecordRow], folder: Path) -> list[str]:
    """Write the frames of one video, one at a time; return the names of those that could be read."""
    path = video_file(one.inspection, None if one.read_picture else one.folder)
    names: list[str] = []
    try:
        index = index_frames(path, hashed=True) if path else None
        if index is None or index.digest != one.inspection.video.digest:
            return []
        by_frame = _names_by_frame(rows, index)
        for number, frame in stream_frames(index.path, list(by_frame), index=index, on_damage="conceal"):
            for name in by_frame[number]:
                (folder / name).parent.mkdir(exist_ok=True)
                Image.fromarray(frame).save(folder / name, quality=90)
                names.append(name)
    except (VideoError, OSError):
        pass
    return names


def _names_by_frame(rows: Sequence[RecordRow], index: FrameIndex) -> dict[int, list[str]]:
    """Return the names of pictures by frame; a time outside the video has its first or last frame."""
    found: defaultdict[int, list[str]] = defaultdict(list)
    for row in rows:
        if row.occurrence and (name := added_name(row)):
            seconds = min(max(row.occurrence.seconds, 0.0), index.duration_seconds)
            found[int(index.frame_at(np.array(seconds)))].append(name)
    return found
