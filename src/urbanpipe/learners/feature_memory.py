"""The feature memory of the dense method: one float16 feature per clip of the training set, in a memory-mapped file.

The bag method uses it to store the features of its frames.

A file consists of a header of HEADER bytes (JSON that identifies the features), the step at which each slot was written
(int64, -1 for never), and the features. Every process has a file of its own. At the end of an epoch the processes
exchange their updates, and the main process keeps a copy from which an interrupted run resumes.
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
        path: the file; an existing one is overwritten.
        clips: number of clips of each video.
        width: D, size of a feature.
        fingerprint: fingerprint of data set, encoder and precision.

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
        """Total number of clips of all videos."""
        return int(self._starts[-1])

    @property
    def _size(self) -> int:
        return HEADER + self.slots * (8 + 2 * self.width)

    def _map(self) -> None:
        features = HEADER + 8 * self.slots
        self.stamps = np.memmap(self.path, np.int64, "r+", HEADER, (self.slots,))
        self._features = np.memmap(self.path, np.float16, "r+", features, (self.slots, self.width))

    def close(self) -> None:
        """Unmap the file, which Windows does not let anyone replace or remove before."""
        del self.stamps, self._features

    def read(self, video: int) -> Tensor:
        """Return the features (clips, width), float32, of a video."""
        part = self._features[self._starts[video] : self._starts[video + 1]]
        return torch.from_numpy(part.astype(np.float32))

    def write(self, video: int, rows: NDArray[np.int64], features: Tensor, step: int) -> None:
        """Overwrite the clips `rows` of a video with features (rows, width).

        Raises:
            RunError: a feature is NaN or too large for float16; nothing is written.
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
        """Number of slots with updates that have not been exported."""
        return int(self._dirty.sum())

    def export_updates(self, most: int) -> tuple[NDArray[np.int64], NDArray[np.float16], NDArray[np.int64]]:
        """Return up to `most` updated slots that were not exported before, with their features and stamps."""
        slots = np.flatnonzero(self._dirty)[:most]
        self._dirty[slots] = False
        return slots, np.asarray(self._features[slots]), np.asarray(self.stamps[slots])

    def apply_updates(self, slots: NDArray[np.int64], features: NDArray[np.float16], stamps: NDArray[np.int64]) -> None:
        """Write the updates of another process, except to slots that hold newer features."""
        newer = stamps >= self.stamps[slots]
        self._features[slots[newer]], self.stamps[slots[newer]] = features[newer], stamps[newer]

    def save_copy(self, path: Path) -> None:
        """Write the whole memory to `path` atomically."""
        self.stamps.flush()
        self._features.flush()
        with whole_path(path) as temporary:
            shutil.copyfile(self.path, temporary)

    def load_copy(self, path: Path) -> str:
        """Load the memory from a copy; return "" or the reason why the copy cannot be used.

        Raises:
            RunError: the copy belongs to another data set, encoder or precision.
        """
        if not path.is_file():
            return f"{path} is missing"
        with path.open("rb") as file:
            header = file.read(HEADER)
        try:
            recorded = json.loads(header)
        except (ValueError, RecursionError):
            return f"{path} is damaged"
        if recorded != json.loads(self._header):
            raise RunError(
                f"{path} is a feature memory of another data set, encoder or precision; delete {path.parent} to start "
                "this model again"
            )
        if path.stat().st_size != self._size:
            return f"{path} is truncated"
        self.close()
        with explained(self.path):
            shutil.copyfile(path, self.path)
        self._map()
        return ""


def fingerprint(recipe: RecipeSettings, videos: Sequence[Video]) -> str:
    """Return a digest of everything that features depend on, except the initial weights, which belong to the run."""
    data = [(video.name, video.digest, video.frame_count) for video in videos]
    encoder = [
        recipe.input.model_dump(),
        recipe.model.model_dump(exclude={"weights"}),
    ]
    text = json.dumps([data, encoder, recipe.training.precision])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
