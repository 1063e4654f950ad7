"""Sampling of N frames from a whole video, for super-images and for clips of a video network."""

import numpy as np

from urbanpipe.inputs.config import SampledConfig
from urbanpipe.inputs.frame_timeline import FrameTimeline, Indices, SampleSeed, Selection, select
from urbanpipe.video import sampling


class SampledFrames:
    """The part of a view that selects frames: one sample of N frames per training epoch, `test_draws` in evaluation.

    Args:
        config: number of frames and how they are sampled.
    """

    def __init__(self, config: SampledConfig) -> None:
        self.sampled = config
        self.frame_size = config.frame_size
        self._cacheable = config.sampling == "uniform" or config.candidates > 0

    def candidates(self, frame_count: int) -> Indices:
        """Return the cached frames of a video, (candidates, frames); evaluation starts with the middle row."""
        n, count = self.sampled.frames, max(1, self.sampled.candidates)
        if self.sampled.sampling == "uniform":
            return sampling.uniform(frame_count, n)[None]
        if self.sampled.sampling == "jittered":
            return sampling.uniform(frame_count, n * count).reshape(n, count).T
        starts = sampling.uniform(max(1, frame_count - n + 1), count)
        return np.stack([sampling.sequence(frame_count, n, int(start)) for start in starts])

    def cacheable_frames(self, timeline: FrameTimeline) -> Indices | None:
        """Return the frames of all candidates; None where training samples from the whole video."""
        return np.unique(self.candidates(timeline.frame_count)) if self._cacheable else None

    def training_sample(self, timeline: FrameTimeline, seed: SampleSeed) -> Selection:
        """Return the single training segment of a video in an epoch."""
        if not self._cacheable:
            return select(self._from_all(timeline.frame_count, seed.rng)[None])
        kept, n, rng = self.candidates(timeline.frame_count), self.sampled.frames, seed.rng
        own = self.sampled.sampling == "jittered"  # frames are sampled independently, a sequence as a whole
        chosen = rng.integers(len(kept), size=n) if own else np.full(n, rng.integers(len(kept)))
        return select(kept[chosen, np.arange(n)][None])

    def _from_all(self, frame_count: int, rng: np.random.Generator) -> Indices:
        n = self.sampled.frames
        if self.sampled.sampling == "jittered":
            return sampling.jittered(frame_count, n, rng)
        return sampling.sequence(frame_count, n, int(rng.integers(max(1, frame_count - n + 1))))

    def evaluation_sample(self, timeline: FrameTimeline) -> Selection:
        """Return the evaluated segments: `test_draws` of the candidates, evenly spaced."""
        kept = self.candidates(timeline.frame_count)
        return select(kept[sampling.uniform(len(kept), self.sampled.test_draws)])
