"""Predictions of single videos, kept on disk until the results of all are written: an interrupted `predict` resumes."""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from urbanpipe.inference.members import find_trained, weight_files
from urbanpipe.inference.prediction import VideoPrediction
from urbanpipe.outputs import whole_file

_FIELDS = ("scores", "segments", "seconds")


def models_identity(model: Path, device: str) -> str:
    """Return what identifies the networks of a run or an ensemble: their recipes, and the state of their weight files.

    Raises:
        RunError: a network is missing.
    """
    parts = [device]
    for run, weight in find_trained(model).runs:
        parts += [str(weight), (run / "recipe.toml").read_text(encoding="utf-8")]
        parts += [_state(path) for path in weight_files(run)]
    return "\0".join(parts)


def _state(path: Path) -> str:
    status = path.stat()
    return f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}"


class KeptPredictions:
    """A folder with a file per video and group of networks.

    A file's name is a hash of all that determines its content: the networks, and path, size and modification time of
    the video. Incomplete files never carry such a name.

    Args:
        folder: created with the first file.
        identity: what identifies all networks, see `models_identity`.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self.folder, self._identity = folder, identity

    def file_of(self, video: Path, members: Sequence[int]) -> Path | None:
        """Return the file for the predictions of some members for a video as it is now; None if it cannot be read.

        Args:
            video: the video file.
            members: indices of the members.
        """
        try:
            state = _state(video)
        except OSError:
            return None
        key = f"{self._identity}\0{list(members)}\0{state}".encode(errors="surrogateescape")
        return self.folder / f"{hashlib.blake2b(key, digest_size=16).hexdigest()}.npz"

    def remove(self) -> None:
        """Remove all files, once the results of all videos are written."""
        shutil.rmtree(self.folder, ignore_errors=True)


def load_predictions(file: Path, members: int) -> list[VideoPrediction] | None:
    """Return the predictions of a file, one per member; None if it is missing, damaged or of other members."""
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            return [VideoPrediction(*(arrays[f"{place}.{field}"] for field in _FIELDS)) for place in range(members)]
    except Exception:  # whatever a damaged archive raises: the video is predicted again
        return None


def store_predictions(file: Path, predictions: Sequence[VideoPrediction]) -> None:
    """Write predictions, one per member.

    Raises:
        OutputError: the file cannot be written.
    """
    arrays = {
        f"{place}.{field}": getattr(prediction, field)
        for place, prediction in enumerate(predictions)
        for field in _FIELDS
    }
    with whole_file(file, "wb") as opened:
        np.savez(opened, **arrays)
