"""What runs a network: torch, or an exported graph where torch is not installed."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from urbanpipe.inference.prediction import VideoPrediction


@dataclass(frozen=True, eq=False)
class Encoded:
    """What a network keeps of some segments.

    Attributes:
        features: what `Runtime.aggregate` needs of each, (segments, values), float32.
        observed: sums over the segments of what tells out-of-distribution videos, one array (d,) per kind of feature;
            empty where that was not asked for.
    """

    features: NDArray[np.float32]
    observed: tuple[NDArray[np.float64], ...] = ()


class Runtime(Protocol):
    """Run one network on the segments of videos.

    A runtime is one class: `encode` takes pixels to a few numbers per segment, `aggregate` takes all of a video's
    numbers to its probabilities. Arrays are numpy's, so that no caller needs torch.
    """

    def shares_encoder(self, other: "Runtime") -> bool:
        """Return whether both encode alike, so that one result serves both."""

    def encode(self, images: NDArray[np.uint8], real: NDArray[np.int64], observe: bool = False) -> Encoded:
        """Encode segments.

        Args:
            images: (segments, 3, height, width) or (segments, 3, frames, height, width), 0 to 255.
            real: frames of each segment that are not padding, (segments,).
            observe: also return what tells out-of-distribution videos.
        """

    def aggregate(self, features: NDArray[np.float32], seconds: NDArray[np.float64]) -> VideoPrediction:
        """Return the prediction for a video.

        Args:
            features: of all its segments, (segments, values).
            seconds: begin and end of each segment, (segments, 2).
        """
