"""Pictures of defects that people added: frames of the videos, as the networks kept none."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from urbanpipe.errors import VideoError
from urbanpipe.exports.records import InspectionRecord, RecordRow
from urbanpipe.record.segments import RecordSegment
from urbanpipe.video.isolated import index_frames, read_frames


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
    """Write the frames of one video; return their names."""
    video = one.inspection.video
    try:
        index = index_frames(Path(video.path), hashed=True)
        if index.digest != video.digest:
            return []
        seconds = np.array([row.occurrence.seconds for row in rows if row.occurrence])
        frames = read_frames(index.path, index.frame_at(seconds), index=index, on_damage="conceal")
    except (VideoError, OSError):
        return []
    names = [name for row in rows if (name := added_name(row))]
    for name, frame in zip(names, frames, strict=True):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.fromarray(frame).save(folder / name, quality=90)
    return names
