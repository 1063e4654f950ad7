"""The interface of runtimes, which run a network in torch, or as an exported graph where torch is not installed."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from urbanpipe.inference.prediction import VideoPrediction


@dataclass(frozen=True, eq=False)
class Encoded:
    """Encoded segments.

    Attributes:
        features: the values of each segment that `Runtime.aggregate` needs, (segments, values), float32.
        observed: features for the detection of out-of-distribution videos, summed over the segments, (2, channels):
            mean and standard deviation over positions of the channels of early layers; None unless requested.
    """

    features: NDArray[np.float32]
    observed: NDArray[np.float64] | None = None


class Runtime(Protocol):
    """Runs one network on the segments of videos.

    `encode` turns pixels into a few values per segment, and `aggregate` turns all values of a video into its
    probabilities. Arrays are numpy arrays, so that callers do not need torch.
    """

    def shares_encoder(self, other: "Runtime") -> bool:
        """Return whether both runtimes have the same encoding, so that one result serves both."""

    def encode(self, images: NDArray[np.uint8], real: NDArray[np.int64], observe: bool = False) -> Encoded:
        """Encode segments.

        Args:
            images: (segments, 3, height, width) or (segments, 3, frames, height, width), 0 to 255.
            real: number of frames of each segment that are not padding, (segments,).
            observe: whether to return features for the detection of out-of-distribution videos too.
        """

    def aggregate(self, features: NDArray[np.float32], seconds: NDArray[np.float64]) -> VideoPrediction:
        """Return the prediction for a video.

        Args:
            features: features of all segments of the video, (segments, values).
            seconds: begin and end of each segment, (segments, 2).
        """
