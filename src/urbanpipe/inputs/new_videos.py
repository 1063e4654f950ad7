"""Reading of videos without a catalog."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from urbanpipe.catalog.catalog_file import printable
from urbanpipe.catalog.files import find_videos, video_names
from urbanpipe.contracts.distinct_names import distinct_file_names
from urbanpipe.contracts.names import canonical_name, short_hash
from urbanpipe.errors import CatalogError, VideoError
from urbanpipe.inputs.batches import Sample
from urbanpipe.inputs.reading import stream_segments
from urbanpipe.inputs.view import View
from urbanpipe.locations import local_path


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

    Files of the same name within a folder are named by their relative paths. Where that leaves equal names, files of
    the same name are named by the shortest ends of their paths that differ. A file given twice counts once.

    Raises:
        CatalogError: a path is missing, or a folder has no videos.
    """
    found: dict[tuple[str, Path], Path] = {}
    for given in videos:
        for name, path in _named(given):
            found.setdefault((name, path.resolve()), path)
    names, paths = [name for name, _ in found], list(found.values())
    if len(set(names)) < len(names):
        files = [(printable(path.name), printable(str(path.absolute()))) for path in paths]
        hashed = [f"{name} ({short_hash(str(path.absolute()))})" for (name, _), path in found.items()]
        names = distinct_file_names(files, hashed)
    return dict(zip(names, paths, strict=True))


def _named(given: Path) -> Iterator[tuple[str, Path]]:
    """Yield the name and path of a given file, or of each video in a given folder."""
    given = local_path(given)
    if given.is_dir():
        paths = find_videos(given).paths
        yield from ((name, paths[relative]) for relative, name in video_names(list(paths)).items())
    elif given.exists():
        yield canonical_name(printable(given.name)), given
    else:
        raise CatalogError(f"{given} is missing; give videos, or folders with videos")
