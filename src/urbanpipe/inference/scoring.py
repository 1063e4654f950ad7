"""Prediction of videos, batch by batch, with any runtime."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from urbanpipe.errors import VideoError
from urbanpipe.inference.prediction import VideoPrediction
from urbanpipe.inference.runtime import Encoded, Runtime
from urbanpipe.inputs.batches import Batch


@dataclass
class _Partial:
    """The encoded parts of an incomplete video, as [network][part], and their times."""

    features: list[list[NDArray[np.float32]]]
    seconds: list[NDArray[np.float64]]


def predict_batches(
    runtimes: Sequence[Runtime], batches: Iterable[Batch]
) -> Iterator[tuple[int, list[VideoPrediction] | VideoError]]:
    """Yield (index, one prediction per network or the error) for each video once all its segments are encoded.

    Only the values that `aggregate` needs are kept, a few per segment, so that memory does not grow with the pixels of
    a video.

    Args:
        runtimes: one per network; all get the same pixels.
        batches: segments of videos, in order within each video.
    """
    partial: dict[int, _Partial] = {}
    for batch in batches:
        for index, error in batch.failures:
            partial.pop(index, None)
            yield index, error
        if not batch.samples:
            continue
        edges = np.cumsum(batch.counts)[:-1]
        features = [np.split(encoded.features, edges) for encoded in encode_all(runtimes, batch.images, batch.real)]
        spans = np.split(batch.seconds, edges)
        for number, (index, whole) in enumerate(zip(batch.samples, batch.whole, strict=True)):
            held = partial.setdefault(index, _Partial([[] for _ in runtimes], []))
            for parts, of_network in zip(held.features, features, strict=True):
                parts.append(of_network[number])
            held.seconds.append(spans[number])
            if whole:
                done = partial.pop(index)
                seconds = np.concatenate(done.seconds)
                together = zip(runtimes, done.features, strict=True)
                yield index, [runtime.aggregate(np.concatenate(parts), seconds) for runtime, parts in together]


def encode_all(
    runtimes: Sequence[Runtime], images: NDArray[np.uint8], real: NDArray[np.int64], observe: int | None = None
) -> list[Encoded]:
    """Encode segments with every network; networks that share an encoder run it once.

    Args:
        runtimes: one per network.
        images: the segments; see `Runtime.encode`.
        real: number of frames of each segment that are not padding, (segments,).
        observe: index of the network that also returns features for the detection of out-of-distribution videos.
    """
    encoded: list[Encoded] = []
    for number, runtime in enumerate(runtimes):
        alike = (
            earlier for earlier in range(number) if number != observe and runtimes[earlier].shares_encoder(runtime)
        )
        first = next(alike, None)
        encoded.append(encoded[first] if first is not None else runtime.encode(images, real, observe == number))
    return encoded
