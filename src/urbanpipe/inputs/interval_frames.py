"""Views of single frames at an interval."""

from functools import lru_cache

from urbanpipe.inputs.config import IntervalConfig
from urbanpipe.inputs.frame_timeline import FrameTimeline, Indices, SampleSeed, Selection, select
from urbanpipe.inputs.view import Frames
from urbanpipe.video import sampling


class AllFrames:
    """View of all frames at an interval, the same in training and evaluation. See `inputs.view.View`.

    Args:
        config: interval and size.
    """

    def __init__(self, config: IntervalConfig) -> None:
        self.frame_size = config.frame_size
        self._every_seconds = config.every_seconds

    def cacheable_frames(self, timeline: FrameTimeline) -> Indices:
        """Return the frames at the interval."""
        if timeline.times_seconds is None:
            return _evenly_spaced(timeline.frame_count, timeline.duration_seconds, self._every_seconds)
        return sampling.interval(timeline.edges_seconds[:-1], self._every_seconds)

    def training_sample(self, timeline: FrameTimeline, seed: SampleSeed) -> Selection:
        """Return all frames at the interval."""
        del seed
        return self.evaluation_sample(timeline)

    def evaluation_sample(self, timeline: FrameTimeline) -> Selection:
        """Return all frames at the interval."""
        return select(self.cacheable_frames(timeline)[:, None])

    def training_input(self, frames: Frames) -> Frames:
        """Return the frame itself, uint8 (3, height, width), of `frames` (1, height, width, 3)."""
        return self.evaluation_input(frames)

    def evaluation_input(self, frames: Frames) -> Frames:
        """Return the frame itself, uint8 (3, height, width)."""
        image: Frames = frames[0].transpose(2, 0, 1)
        return image


@lru_cache(maxsize=65_536)
def _evenly_spaced(frame_count: int, duration_seconds: float, every_seconds: float) -> Indices:
    """Return the frames at an interval of a video with evenly spaced frames; a run asks for them many times."""
    frames = sampling.interval(FrameTimeline(frame_count, duration_seconds).edges_seconds[:-1], every_seconds)
    frames.flags.writeable = False
    return frames
