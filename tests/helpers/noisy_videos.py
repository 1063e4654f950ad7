"""Videos of noise and videos with corrupt data, for inspections."""

from pathlib import Path

import av
import numpy as np

from urbanpipe.catalog.scan import scan


def noisy_video(
    path: Path, rng: np.random.Generator, colour: bool, frames: int = 6, size: int = 64, brightest: int = 255
) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=5, options={"qp": "20"})
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        level = rng.integers(60, 180)
        for _ in range(frames):
            grey = np.clip(rng.normal(level, 25, (size // 8, size // 8, 1)).repeat(3, 2), 0, 255)
            squares = rng.choice([0, brightest], grey.shape) if colour else grey
            pixels = squares.repeat(8, 0).repeat(8, 1).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode())


def spoilt_video(path: Path, frames: int = 100) -> None:
    """Ten frames a second, each brighter than the last; six packets in the middle are random bytes."""
    rng = np.random.default_rng(5)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"qp": "10", "g": "10", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for number in range(frames):
            pixels = np.full((64, 64, 3), number * 2 + 30, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode())
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    for position, size in packets[51:57]:
        assert position is not None
        data[position + 5 : position + size] = rng.integers(0, 256, size - 5, dtype=np.uint8).tobytes()
    path.write_bytes(data)


def noisy_catalog(folder: Path, videos: int = 60) -> Path:
    """The catalog of grey videos with the names that `finished_run` uses."""
    (folder / "videos").mkdir()
    rng = np.random.default_rng(3)
    for number in range(videos):
        noisy_video(folder / "videos" / f"d{number}_1.mp4", rng, colour=False)
    scan(folder / "videos", out=folder / "catalog.csv")
    return folder / "catalog.csv"
