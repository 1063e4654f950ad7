"""The content of a video before its inspection: known from an earlier call, or read; the next video is read ahead."""

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from urbanpipe.archive.known_files import KnownFile, Reading, read_known
from urbanpipe.errors import VideoError
from urbanpipe.video.index import FrameIndex
from urbanpipe.video.isolated import check_regular, index_frames
from urbanpipe.video.isolated import digest as digest_of


@dataclass(frozen=True)
class Examined:
    """A video file and its content.

    Attributes:
        reading: the reading, which also serves the inspection.
        known: the digest of the file and its state.
        is_new: whether `known` is not on disk as it is.
        index: frame index, where the file was not known before.
        failure: why the file is not a readable video; None if it is, or nobody knows.
    """

    reading: Reading
    known: KnownFile
    is_new: bool = True
    index: FrameIndex | None = None
    failure: VideoError | None = None


def examined(path: Path, folder: Path | None, *, verify: bool) -> Examined:
    """Return the content of a video. A file that is in the state of an earlier call is not read.

    A file that is likely to be inspected is indexed and hashed in one pass, others are hashed alone.

    Args:
        path: the file.
        folder: folder of an earlier inspection of this file, if there is one.
        verify: read the file in any case.

    Raises:
        VideoError: the file is not a regular file, cannot be read, or changes while it is read.
    """
    check_regular(path)
    reading = Reading(path)
    before = read_known(folder) if folder else None
    if before and before.state == reading.state and before.is_sure and not verify:
        return Examined(reading, before, is_new=False)
    index, failure = None, None
    if folder is None or (before and before.state.size_bytes != reading.state.size_bytes):
        try:
            index = index_frames(path, hashed=True)
        except VideoError as error:
            failure = error
    known = reading.known(index.digest if index else digest_of(path))
    reading.check()
    if before and before.digest == known.digest:
        known = known.model_copy(update={"report": before.report})
    return Examined(reading, known, index=index, failure=failure)


class ExaminedLater:
    """A video that is examined in a thread, which does not keep the process alive.

    Args:
        path: the file.
        examine: examines it.
        after: another one, which is examined first.
    """

    def __init__(self, path: Path, examine: Callable[[Path], Examined], after: "ExaminedLater | None") -> None:
        self.path, self._examine = path, examine
        self._result: Examined | Exception | None = None
        self._thread = threading.Thread(target=self._run, args=(after,), daemon=True)
        self._thread.start()

    def _run(self, after: "ExaminedLater | None") -> None:
        if after:
            after.wait()
        try:
            self._result = self._examine(self.path)
        except Exception as error:  # raised again where the result is asked for
            self._result = error

    def wait(self) -> None:
        """Wait until the video is examined."""
        self._thread.join()

    def result(self) -> Examined:
        """Wait for the result, and return it.

        Raises:
            Exception: what examining it raised.
        """
        self.wait()
        if isinstance(self._result, Exception):
            raise self._result
        assert self._result is not None, "there is a result or an error"
        return self._result

    def without_index(self) -> "ExaminedLater":
        """Return the same without its index, which takes memory while the video waits."""
        if isinstance(self._result, Examined):
            self._result = replace(self._result, index=None)
        return self


def examined_ahead(
    videos: Iterable[tuple[str, Path]], examine: Callable[[Path], Examined]
) -> Iterator[tuple[str, ExaminedLater]]:
    """Yield names and videos; while the caller works on one, the next is examined."""
    current: tuple[str, ExaminedLater] | None = None
    for name, path in videos:
        following = name, ExaminedLater(path, examine, current[1] if current else None)
        if current:
            yield current
        current = following
    if current:
        yield current
