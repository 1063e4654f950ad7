"""Check that a video can be read, which PyAV may refuse although it can be imported."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from urbanpipe.maintenance.check import Check

FRAMES = 5
_FIX = "run `pip install --force-reinstall av`; if that does not help, install an earlier version of PyAV"


def video_check(read: Callable[[Path], int] | None = None) -> Check:
    """Write a tiny clip into a temporary folder and decode all of it, as every verb does.

    Args:
        read: reads all frames of a video and returns how many; default: the decoder process.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="urbanpipe-", ignore_cleanup_errors=True) as folder:
            return _tried(Path(folder) / "clip.mp4", read or _decode)
    except OSError as error:
        return Check("video", "note", f"not tried: {error.strerror or error}", "see the temporary folder")


def _tried(clip: Path, read: Callable[[Path], int]) -> Check:
    step = "written"
    try:
        _write(clip)
        step = "read"
        found = read(clip)
    except Exception as error:  # whatever a library that does not fit the others raises
        reason = (str(error) or type(error).__name__).splitlines()[0]
        return Check("video", "broken", f"a clip cannot be {step}: {reason}", _FIX)
    if found != FRAMES:
        return Check("video", "broken", f"{found} of the {FRAMES} frames of a clip were read", _FIX)
    return Check("video", "ok", f"a clip of {FRAMES} frames was written and read")


def _write(clip: Path) -> None:
    import av

    with av.open(str(clip), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(FRAMES):
            container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode(None))


def _decode(clip: Path) -> int:
    from urbanpipe.video.isolated import index_frames, read_frames

    index = index_frames(clip)
    return len(read_frames(clip, range(index.frame_count), index=index))
