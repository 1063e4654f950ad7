"""N frames drawn from a whole video, for super-images and for clips of a video network."""

import numpy as np

from urbanpipe.inputs.config import SuperImageConfig, VideoConfig
from urbanpipe.inputs.footage import Draw, Footage, Indices, Selection, select
from urbanpipe.video import sampling


def candidates(config: SuperImageConfig | VideoConfig, frame_count: int) -> Indices:
    """Frames kept of a video, (candidates, frames): the middle row is what tests see first."""
    n, count = config.frames, max(1, config.candidates)
    if config.sampling == "uniform":
        return sampling.uniform(frame_count, n)[None]
    if config.sampling == "jittered":
        return sampling.uniform(frame_count, n * count).reshape(n, count).T
    starts = sampling.uniform(max(1, frame_count - n + 1), count)
    return np.stack([sampling.sequence(frame_count, n, int(start)) for start in starts])


def cacheable(config: SuperImageConfig | VideoConfig) -> bool:
    """Whether training draws from `candidates`, so that these are all that it ever reads."""
    return config.sampling == "uniform" or config.candidates > 0


def drawn(config: SuperImageConfig | VideoConfig, footage: Footage, draw: Draw) -> Selection:
    """The one piece that training sees of a video in an epoch."""
    if not cacheable(config):
        return select(_from_all(config, footage.frame_count, draw.rng)[None])
    kept = candidates(config, footage.frame_count)
    n, rng = config.frames, draw.rng
    chosen = rng.integers(len(kept), size=n) if config.sampling == "jittered" else np.full(n, rng.integers(len(kept)))
    return select(kept[chosen, np.arange(n)][None])


def _from_all(config: SuperImageConfig | VideoConfig, frame_count: int, rng: np.random.Generator) -> Indices:
    n = config.frames
    if config.sampling == "jittered":
        return sampling.jittered(frame_count, n, rng)
    return sampling.sequence(frame_count, n, int(rng.integers(max(1, frame_count - n + 1))))


def judged(config: SuperImageConfig | VideoConfig, footage: Footage) -> Selection:
    """The pieces that tests see: `test_draws` of the candidates, spread evenly."""
    kept = candidates(config, footage.frame_count)
    return select(kept[sampling.uniform(len(kept), config.test_draws)])
