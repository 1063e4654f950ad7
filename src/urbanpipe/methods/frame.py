"""Single frames at an interval, each with its video's labels: the report's frame-based method."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from urbanpipe.inputs.augmenter import Augmenter, channels_first
from urbanpipe.inputs.config import AugmentConfig, IntervalConfig
from urbanpipe.inputs.frame_timeline import FrameTimeline, SampleSeed, Selection, select
from urbanpipe.inputs.interval_frames import AllFrames
from urbanpipe.inputs.view import Frames
from urbanpipe.methods.method import Method
from urbanpipe.models.config import ModelConfig
from urbanpipe.video import sampling

if TYPE_CHECKING:
    from urbanpipe.models.network import Network


class FrameConfig(IntervalConfig):
    """Single frames at an interval, whose scores are pooled over the video.

    Attributes:
        train_frames: frames per video and epoch, one sampled from each of as many equal parts of the video, so that a
            long video has the same weight as a short one.
        pooling: how the probabilities of a video's frames are pooled: `mean`, `max` or `median`.
    """

    not_pixels: ClassVar[frozenset[str]] = frozenset({"pooling", "train_frames"})
    compares_pools: ClassVar[bool] = True
    method: Literal["frame"] = "frame"
    train_frames: int = Field(4, ge=1, le=256)
    pooling: Literal["mean", "max", "median"] = "mean"

    @property
    def train_segments(self) -> int:
        """Frames per video in a step."""
        return self.train_frames

    @property
    def smaller(self) -> str:
        """The settings to reduce when memory is short."""
        return f"input.train_frames (now {self.train_frames}) or input.size smaller (now {self.size})"


class SingleFrames(AllFrames):
    """View of a video as single frames. See `inputs.view.View`.

    Args:
        config: interval, size and frames per epoch.
        augment: augmentation in training.
    """

    def __init__(self, config: FrameConfig, augment: AugmentConfig) -> None:
        super().__init__(config)
        self.config = config
        self._augmented = Augmenter((*augment.tile, *augment.image), augment, config.frame_size)

    def training_sample(self, timeline: FrameTimeline, seed: SampleSeed) -> Selection:
        """Return `train_frames` frames, one sampled from each of as many equal parts of the video."""
        kept = self.cacheable_frames(timeline)
        rows = sampling.jittered(len(kept), self.config.train_frames, seed.rng)
        return select(kept[rows][:, None], rows)

    def training_input(self, frames: Frames) -> Frames:
        """Return an augmented frame, uint8 (3, height, width), of `frames` (1, height, width, 3)."""
        return self._augmented(channels_first(frames)[0])


class FrameMethod(Method[FrameConfig]):
    """Single frames, each with the labels of its video; a video's scores are pooled from its frames' scores."""

    config_type = FrameConfig

    def view(self, config: FrameConfig, augment: AugmentConfig) -> SingleFrames:
        """Return the view of single frames."""
        return SingleFrames(config, augment)

    def network(self, config: FrameConfig, model: ModelConfig, classes: int) -> "Network":
        """Return a classifier that pools the scores of a video's frames."""
        from urbanpipe.models.classifier import SegmentClassifier

        return SegmentClassifier(model, self.backbone(config, model), classes, config.pooling)
