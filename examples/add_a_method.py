"""Add a method: `middle`, which sees a single frame near the middle of a video.

It is a baseline for how much one frame tells. The method is a config, a view and an object that joins them; the network
and the training are those of the package. docs/adding-a-method.md has a longer one, with a network and a learner.
Without videos the script simulates 40; it takes minutes on two CPU cores.
"""

# %% The config: the section [input] of its recipes
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from urbanpipe.api import crossval, simulate
from urbanpipe.inputs import AugmentConfig, Frames, FrameTimeline, SampleSeed, Selection, SizedConfig
from urbanpipe.methods import Method, register
from urbanpipe.simulate.options import ClassMix, VideoOptions
from urbanpipe.training import FoldOptions
from urbanpipe.video.sampling import Indices

VIDEOS = Path("practice/videos")
LABELS = Path("practice/labels.json")
OUT = Path("middle")
EPOCHS = 4


class MiddleConfig(SizedConfig):
    """A single frame near the middle of a video.

    Attributes:
        spread: part of the video, around its middle, from which frames are drawn in training.
    """

    method: Literal["middle"] = "middle"
    spread: float = Field(0.5, ge=0, le=1)

    @property
    def frames(self) -> int:
        """Frames per segment."""
        return 1

    @property
    def smaller(self) -> str:
        """The settings to reduce when memory is short."""
        return f"input.size smaller (now {self.size})"


# %% The view: which frames, and what the network gets of them
class MiddleView:
    """One segment of one frame."""

    def __init__(self, config: MiddleConfig) -> None:
        self.config, self.frame_size = config, config.frame_size

    def cacheable_frames(self, timeline: FrameTimeline) -> Indices | None:
        """Return None: training may draw any frame."""
        return None

    def training_sample(self, timeline: FrameTimeline, seed: SampleSeed) -> Selection:
        """Return a random frame of the middle part."""
        return self._frame(timeline, 0.5 + self.config.spread * (seed.rng.random() - 0.5))

    def evaluation_sample(self, timeline: FrameTimeline) -> Selection:
        """Return the frame in the middle."""
        return self._frame(timeline, 0.5)

    def training_input(self, frames: Frames) -> Frames:
        """Return the same input as in evaluation: no augmentation."""
        return self.evaluation_input(frames)

    def evaluation_input(self, frames: Frames) -> Frames:
        """Return the frame as (3, height, width)."""
        image: Frames = frames[0].transpose(2, 0, 1)
        return image

    def _frame(self, timeline: FrameTimeline, share: float) -> Selection:
        frame = min(int(share * timeline.frame_count), timeline.frame_count - 1)
        return Selection(np.array([0]), np.array([[frame]]), np.array([1]))


# %% The method, and its name in recipes
class MiddleMethod(Method[MiddleConfig]):
    """A single frame with the labels of its video."""

    config_type = MiddleConfig

    def view(self, config: MiddleConfig, augment: AugmentConfig) -> MiddleView:
        """Return the view of a config."""
        return MiddleView(config)


register(MiddleMethod())

# %% A recipe
RECIPE = f"""
name = "small-middle"
[input]
method = "middle"
size = 96
[model]
backbone = "test_resnet"  # a tiny network of timm without pretrained weights
weights = "random"
[training]
epochs = {EPOCHS}
batch_size = 8
accumulation = 1
ema_decay = 0
keep = "last"
workers = 0
"""
OUT.mkdir(exist_ok=True)
(OUT / "small-middle.toml").write_text(RECIPE, encoding="utf-8")

# %% Every verb knows the method now
if not VIDEOS.exists():
    mix = ClassMix(classes=["ZC", "CJ", "PL", "SG"], balance=1.0)
    video = VideoOptions(size=(320, 240), fps=12, seconds=(3, 5))
    simulate(VIDEOS.parent, videos=40, mix=mix, video=video, workers=1)
recipe = OUT / "small-middle.toml"
result = crossval(VIDEOS, [recipe], out=OUT / "experiment", labels=LABELS, split=FoldOptions(folds=2))
print((result.runs[0] / "table6.md").read_text(encoding="utf-8"))
