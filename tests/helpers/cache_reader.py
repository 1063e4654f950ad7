"""What one of several processes does that share a folder of frames; a started process imports it from here."""

from pathlib import Path

import numpy as np

from helpers.video_files import number_in
from urbanpipe.video.cache import FrameCache

SIZE = (192, 144)


def read_many(folder: Path, video: tuple[Path, str], max_bytes: int, seed: int) -> list[tuple[int, int]]:
    """Read 40 frames through the cache in `folder`: for each, its number and the number burnt into it."""
    cache = FrameCache(folder, max_bytes)
    numbers = np.random.default_rng(seed).integers(0, 12, 40)
    return [(int(number), number_in(cache.frames(*video, [number], SIZE)[0])) for number in numbers]
