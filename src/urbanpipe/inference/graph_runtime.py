"""Networks that run as exported graphs."""

import numpy as np
from numpy.typing import NDArray

from urbanpipe.errors import BundleError
from urbanpipe.inference.graph import (
    FEATURES,
    IMAGES,
    MAPS,
    OBSERVED,
    REAL,
    SECONDS,
    SEGMENTS,
    VIDEO,
    Graph,
)
from urbanpipe.inference.prediction import VideoPrediction
from urbanpipe.inference.runtime import Encoded, Runtime


class GraphRuntime:
    """Runs a network as two graphs. See `inference.runtime.Runtime`.

    Args:
        encoder: encodes segments; networks with the same frozen encoder are given the same object.
        head: aggregates the encoded segments of a video.
        classes: number of classes.

    Raises:
        BundleError: the graphs lack an output.
    """

    def __init__(self, encoder: Graph, head: Graph, classes: int) -> None:
        if lacking := {FEATURES} - set(encoder.outputs) | {VIDEO, SEGMENTS} - set(head.outputs):
            raise _lacking(min(lacking))
        self._encoder, self._head, self._classes = encoder, head, classes

    def shares_encoder(self, other: Runtime) -> bool:
        """Return whether both have the same encoder."""
        return isinstance(other, GraphRuntime) and other._encoder is self._encoder

    def encode(self, images: NDArray[np.uint8], real: NDArray[np.int64], observe: bool = False) -> Encoded:
        """Encode segments; only the first network of a member can observe."""
        outputs = self._encoder.run({IMAGES: images, REAL: real})
        if observe and OBSERVED not in outputs:
            raise _lacking(OBSERVED)
        observed = outputs[OBSERVED].astype(np.float64) * len(images) if observe else None
        features = outputs[FEATURES]
        _check_shape(FEATURES, features, (len(images), *features.shape[1:2]))
        return Encoded(features, observed)

    def aggregate(self, features: NDArray[np.float32], seconds: NDArray[np.float64]) -> VideoPrediction:
        """Return the prediction for a video."""
        outputs = self._head.run({FEATURES: features, SECONDS: seconds})
        _check_shape(VIDEO, outputs[VIDEO], (self._classes,))
        _check_shape(SEGMENTS, outputs[SEGMENTS], (len(features), self._classes))
        return VideoPrediction(outputs[VIDEO], outputs[SEGMENTS], seconds)

    @property
    def has_maps(self) -> bool:
        """Whether `class_maps` can be called."""
        return MAPS in self._encoder.outputs

    def class_maps(self, image: NDArray[np.uint8], real: int) -> NDArray[np.float32]:
        """Return the raw maps of all classes in a segment; only the first network of a member has maps.

        The channels of a layer are weighted by the mean of their gradients over training videos, as gradients of
        single segments need torch. For a linear layer on the mean of the channels this is Grad-CAM itself.

        Args:
            image: the segment, (1, ...).
            real: number of its frames that are not padding.

        Returns:
            Non-negative, (1, classes, h, w), (1, classes, t, h, w), or (frames, classes, h, w) where frames are encoded
            one by one.
        """
        maps: NDArray[np.float32] = self._encoder.run({IMAGES: image, REAL: np.array([real])})[MAPS]
        if maps.ndim < 4 or maps.shape[1] != self._classes:
            raise BundleError(f"a graph of the bundle returns maps of the shape {maps.shape}")
        return maps


def _check_shape(name: str, array: NDArray[np.generic], wanted: tuple[int, ...]) -> None:
    if array.shape != wanted:
        raise BundleError(f"a graph of the bundle returns {name} of the shape {array.shape} instead of {wanted}")


def _lacking(name: str) -> BundleError:
    return BundleError(f"a graph of the bundle lacks the output {name!r}; it is not a valid bundle")
