"""Network inputs from videos: frame selection, augmentation and assembly."""

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
