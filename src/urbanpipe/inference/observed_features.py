"""Features of a video for the detection of out-of-distribution videos."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from urbanpipe.inference.runtime import Runtime
from urbanpipe.inputs.reading import stream_segments
from urbanpipe.inputs.view import View

BATCH_SIZE = 8  # segments per batch


def observed_features(path: Path, runtime: Runtime, view: View) -> NDArray[np.float64]:
    """Return the mean over a video's segments of what `Runtime.encode` observes, (2, channels).

    Args:
        path: the video.
        runtime: runtime of the network that computes the features.
        view: view of its recipe.

    Raises:
        VideoError: the video cannot be read.
    """
    sums: list[NDArray[np.float64]] = []
    segments = 0
    for part in stream_segments(path, view, BATCH_SIZE):
        observed = runtime.encode(part.images, part.real, observe=True).observed
        assert observed is not None, "requested"
        sums.append(observed)
        segments += len(part.real)
    return np.sum(sums, axis=0) / segments  # type: ignore[no-any-return]
