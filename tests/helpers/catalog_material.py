"""Small video files to make catalogs of."""

from pathlib import Path

import av
import numpy as np


def write_video(path: Path, frames: int = 6, size: tuple[int, int] = (64, 48), rate: int = 10, level: int = 0) -> Path:
    """A tiny MPEG-4 video whose pictures depend on `level`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="avi" if path.suffix.lower() == ".avi" else "mp4") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for number in range(frames):
            picture = np.full((size[1], size[0], 3), (17 * number + 31 * level) % 256, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def write_sound(path: Path) -> Path:
    """A file with a video's extension that holds only sound."""
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        for _ in range(4):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate = 8000
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
