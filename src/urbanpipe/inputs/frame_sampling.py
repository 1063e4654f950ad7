"""N frames drawn from a whole video, for super-images and for clips of a video network."""

import numpy as np

from urbanpipe.inputs.config import SampledConfig
from urbanpipe.inputs.frame_timeline import FrameTimeline, Indices, SampleSeed, Selection, select
from urbanpipe.video import sampling


class SampledFrames:
    """The part of a view that chooses: training sees one seed of N frames an epoch, tests see `test_draws`.

    Args:
        config: how many frames, and how they are sampled.
    """

    def __init__(self, config: SampledConfig) -> None:
        self.sampled = config
        self.frame_size = config.frame_size
        self._cacheable = config.sampling == "uniform" or config.candidates > 0

    def candidates(self, frame_count: int) -> Indices:
        """Frames kept of a video, (candidates, frames): the middle row is what tests see first."""
        n, count = self.sampled.frames, max(1, self.sampled.candidates)
        if self.sampled.sampling == "uniform":
            return sampling.uniform(frame_count, n)[None]
        if self.sampled.sampling == "jittered":
            return sampling.uniform(frame_count, n * count).reshape(n, count).T
        starts = sampling.uniform(max(1, frame_count - n + 1), count)
        return np.stack([sampling.sequence(frame_count, n, int(start)) for start in starts])

    def cacheable_frames(self, timeline: FrameTimeline) -> Indices | None:
        """The frames of all candidates; None where training draws from the whole video."""
        return np.unique(self.candidates(timeline.frame_count)) if self._cacheable else None

    def training_sample(self, timeline: FrameTimeline, seed: SampleSeed) -> Selection:
        """The one segment that training sees of a video in an epoch."""
        if not self._cacheable:
            return select(self._from_all(timeline.frame_count, seed.rng)[None])
        kept, n, rng = self.candidates(timeline.frame_count), self.sampled.frames, seed.rng
        own = self.sampled.sampling == "jittered"  # each frame is drawn by itself, a sequence as a whole
        chosen = rng.integers(len(kept), size=n) if own else np.full(n, rng.integers(len(kept)))
        return select(kept[chosen, np.arange(n)][None])

    def _from_all(self, frame_count: int, rng: np.random.Generator) -> Indices:
        n = self.sampled.frames
        if self.sampled.sampling == "jittered":
            return sampling.jittered(frame_count, n, rng)
        return sampling.sequence(frame_count, n, int(rng.integers(max(1, frame_count - n + 1))))

    def evaluation_sample(self, timeline: FrameTimeline) -> Selection:
        """The segments that tests see: `test_draws` of the candidates, spread evenly."""
        kept = self.candidates(timeline.frame_count)
        return select(kept[sampling.uniform(len(kept), self.sampled.test_draws)])
