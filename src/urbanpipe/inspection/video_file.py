"""Where the file of an inspected video is now."""

from pathlib import Path

from urbanpipe.contracts.findings import Inspection
from urbanpipe.errors import VideoError
from urbanpipe.video.isolated import check_regular


def video_file(inspection: Inspection, folder: Path | None) -> Path | None:
    """Return the file of a video: beside its inspection where it was then, or at its old path; None if it is missing.

    Args:
        inspection: the inspection.
        folder: its folder; None if it lies in an archive.
    """
    video = inspection.video
    places = [folder / video.relative] if folder and video.relative else []
    for place in (*places, Path(video.path)):
        try:
            check_regular(place)
        except VideoError:
            continue
        return place.resolve()
    return None
