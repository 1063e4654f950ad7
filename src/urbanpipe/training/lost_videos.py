"""Videos that a run began with and that can no longer be read, or have another content."""

from collections.abc import Sequence
from pathlib import Path

from urbanpipe.catalog.catalog_file import OK, Catalog, Video
from urbanpipe.contracts.run_folder import DONE, read_left_out
from urbanpipe.errors import VideoError
from urbanpipe.inputs.reading import unchanged
from urbanpipe.training.experiment import Experiment
from urbanpipe.training.run import begun_rows
from urbanpipe.video.cache import FrameCache


def lost_videos(run: Path, experiment: Experiment, videos: Sequence[Video]) -> dict[str, str]:
    """Return the reasons, by name, of videos of an unfinished run that were lost since it began.

    A video is lost if its file is gone, unreadable or changed, whether the catalog says so already or not.

    Args:
        run: the run folder.
        experiment: the catalog, folds and cache.
        videos: readable and labelled videos of the catalog.
    """
    if not (run / "recipe.toml").exists() or _is_finished(run, experiment):
        return {}
    return videos_lost_since(run, videos, experiment.catalog, experiment.cache)


def videos_lost_since(run: Path, videos: Sequence[Video], catalog: Catalog, cache: FrameCache | None) -> dict[str, str]:
    """Return the reasons, by name, of videos that a run began with and that were lost since.

    Args:
        run: the folder of a run that has begun.
        videos: the videos of the catalog that the run would use now.
        catalog: the catalog.
        cache: the frame cache.
    """
    current = {video.name: video for video in videos}
    status = {video.name: video.status for video in catalog.videos}
    left_out = read_left_out(run)
    reasons = {}
    for (name, digest, *_), path in begun_rows(run):
        if name in left_out:
            continue
        if (video := current.get(name)) is None:
            reason = status.get(name, OK if path.exists() else "no such file")
            reason = "" if reason == OK else reason
        elif video.digest != digest:
            reason = "changed since the run began"
        else:
            reason = _change(video, cache)
        if reason:
            reasons[name] = reason
    return reasons


def _is_finished(run: Path, experiment: Experiment) -> bool:
    folders = [run / f"fold{number}" for number in experiment.fold_numbers] if experiment.folds else [run]
    return all((folder / DONE).exists() for folder in folders)


def _change(video: Video, cache: FrameCache | None) -> str:
    """Return why a video of the catalog cannot be read any more; empty if its file has not changed."""
    try:
        unchanged(video, cache)
    except VideoError as error:
        return error.reason
    return ""
