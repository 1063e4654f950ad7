"""What a method sees of a video: which frames, how they are augmented, how they are put together."""

from urbanpipe.inputs.config import AugmentConfig, InputConfig, IntervalConfig, SampledConfig, SizedConfig
from urbanpipe.inputs.frame_timeline import FrameTimeline, SampleSeed, Selection, select
from urbanpipe.inputs.view import Frames, View

__all__ = [
    "AugmentConfig",
    "FrameTimeline",
    "Frames",
    "InputConfig",
    "IntervalConfig",
    "SampleSeed",
    "SampledConfig",
    "Selection",
    "SizedConfig",
    "View",
    "select",
]
