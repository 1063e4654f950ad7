"""Frame indices of the videos that were used last."""

import threading
from collections import OrderedDict
from pathlib import Path

from urbanpipe.errors import VideoError
from urbanpipe.review.media.jobs import Job
from urbanpipe.video.index import FrameIndex
from urbanpipe.video.isolated import check_regular, index_frames

MAX_VIDEOS = 16
Key = tuple[Path, int, int, int]


class IndexCache:
    """The frame indices of the videos that were used last; safe to call from several threads.

    A file that changes gets a new index. Callers that ask for the same video wait for the same work.

    Args:
        max_videos: number of indices to keep, at least 1; an hour of video takes about 3 MB.
    """

    def __init__(self, max_videos: int = MAX_VIDEOS) -> None:
        if max_videos < 1:
            raise ValueError(f"max_videos is {max_videos}; it must be at least 1")
        self._max_videos = max_videos
        self._lock = threading.Lock()
        self._jobs: OrderedDict[Key, Job[FrameIndex]] = OrderedDict()

    def index(self, path: Path) -> FrameIndex:
        """Return the index of a video; the first call takes one pass over the file.

        Raises:
            VideoError: the video cannot be read.
        """
        return self._job(path).result()

    def prepare(self, path: Path) -> bool:
        """Start to index a video if nobody has; return whether `index` returns or raises at once.

        Raises:
            VideoError: the file is missing, or not a regular file.
        """
        return self._job(path).is_done

    def _job(self, path: Path) -> Job[FrameIndex]:
        key = _key(path)
        with self._lock:
            job = self._jobs.get(key)
            if job is None or job.error is not None:  # a file that could not be read may be readable again
                job = self._jobs[key] = Job(lambda _: index_frames(key[0]), name=f"index of {key[0].name}")
            self._jobs.move_to_end(key)
            while len(self._jobs) > self._max_videos:
                self._jobs.popitem(last=False)
            return job


def _key(path: Path) -> Key:
    path = Path(path)
    check_regular(path)
    try:
        facts = path.stat()
    except OSError as error:
        raise VideoError(path, f"cannot be read ({error.strerror or error})") from None
    return path, facts.st_ino, facts.st_size, facts.st_mtime_ns
