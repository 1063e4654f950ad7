"""Which clips of a video an epoch encodes with gradient, so that every clip has its turn."""

import math

import numpy as np

from urbanpipe.inputs.frame_timeline import Indices, SampleSeed


def visits(clips: int, fraction: float, max_clips: int) -> int:
    """Return the number of epochs in which every one of a video's clips is visited once.

    Args:
        clips: of the video.
        fraction: share of them that an epoch visits, in (0, 1].
        max_clips: the most that an epoch visits; 0 for no bound.
    """
    share = math.ceil(1 / fraction)
    return max(share, math.ceil(clips / max_clips)) if max_clips else share


def visited(clips: int, fraction: float, max_clips: int, seed: SampleSeed) -> Indices:
    """Return the clips of a video that an epoch encodes with gradient, ascending and never none.

    A permutation of the clips, the same in all epochs, is dealt to `visits` of them in turn.
    Whichever epoch is the first, every clip is visited once in as many epochs in a row.
    A video of fewer clips than that repeats them.
    """
    count = visits(clips, fraction, max_clips)
    turn = seed.epoch % count
    order = np.random.default_rng([seed.seed, seed.index]).permutation(clips)
    dealt = np.array_split(order, count)[turn] if clips >= count else order[turn % clips : turn % clips + 1]
    return np.sort(dealt)
