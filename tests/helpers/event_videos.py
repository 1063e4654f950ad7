"""Videos of a minute, half of them with one event of a second that none of nine uniform frames shows."""

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from helpers.tiny_recipes import DENSE_NETWORK
from urbanpipe.catalog.catalog_file import Video, read_catalog
from urbanpipe.catalog.scan import scan
from urbanpipe.outputs import write_json
from urbanpipe.video.sampling import uniform

SECONDS, RATE = 60, 2
EVENT_FRAMES = RATE
EVENT, NOTHING = 1, 0  # class indices
SETTINGS = (  # of small-dense, for a network that learns the event in a minute
    *DENSE_NETWORK,
    "optimiser.learning_rate=3e-3",
    "optimiser.warmup_epochs=2",
    "loss.name=bce",
    "training.precision=fp32",
    "input.memory.refresh_epochs=2",
    "input.memory.warmup_epochs=1",
    "input.memory.final_epochs=1",
    "training.epochs=12",
    "training.accumulation=1",
    "training.ema_decay=0",
    "training.workers=0",
)


def write_video(path: Path, event: int | None, rng: np.random.Generator) -> None:
    """A video of 32x32 px, with the event from frame `event` on."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(RATE), options={"qp": "20", "g": "12"})
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for number in range(SECONDS * RATE):
            # Noise that is new in every frame: nothing but the event tells one video from another.
            picture = rng.integers(60, 110, (32, 32, 1), dtype=np.uint8).repeat(3, axis=2)
            if event is not None and event <= number < event + EVENT_FRAMES:
                picture[8:24, 8:24] = 230
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())


def make_events(folder: Path, videos: int) -> None:
    """Write a catalog of such videos, and the first frame of the event by name."""
    rng = np.random.default_rng(0)
    (folder / "videos").mkdir()
    nine = set(uniform(SECONDS * RATE, 9).tolist())
    hidden = [at for at in range(SECONDS * RATE - 1) if not set(range(at, at + EVENT_FRAMES)) & nine]
    labels: dict[str, list[int]] = {}
    when: dict[str, int] = {}
    for number in range(videos):
        name, event = f"{number}_1.mp4", int(rng.choice(hidden)) if number % 2 else None
        write_video(folder / "videos" / name, event, rng)
        labels[name] = [NOTHING] if event is None else [EVENT]
        when |= {} if event is None else {name: event}
    write_json(folder / "labels.json", labels)
    write_json(folder / "when.json", when)
    scan(folder / "videos", out=folder / "catalog.csv", labels=folder / "labels.json", workers=1)


def read_events(folder: Path) -> tuple[list[Video], dict[str, int]]:
    """Return the rows of the catalog of `make_events`, and the first frame of the event by name."""
    when: dict[str, int] = json.loads((folder / "when.json").read_text())
    return list(read_catalog(folder / "catalog.csv").labelled), when
