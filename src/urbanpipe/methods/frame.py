"""Single frames at an interval, each with its video's labels: the report's frame-based method."""

from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from urbanpipe.inputs.config import AugmentConfig, IntervalConfig
from urbanpipe.inputs.frame_timeline import FrameTimeline, SampleSeed, Selection, select
from urbanpipe.inputs.interval_frames import AllFrames
from urbanpipe.inputs.view import Frames
from urbanpipe.methods.method import Method
from urbanpipe.models.config import ModelConfig
from urbanpipe.video import sampling

if TYPE_CHECKING:
    from urbanpipe.inputs.augment import Transform
    from urbanpipe.models.network import Network


class FrameConfig(IntervalConfig):
    """Single frames at an interval; a video is the pool of them.

    Attributes:
        train_frames: frames of a video in an epoch, one drawn from each of as many equal parts of it, so that a long
            video weighs no more than a short one.
        pooling: what the probabilities of a video's frames become: their `mean`, `max` or `median`.
    """

    not_pixels: ClassVar[frozenset[str]] = frozenset({"pooling", "train_frames"})
    compares_pools: ClassVar[bool] = True
    method: Literal["frame"] = "frame"
    train_frames: int = Field(4, ge=1, le=256)
    pooling: Literal["mean", "max", "median"] = "mean"

    @property
    def train_segments(self) -> int:
        """Frames of a video in a step."""
        return self.train_frames

    @property
    def smaller(self) -> str:
        """What to turn where memory is short."""
        return f"input.train_frames (now {self.train_frames}) or input.size smaller (now {self.size})"


class SingleFrames(AllFrames):
    """Frames of a video one by one. See `inputs.view.View`.

    Args:
        config: interval, size, and how many frames of a video an epoch sees.
        augment: what is done in training.
    """

    def __init__(self, config: FrameConfig, augment: AugmentConfig) -> None:
        super().__init__(config)
        self.config = config
        self._augment = augment

    @cached_property
    def _transforms(self) -> "list[Transform]":
        from urbanpipe.inputs.augment import augmentations

        return augmentations((*self._augment.tile, *self._augment.image), self._augment, self.config.frame_size)

    def training_sample(self, timeline: FrameTimeline, seed: SampleSeed) -> Selection:
        """`train_frames` of them, one from each of as many equal parts of the video."""
        kept = self.cacheable_frames(timeline)
        rows = sampling.jittered(len(kept), self.config.train_frames, seed.rng)
        return select(kept[rows][:, None], rows)

    def training_input(self, frames: Frames) -> Frames:
        """An augmented frame of `frames` (1, height, width, 3): uint8 (3, height, width)."""
        from urbanpipe.inputs.augment import apply, frames_tensor

        return apply(self._transforms, frames_tensor(frames)[0]).numpy()


class FrameMethod(Method[FrameConfig]):
    """Frames one by one, each with the labels of its video; a video's scores are the pool of its frames' scores."""

    config_type = FrameConfig

    def view(self, config: FrameConfig, augment: AugmentConfig) -> SingleFrames:
        """Return the view of single frames."""
        return SingleFrames(config, augment)

    def network(self, config: FrameConfig, model: ModelConfig, classes: int) -> "Network":
        """Return a classifier that pools the scores of a video's frames."""
        from urbanpipe.models.classifier import SegmentClassifier

        return SegmentClassifier(model, self.backbone(config, model), classes, config.pooling)
