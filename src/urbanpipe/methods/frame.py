"""Single frames at an interval, each with its video's labels: the report's frame-based method."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from urbanpipe.inputs.augmenter import Augmenter, channels_first
from urbanpipe.inputs.config import AugmentConfig, FlipName, IntervalConfig, flip_axes
from urbanpipe.inputs.frame_timeline import FrameTimeline, SampleSeed, Selection, select
from urbanpipe.inputs.interval_frames import AllFrames
from urbanpipe.inputs.view import Frames
from urbanpipe.learners.config import RecipeSettings
from urbanpipe.methods.method import Method
from urbanpipe.models.config import BagHeadConfig, ModelConfig
from urbanpipe.video import sampling

if TYPE_CHECKING:
    from urbanpipe.learners.learner import Fitter, Learner, LearnerContext
    from urbanpipe.models.network import Network

_HEADS = {
    "mean-max": BagHeadConfig(kind="regression"),
    "lse": BagHeadConfig(kind="lse"),
    "attention": BagHeadConfig(kind="attention", width=128),
}


class FrameConfig(IntervalConfig):
    """Single frames at an interval, whose scores are pooled over the video.

    Attributes:
        train_frames: frames per video and epoch, one sampled from each of as many equal parts of the video, so that a
            long video has the same weight as a short one. In a video with moments, half of them are sampled near
            moments instead.
        pooling: how the frames of a video are pooled. With `mean`, `max` or `median` of their probabilities, each frame
            is trained with the labels of its video. With `mean-max` (a linear layer on mean and maximum of the
            features), `lse` (log-sum-exp of the logits) or `attention` (gated attention per class, arXiv 1802.04712),
            the video is trained as a whole, so that one frame can decide.
        test_flips: mirrored copies of each frame that validation and prediction add; the logits or features are
            averaged.
    """

    not_pixels: ClassVar[frozenset[str]] = frozenset(
        {"method", "pooling", "train_frames", "test_flips", "moment_seconds"}
    )
    compares_pools: ClassVar[bool] = True
    method: Literal["frame"] = "frame"
    train_frames: int = Field(4, ge=1, le=256)
    pooling: Literal["mean", "max", "median", "mean-max", "lse", "attention"] = "mean"
    test_flips: tuple[FlipName, ...] = ()

    @property
    def flip_axes(self) -> tuple[tuple[int, ...], ...]:
        """Axes along which each evaluated view of a frame is mirrored; the first view is not mirrored."""
        return flip_axes(self.test_flips)

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
        """Return `train_frames` frames, one sampled from each of as many equal parts of the video.

        In a video with moments, half of them, at least one, are replaced by frames near moments.
        """
        kept, rng = self.cacheable_frames(timeline), seed.rng
        rows = sampling.jittered(len(kept), self.config.train_frames, rng)
        if timeline.moments_seconds and self.config.moment_window:
            times = timeline.edges_seconds[kept]
            replaced = rng.permutation(len(rows))[: (len(rows) + 1) // 2]
            near = sampling.near(times, timeline.moments_seconds, self.config.moment_window, len(replaced), rng)
            rows[replaced] = near
        return select(kept[rows][:, None], rows)

    def training_input(self, frames: Frames) -> Frames:
        """Return an augmented frame, uint8 (3, height, width), of `frames` (1, height, width, 3)."""
        return self._augmented(channels_first(frames)[0])


class FrameMethod(Method[FrameConfig]):
    """Single frames, whose scores or features are pooled over the video."""

    config_type = FrameConfig

    def view(self, config: FrameConfig, augment: AugmentConfig) -> SingleFrames:
        """Return the view of single frames."""
        return SingleFrames(config, augment)

    def network(self, config: FrameConfig, model: ModelConfig, classes: int) -> "Network":
        """Return a classifier of frames that pools their scores, or one of videos that pools their features."""
        from urbanpipe.models.backbone import Backbone
        from urbanpipe.models.bag import BagNetwork
        from urbanpipe.models.classifier import SegmentClassifier

        backbone = self.backbone(config, model)
        if (head := _HEADS.get(config.pooling)) is None:
            return SegmentClassifier(model, backbone, classes, config.pooling)  # type: ignore[arg-type]
        assert isinstance(backbone, Backbone), "frames are images"
        return BagNetwork(backbone, head, classes)

    def learner(self, config: FrameConfig, context: "LearnerContext") -> "Learner | Fitter":
        """Return a learner of frames that have the labels of their video, or of whole videos."""
        if config.pooling not in _HEADS:
            return super().learner(config, context)
        from urbanpipe.learners.pooled import PooledLearner

        return PooledLearner(context)

    def check(self, config: FrameConfig, recipe: RecipeSettings) -> None:
        """Refuse settings of the head of single frames where the video is trained as a whole."""
        if config.pooling not in _HEADS:
            return
        model, where = recipe.model, f'input.pooling = "{config.pooling}"'
        if model.head != "linear" or model.dropout:
            raise ValueError(f"model.head and model.dropout have no effect with {where}, which has a head of its own")
        if model.head_start == "probe" and config.pooling != "mean-max":
            raise ValueError(f'model.head_start = "probe" has no effect with {where}; use "mean-max"')
        if recipe.training.compile:
            raise ValueError(f"training.compile = true has no effect with {where}")
