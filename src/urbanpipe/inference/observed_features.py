"""Features of a video for the detection of out-of-distribution videos."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from urbanpipe.inference.runtime import Runtime
from urbanpipe.inputs.reading import stream_segments
from urbanpipe.inputs.view import View

BATCH_SIZE = 8  # segments per batch


def observed_features(path: Path, runtime: Runtime, view: View) -> tuple[NDArray[np.float64], ...]:
    """Return the means over a video's segments of what `Runtime.encode` observes, one array (d,) per kind of feature.

    Args:
        path: the video.
        runtime: runtime of the network that computes the features.
        view: view of its recipe.

    Raises:
        VideoError: the video cannot be read.
    """
    sums: list[tuple[NDArray[np.float64], ...]] = []
    segments = 0
    for part in stream_segments(path, view, BATCH_SIZE):
        sums.append(runtime.encode(part.images, part.real, observe=True).observed)
        segments += len(part.real)
    return tuple(sum(kind) / segments for kind in zip(*sums, strict=True))
