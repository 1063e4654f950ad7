"""What a network predicts for one video."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from urbanpipe.contracts.segment_scores import Pieces


@dataclass(frozen=True, eq=False)
class Judged:
    """What a network says of a video.

    Attributes:
        scores: probabilities (classes,), float64.
        pieces: probabilities (pieces, classes) of what it saw of it at once, float64.
        seconds: begin and end of each piece, (pieces, 2).
    """

    scores: NDArray[np.float64]
    pieces: NDArray[np.float64]
    seconds: NDArray[np.float64]


def pieces_of(names: tuple[str, ...], judged: Sequence[Judged]) -> Pieces:
    """What was said of the pieces of videos, to be written."""
    return Pieces(
        names=names,
        starts=np.cumsum([0, *(len(video.pieces) for video in judged)], dtype=np.int64),
        seconds=np.concatenate([video.seconds for video in judged]),
        scores=np.concatenate([video.pieces for video in judged]),
    )
