"""Whatever bytes of a file are damaged, a reader gives frames or a `VideoError`, and nothing else."""

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest

from helpers.video_files import FRAGMENTS, MPEG, VPX, X265, write, x264
from urbanpipe.errors import VideoError
from urbanpipe.video.decode import index_frames, read_frames, stream_decoded, stream_frames
from urbanpipe.video.probe import probe

SEEDS = 30
COUNT, SIZE = 25, (192, 48)
VIDEOS: dict[str, Callable[[Path], Path]] = {
    "mp4": lambda to: write(to / "a.mp4", COUNT, options=x264(10), size=SIZE),
    "fragmented mp4": lambda to: write(to / "f.mp4", COUNT, options=x264(10), container=FRAGMENTS, size=SIZE),
    "mov": lambda to: write(to / "a.mov", COUNT, codec="libx265", options=X265, size=SIZE),
    "mkv": lambda to: write(to / "a.mkv", COUNT, options=x264(10), size=SIZE),
    "webm": lambda to: write(to / "a.webm", COUNT, codec="libvpx-vp9", options=VPX, size=SIZE),
    "avi": lambda to: write(to / "a.avi", COUNT, codec="mpeg4", options=MPEG, size=SIZE),
    "ts": lambda to: write(to / "a.ts", COUNT, options=x264(10), size=SIZE),
    "mpg": lambda to: write(to / "a.mpg", COUNT, codec="mpeg2video", options=MPEG, size=SIZE),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    return cache(lambda name: VIDEOS[name](tmp_path_factory.mktemp("sound")))


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Bytes with flipped bits, cut, with a run of zeros, or with a wrong 32-bit number near the start or anywhere."""
    changed = np.frombuffer(data, dtype=np.uint8).copy()
    kind = rng.integers(5)
    if kind == 0:
        return data[: int(rng.integers(1, len(data)))]
    at = int(rng.integers(len(data) if rng.random() < 0.5 else min(1500, len(data))))
    if kind == 1:
        changed[at : at + int(rng.integers(1, 400))] = 0
    elif kind == 2:
        changed[at : at + 4] = rng.integers(0, 256, len(changed[at : at + 4]))
    else:
        for place in [at, *rng.integers(len(data), size=int(rng.integers(0, 8)))]:
            changed[place] ^= 1 << int(rng.integers(8))
    return changed.tobytes()


def _read(path: Path) -> int:
    index = index_frames(path)
    assert index.frame_count >= 1
    assert np.isfinite(index.times_seconds).all()
    assert np.isfinite(index.player_seconds(np.arange(index.frame_count))).all()
    assert (np.diff(index.times_seconds) > 0).all()
    assert index.duration_seconds >= index.times_seconds[-1]
    wanted = np.unique([0, index.frame_count // 2, index.frame_count - 1])
    assert read_frames(path, wanted, SIZE, index, "conceal").shape == (len(wanted), *SIZE[::-1], 3)
    assert all(0 <= number < index.frame_count for number, _ in stream_frames(path, None, SIZE, index, "conceal"))
    for _ in stream_decoded(index, wanted, "conceal"):
        pass
    assert probe(path, thorough=True).frame_count == index.frame_count
    return index.frame_count


@pytest.mark.slow
@pytest.mark.parametrize("name", VIDEOS)
def test_frames_or_a_video_error(name: str, sound: Callable[[str], Path], tmp_path: Path) -> None:
    data = sound(name).read_bytes()
    av.logging.set_level(None)
    logging.disable(logging.WARNING)
    readable = 0
    try:
        for seed in range(SEEDS):
            path = tmp_path / f"{seed}{sound(name).suffix}"
            path.write_bytes(damaged(data, np.random.default_rng(seed)))
            with suppress(VideoError):
                readable += _read(path) > 0
    finally:
        logging.disable(logging.NOTSET)
    assert readable > SEEDS / 5  # otherwise nothing was tried
