"""A runtime is one class, and prediction with it needs no torch."""

import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

SCRIPT = '''
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path


class NoTorch(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision", "timm"):
            raise ImportError(f"{name} is not installed here")


sys.meta_path.insert(0, NoTorch())

import numpy as np

from urbanpipe.inference import Encoded, VideoPrediction, predict_batches
from urbanpipe.inference.bundle import DEMONSTRATION, read_manifest
from urbanpipe.inputs.batches import batches_of
from urbanpipe.inputs.new_videos import new_samples
from urbanpipe.methods import load_recipe


class Brightness:
    """Two classes: how bright a segment is, and how dark."""

    def shares_encoder(self, other):
        return True

    def encode(self, images, real, observe=False):
        bright = images.reshape(len(images), -1).mean(axis=1, dtype=np.float32) / 255
        return Encoded(np.stack([bright, 1 - bright], axis=1))

    def aggregate(self, features, seconds):
        segments = features.astype(np.float64)
        return VideoPrediction(segments.max(axis=0), segments, seconds)


recipe = load_recipe("small-frame", ["input.size=32", "input.every_seconds=0.2"])
assert read_manifest(DEMONSTRATION).members
batches = batches_of(new_samples([Path(sys.argv[1])], recipe.view, 3), 3)
((index, (one, other)),) = predict_batches([Brightness(), Brightness()], batches)
assert index == 0
assert np.array_equal(one.scores, other.scores)
print(*one.scores.round(2), len(one.segments), *one.seconds[-1].round(2))
'''


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Ten frames, a fifth of a second apart two by two, of which the sixth and seventh are white."""
    path = tmp_path / "flash.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"qp": "0"})
        stream.width = stream.height = 32
        for number in range(10):
            pixels = np.full((32, 32, 3), 255 if number in (6, 7) else 0, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_prediction_needs_no_torch(video: Path) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(video)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1.0", "1.0", "5", "0.8", "0.8"]
