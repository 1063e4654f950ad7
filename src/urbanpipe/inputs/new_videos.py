"""Reading of videos without a catalog."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from urbanpipe.catalog.files import find_videos, video_names
from urbanpipe.contracts.names import canonical_name
from urbanpipe.errors import CatalogError, PredictionError, VideoError
from urbanpipe.inputs.batches import Sample
from urbanpipe.inputs.reading import stream_segments
from urbanpipe.inputs.view import View


def new_samples(
    paths: Sequence[Path], view: View, max_segments: int, first: int = 0, step: int = 1
) -> Iterator[Sample]:
    """Yield the segments of every `step`-th video, starting with `first`; each video is read in one pass.

    Args:
        paths: the videos.
        view: how the method cuts a video into segments.
        max_segments: largest number of segments per sample.
        first: index of the first video.
        step: step from one video to the next.
    """
    for index in range(first, len(paths), step):
        held = None
        try:
            for segments in stream_segments(paths[index], view, max_segments):
                if held is not None:
                    yield Sample(index, held, whole=False)
                held = segments
        except VideoError as error:
            yield Sample(index, error)
        else:
            assert held is not None
            yield Sample(index, held)


def named_videos(videos: Sequence[Path]) -> dict[str, Path]:
    """Return the given files, and the videos in the given folders, by name.

    Files of the same name within a folder are named by their paths.

    Raises:
        CatalogError: a path is missing, or a folder has no videos.
        PredictionError: two different files have the same name.
    """
    paths_by_name: dict[str, Path] = {}
    for given in videos:
        if given.is_dir():
            paths = find_videos(given).paths
            named = {name: paths[relative] for relative, name in video_names(list(paths)).items()}
        elif given.exists():
            named = {canonical_name(given.name): given}
        else:
            raise CatalogError(f"{given} is missing; give videos, or folders with videos")
        for name, path in named.items():
            if (other := paths_by_name.setdefault(name, path)).absolute() != path.absolute():
                raise PredictionError(f"{other} and {path} have the same name; give them one folder at a time")
    return paths_by_name
