"""The dense clip grid: clips cover every moment of a video, and a training step encodes a share of them."""

from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from urbanpipe.inputs.augmenter import Augmenter, channels_first
from urbanpipe.inputs.clip_schedule import visited
from urbanpipe.inputs.config import MOMENT_SECONDS, AugmentConfig, SizedConfig
from urbanpipe.inputs.frame_timeline import FrameTimeline, Indices, SampleSeed, Selection
from urbanpipe.inputs.tiles import lay_out
from urbanpipe.inputs.view import Frames
from urbanpipe.learners.config import MemoryConfig, RecipeSettings
from urbanpipe.methods.method import Method
from urbanpipe.models.config import DenseHeadConfig, ModelConfig
from urbanpipe.video import sampling

if TYPE_CHECKING:
    from urbanpipe.learners.learner import Learner, LearnerContext
    from urbanpipe.models.network import Network


class DenseConfig(SizedConfig):
    """Consecutive clips that cover the whole video.

    Attributes:
        frames: L, frames per clip.
        stride: step from one frame of a clip to the next; a clip spans L * stride frames of the video.
        encoder: how a clip becomes a feature: `pool` (an image backbone on each frame, pooled over time), `super-image`
            (an image backbone on the clip's frames as tiles, which makes moving water visible) or `video` (a video
            network).
        rows: rows of tiles of the `super-image` encoder; it has frames / rows columns.
        fraction: share of a video's clips that a step encodes with gradient. Epochs walk over a permutation of the
            clips, and each clip is visited once in ceil(1 / fraction) epochs; 0.6 therefore acts as 0.5.
        max_clips: upper bound on the clips that a step encodes with gradient, which bounds memory for long videos; 0
            means no bound.
        mode: `stale` (the other clips come from the feature memory), `exact-sampled` (the other clips are encoded
            without gradient) or `exact` (every clip with gradient, recomputed in the backward pass).
        head: aggregates the features of the clips.
        memory: the feature memory and the phases of training.
        moment_seconds: where labels have moments, a clip within so many seconds of one shows its class, and a clip
            further away need not; 0 trains with the labels of videos alone.
    """

    many_segments: ClassVar[bool] = True
    not_pixels: ClassVar[frozenset[str]] = frozenset(
        {"fraction", "max_clips", "mode", "head", "memory", "moment_seconds"}
    )
    method: Literal["dense"] = "dense"
    size: int = Field(112, ge=16, le=1024)
    frames: int = Field(8, ge=1, le=64)
    stride: int = Field(2, ge=1, le=64)
    encoder: Literal["pool", "super-image", "video"] = "pool"
    rows: int = Field(2, ge=1, le=8)
    fraction: float = Field(0.25, gt=0, le=1)
    max_clips: int = Field(0, ge=0)
    mode: Literal["stale", "exact-sampled", "exact"] = "stale"
    head: DenseHeadConfig = DenseHeadConfig()
    memory: MemoryConfig = MemoryConfig()
    moment_seconds: float = Field(MOMENT_SECONDS, ge=0, le=3600)

    @model_validator(mode="after")
    def _whole_rows(self) -> Self:
        if self.encoder == "super-image" and self.frames % self.rows:
            raise ValueError(f"frames = {self.frames} do not fill rows = {self.rows} of tiles; give a multiple")
        return self

    @property
    def tile_grid(self) -> tuple[int, int]:
        """Rows and columns of frames in one image."""
        return (self.rows, self.frames // self.rows) if self.encoder == "super-image" else (1, 1)

    @property
    def clip_frames(self) -> int | None:
        """Frames per clip; None where they are tiles of one image."""
        return None if self.encoder == "super-image" else self.frames

    @property
    def backbone_frames(self) -> int | None:
        """Frames per input of the backbone; None for an image backbone."""
        return self.frames if self.encoder == "video" else None

    @property
    def train_segments(self) -> int:
        """Approximate number of clips per video in a step."""
        return self.max_clips or 16

    @property
    def moment_window(self) -> float:
        """Largest distance, in seconds, of a positive clip to a moment; 0 ignores moments."""
        return self.moment_seconds

    @property
    def smaller(self) -> str:
        """The settings to reduce when memory is short."""
        return f"input.max_clips (now {self.max_clips}), input.frames or input.size smaller (now {self.size})"

    @property
    def image_size(self) -> tuple[int, int]:
        """Width and height of the backbone's input in pixels."""
        width, height = self.frame_size
        if self.encoder != "super-image":
            return width, height
        return width * (self.frames // self.rows), height * self.rows


class DenseClips:
    """View of a video as a dense grid of clips. See `inputs.view.View`.

    Args:
        config: length and stride of a clip, size, encoder, and the share of clips per step.
        augment: augmentation in training, the same for all frames of a clip.
    """

    def __init__(self, config: DenseConfig, augment: AugmentConfig) -> None:
        self.config = config
        self.frame_size = config.frame_size
        of_clip, of_image = (augment.tile, augment.image) if self._is_tiled else ((*augment.tile, *augment.image), ())
        self._augmented_clip = Augmenter(of_clip, augment, config.frame_size)
        self._augmented_image = Augmenter(of_image, augment, config.image_size)

    @property
    def _is_tiled(self) -> bool:
        return self.config.encoder == "super-image"

    def cacheable_frames(self, timeline: FrameTimeline) -> Indices:
        """Return the frames of the whole grid."""
        return np.unique(self.evaluation_sample(timeline).frames)

    def training_sample(self, timeline: FrameTimeline, seed: SampleSeed) -> Selection:
        """Return the clips that this epoch visits, and one more near a moment if any; all clips in the exact modes."""
        whole = self.evaluation_sample(timeline)
        if self.config.mode != "stale":
            return whole
        clips = visited(len(whole), self.config.fraction, self.config.max_clips, seed)
        if timeline.moments_seconds and self.config.moment_window:
            middles = timeline.spans(whole.frames).mean(axis=1)
            near = sampling.near(middles, timeline.moments_seconds, self.config.moment_window, 1, seed.rng)
            clips = np.union1d(clips, near)
        return whole[clips]

    def evaluation_sample(self, timeline: FrameTimeline) -> Selection:
        """Return all clips."""
        frames, real = sampling.clip_grid(timeline.frame_count, self.config.frames, self.config.stride)
        return Selection(np.arange(len(frames)), frames, real.sum(axis=1))

    def training_input(self, frames: Frames) -> Frames:
        """Return an augmented clip of `frames` (L, height, width, 3), uint8 of the same shape as `evaluation_input`."""
        return self._augmented_image(self._put_together(self._augmented_clip(channels_first(frames))))

    def evaluation_input(self, frames: Frames) -> Frames:
        """Return the clip, uint8 (3, L, height, width), or the image of its tiles.

        The image has the shape (3, rows * height, columns * width).
        """
        return self._put_together(frames.transpose(0, 3, 1, 2))

    def _put_together(self, frames: Frames) -> Frames:
        if self._is_tiled:
            return lay_out(frames, *self.config.tile_grid)
        return frames.transpose(1, 0, 2, 3)


class DenseMethod(Method[DenseConfig]):
    """All clips of a video, of which a training step encodes a share and reads the rest from a feature memory."""

    config_type = DenseConfig

    def view(self, config: DenseConfig, augment: AugmentConfig) -> DenseClips:
        """Return the view of the dense grid of clips."""
        return DenseClips(config, augment)

    def network(self, config: DenseConfig, model: ModelConfig, classes: int) -> "Network":
        """Return an encoder of clips with the head of `config`."""
        from urbanpipe.models.dense import DenseClassifier

        return DenseClassifier(self.backbone(config, model), config.head, classes)

    def learner(self, config: DenseConfig, context: "LearnerContext") -> "Learner":
        """Return a learner with a feature memory."""
        from urbanpipe.learners.dense import DenseLearner

        return DenseLearner(config, context)

    def check(self, config: DenseConfig, recipe: RecipeSettings) -> None:
        """Refuse settings of another head, and phases that leave no epoch for the encoder."""
        if recipe.model.head != "linear" or recipe.model.dropout:
            raise ValueError(
                "model.head and model.dropout have no effect on the dense method; its head is [input.head]"
            )
        if recipe.model.head_start == "probe" and config.head.kind != "mean-max":
            raise ValueError(
                f'model.head_start = "probe" has no effect on input.head.kind = "{config.head.kind}"; use "mean-max", '
                "or train the head first with input.memory.warmup_epochs"
            )
        if recipe.training.compile:
            raise ValueError("training.compile = true has no effect on the dense method")
        if config.memory.write == "ema" and not recipe.training.ema_decay:
            raise ValueError('input.memory.write = "ema" needs an EMA: give training.ema_decay')
        frozen = config.memory.warmup_epochs + config.memory.final_epochs
        if frozen >= recipe.training.epochs:
            raise ValueError(
                f"training.epochs = {recipe.training.epochs}: input.memory.warmup_epochs and input.memory.final_epochs "
                f"take {frozen} and leave none for the encoder"
            )
