"""Schedule of the clips of a video that an epoch encodes with gradient, so that every clip is visited."""

import math

import numpy as np

from urbanpipe.inputs.frame_timeline import Indices, SampleSeed


def visits(clips: int, fraction: float, max_clips: int) -> int:
    """Return the number of epochs in which every clip of a video is visited once.

    Args:
        clips: number of clips of the video.
        fraction: share of the clips that an epoch visits, in (0, 1].
        max_clips: largest number of clips that an epoch visits; 0 means no bound.

    Example:
        >>> visits(clips=10, fraction=0.25, max_clips=0), visits(clips=10, fraction=0.25, max_clips=2)
        (4, 5)
    """
    share = math.ceil(1 / fraction)
    return max(share, math.ceil(clips / max_clips)) if max_clips else share


def visited(clips: int, fraction: float, max_clips: int, seed: SampleSeed) -> Indices:
    """Return the clips of a video that an epoch encodes with gradient, ascending and never empty.

    A permutation of the clips, the same in all epochs, is split into `visits` parts; each epoch takes the next part.
    Any `visits` consecutive epochs therefore visit every clip once. A video with fewer clips than parts repeats them.
    """
    count = visits(clips, fraction, max_clips)
    turn = seed.epoch % count
    order = np.random.default_rng([seed.seed, seed.index]).permutation(clips)
    dealt = np.array_split(order, count)[turn] if clips >= count else order[turn % clips : turn % clips + 1]
    return np.sort(dealt)
