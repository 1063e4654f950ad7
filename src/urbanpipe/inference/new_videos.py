"""Videos that are in no catalog."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import IterableDataset, get_worker_info

from urbanpipe.catalog.files import find_videos, video_names
from urbanpipe.contracts.names import canonical_name
from urbanpipe.errors import CatalogError, PredictionError, VideoError
from urbanpipe.inputs.batches import Sample
from urbanpipe.inputs.reading import stream_segments
from urbanpipe.inputs.view import View


class NewVideos(IterableDataset[Any]):
    """Segments of videos that are in no catalog, a few at a time; each video is read in one pass by one worker.

    Args:
        paths: the videos.
        view: cuts them.
        most: segments of a video at once.
    """

    def __init__(self, paths: Sequence[Path], view: View, most: int) -> None:
        self.paths, self.view, self.most = paths, view, most

    def __iter__(self) -> Iterator[Sample]:
        worker = get_worker_info()
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for place in range(first, len(self.paths), step):
            yield from self._samples(place)

    def _samples(self, place: int) -> Iterator[Sample]:
        held = None
        try:
            for segments in stream_segments(self.paths[place], self.view, self.most):
                if held is not None:
                    yield Sample(place, held, whole=False)
                held = segments
        except VideoError as error:
            yield Sample(place, error)
        else:
            assert held is not None
            yield Sample(place, held)


def named_videos(videos: Sequence[Path]) -> dict[str, Path]:
    """Files by name: those given and those below the folders given; a name that recurs is told apart by its path.

    Raises:
        CatalogError: a path is missing, or a folder has no videos.
        PredictionError: two different files are given under one name.
    """
    found: dict[str, Path] = {}
    for given in videos:
        if given.is_dir():
            paths = find_videos(given).paths
            named = {name: paths[relative] for relative, name in video_names(list(paths)).items()}
        elif given.exists():
            named = {canonical_name(given.name): given}
        else:
            raise CatalogError(f"{given} is missing; give videos, or folders with videos")
        for name, path in named.items():
            if (other := found.setdefault(name, path)).absolute() != path.absolute():
                raise PredictionError(f"{other} and {path} have the same name; give them one folder at a time")
    return found
