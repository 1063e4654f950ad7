"""The feature memory of the dense method: one float16 feature a clip of the training set, on disk and mapped.

The bag method keeps the features of its frames in one.

A file is a header of HEADER bytes (JSON: what the features are of), the step at which each slot was written (int64, -1
for never), and the features. Every process has one of its own; at the end of an epoch they tell each other what they
wrote, and the first keeps a copy, from which a killed run goes on.
"""

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from urbanpipe.catalog.catalog_file import Video
from urbanpipe.errors import RunError
from urbanpipe.learners.config import RecipeSettings
from urbanpipe.outputs import explained, reserve, whole_path

HEADER = 4096
NEVER = -1


class FeatureMemory:
    """Features of all clips of all training videos.

    Args:
        path: the file; made anew.
        clips: how many each video has.
        width: D, of a feature.
        fingerprint: of data set, encoder and precision.

    Attributes:
        stamps: step at which each slot was written, (slots,) int64, -1 for never.
    """

    def __init__(self, path: Path, clips: Sequence[int], width: int, fingerprint: str) -> None:
        self.path, self.width = path, width
        self._starts = np.concatenate([[0], np.cumsum(clips, dtype=np.int64)])
        self._header = json.dumps({"fingerprint": fingerprint, "slots": self.slots, "width": width}).encode()
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self._header.ljust(HEADER))
        reserve(path, self._size)
        self._map()
        self.stamps[:] = NEVER
        self._dirty = np.zeros(self.slots, dtype=bool)

    @property
    def slots(self) -> int:
        """Clips of all videos."""
        return int(self._starts[-1])

    @property
    def _size(self) -> int:
        return HEADER + self.slots * (8 + 2 * self.width)

    def _map(self) -> None:
        features = HEADER + 8 * self.slots
        self.stamps = np.memmap(self.path, np.int64, "r+", HEADER, (self.slots,))
        self._features = np.memmap(self.path, np.float16, "r+", features, (self.slots, self.width))

    def read(self, video: int) -> Tensor:
        """Features (clips, width), float32, of a video."""
        part = self._features[self._starts[video] : self._starts[video + 1]]
        return torch.from_numpy(part.astype(np.float32))

    def write(self, video: int, rows: NDArray[np.int64], features: Tensor, step: int) -> None:
        """Overwrite the clips `rows` of a video with features (rows, width).

        Raises:
            RunError: a feature is not a number, or too large for float16; nothing is written.
        """
        with np.errstate(over="ignore"):
            values = features.detach().float().cpu().numpy().astype(np.float16)
        if not np.isfinite(values).all():
            raise RunError(
                f"features are not finite numbers at step {step}; lower optimiser.learning_rate, or set "
                "training.precision to bf16 or fp32"
            )
        slots = self._starts[video] + rows
        self._features[slots], self.stamps[slots], self._dirty[slots] = values, step, True

    @property
    def dirty(self) -> int:
        """Slots written here and not told yet."""
        return int(self._dirty.sum())

    def export_updates(self, most: int) -> tuple[NDArray[np.int64], NDArray[np.float16], NDArray[np.int64]]:
        """Up to `most` slots written here and not told before, their features and their stamps."""
        slots = np.flatnonzero(self._dirty)[:most]
        self._dirty[slots] = False
        return slots, np.asarray(self._features[slots]), np.asarray(self.stamps[slots])

    def apply_updates(self, slots: NDArray[np.int64], features: NDArray[np.float16], stamps: NDArray[np.int64]) -> None:
        """Write what a process has told, except where something later stands."""
        newer = stamps >= self.stamps[slots]
        self._features[slots[newer]], self.stamps[slots[newer]] = features[newer], stamps[newer]

    def save_copy(self, path: Path) -> None:
        """Write the whole memory to `path`, whole or not at all."""
        self.stamps.flush()
        self._features.flush()
        with whole_path(path) as temporary:
            shutil.copyfile(self.path, temporary)

    def load_copy(self, path: Path) -> str:
        """Take the memory from a copy; returns "" or why there is none that can be used.

        Raises:
            RunError: it is of another data set, encoder or precision.
        """
        if not path.is_file():
            return f"{path} is gone"
        with path.open("rb") as file:
            header = file.read(HEADER)
        try:
            found = json.loads(header)
        except ValueError:
            return f"{path} is damaged"
        if found != json.loads(self._header):
            raise RunError(
                f"{path} is a feature memory of another data set, encoder or precision; delete {path.parent} to begin "
                "this model again"
            )
        if path.stat().st_size != self._size:
            return f"{path} was cut short"
        with explained(self.path):
            shutil.copyfile(path, self.path)
        self._map()
        return ""


def fingerprint(recipe: RecipeSettings, videos: Sequence[Video]) -> str:
    """What the features of a memory depend on, but for the first weights, which are always those of its run."""
    data = [(video.name, video.digest, video.frame_count) for video in videos]
    encoder = [
        recipe.input.model_dump(),
        recipe.model.model_dump(exclude={"weights"}),
    ]
    text = json.dumps([data, encoder, recipe.training.precision])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
