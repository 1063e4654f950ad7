"""How many times the bytes of a video are read: for its frame index and digest, and for two frames per second.

    python benchmarks/bytes_read.py VIDEO [VIDEO ...]

The counters of the system (`/proc/self/io`, Linux) say what this process reads; mapped bytes are not in them. The first
video is read once before, since that loads modules.
"""

import argparse
from pathlib import Path

import numpy as np

from urbanpipe.evaluation.tables import markdown_table
from urbanpipe.video.decode import stream_decoded
from urbanpipe.video.index import index_frames


def bytes_read() -> int:
    """Return the bytes that this process has read so far."""
    return int(Path("/proc/self/io").read_text(encoding="ascii").split()[1])


def times_read(video: Path) -> tuple[float, float]:
    """Return the bytes that index and digest read, and those of the pictures, in file sizes."""
    size, start = video.stat().st_size, bytes_read()
    index = index_frames(video, hashed=True)
    indexed = bytes_read()
    wanted = np.searchsorted(index.times_seconds, np.arange(0, index.times_seconds[-1], 0.5))
    assert len(list(stream_decoded(index, np.unique(wanted).tolist())))
    return (indexed - start) / size, (bytes_read() - indexed) / size


def main() -> None:
    """Print a row per video."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, nargs="+")
    videos: list[Path] = parser.parse_args().videos
    times_read(videos[0])
    rows = []
    for video in videos:
        index, pictures = times_read(video)
        size = f"{video.stat().st_size / 1e6:.1f}"
        rows.append([video.name, size, f"{index:.2f}", f"{pictures:.2f}", f"{index + pictures:.2f}"])
    print(markdown_table(["file", "MB", "index and digest", "pictures", "together"], rows, left=1))


if __name__ == "__main__":
    main()
