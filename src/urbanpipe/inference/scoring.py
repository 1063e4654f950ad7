"""Predict videos, batch by batch, with any runtime."""

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
    """What was encoded so far of a video of which more is to come: [network][part], and the parts' seconds."""

    features: list[list[NDArray[np.float32]]]
    seconds: list[NDArray[np.float64]]


def predict_batches(
    runtimes: Sequence[Runtime], batches: Iterable[Batch]
) -> Iterator[tuple[int, list[VideoPrediction] | VideoError]]:
    """Yield (index, one prediction per network or the error) for each video once all its segments have come.

    Of a video only what `aggregate` needs is kept, a few numbers per segment, so memory does not grow with its pixels.

    Args:
        runtimes: one per network; all see the same pixels.
        batches: segments of videos; those of one video in order.
    """
    partial: dict[int, _Partial] = {}
    for batch in batches:
        for index, error in batch.failures:
            partial.pop(index, None)
            yield index, error
        if not batch.samples:
            continue
        edges = np.cumsum(batch.counts)[:-1]
        features = [np.split(each.features, edges) for each in encode_all(runtimes, batch.images, batch.real)]
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
    """Return what each network keeps of segments; networks that share an encoder run it once.

    Args:
        runtimes: one per network.
        images: the segments; see `Runtime.encode`.
        real: frames of each that are not padding, (segments,).
        observe: number of the network that is also asked what tells out-of-distribution videos.
    """
    encoded: list[Encoded] = []
    for number, runtime in enumerate(runtimes):
        alike = (
            earlier for earlier in range(number) if number != observe and runtimes[earlier].shares_encoder(runtime)
        )
        first = next(alike, None)
        encoded.append(encoded[first] if first is not None else runtime.encode(images, real, observe == number))
    return encoded
