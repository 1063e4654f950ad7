"""Where an inspection lies: its folder, and the way from there to the video."""

import os
from pathlib import Path

from urbanpipe.catalog.catalog_file import printable
from urbanpipe.contracts.findings import Inspection, write_inspection


def placed(inspection: Inspection, video: Path, folder: Path) -> Inspection:
    """Write an inspection to the folder of its pictures, with the relative path from there to the video.

    Raises:
        OutputError: a file cannot be written.
    """
    result = inspection.model_copy(update={"video": inspection.video.model_copy(update=_way(video, folder))})
    write_inspection(result, folder)
    return result


def is_placed(inspection: Inspection, video: Path, folder: Path) -> bool:
    """Return whether an inspection names the video where it is now."""
    return _way(video, folder) == {"path": inspection.video.path, "relative": inspection.video.relative}


def _way(video: Path, folder: Path) -> dict[str, str]:
    real = video.resolve()
    return {"path": printable(str(real)), "relative": relative_path(real, folder.resolve())}


def relative_path(video: Path, folder: Path) -> str:
    """Return the path from a folder to a video; empty if there is none that a page can link to."""
    try:
        way = Path(os.path.relpath(video, folder)).as_posix()
    except ValueError:  # another drive
        return ""
    return way if way == printable(way) else ""  # a page cannot link to a path that is not valid text
