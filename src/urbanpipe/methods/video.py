"""One clip of frames from the whole video, for a video network: the report's video-based method."""

from typing import ClassVar, Literal

from pydantic import Field

from urbanpipe.inputs.augmenter import Augmenter, channels_first, shuffled
from urbanpipe.inputs.config import AugmentConfig, SampledConfig, SizedConfig
from urbanpipe.inputs.frame_sampling import SampledFrames
from urbanpipe.inputs.view import Frames
from urbanpipe.methods.method import Method


class VideoConfig(SampledConfig, SizedConfig):
    """One clip of N frames from the whole video, for a video network.

    Attributes:
        frames: frames per clip.
        shuffle: whether to shuffle the frames in training.
    """

    not_pixels: ClassVar[frozenset[str]] = frozenset({"shuffle"})
    method: Literal["video"] = "video"
    size: int = Field(224, ge=16, le=1024)
    frames: int = Field(32, ge=2, le=128)
    shuffle: bool = False

    @property
    def clip_frames(self) -> int:
        """Frames per clip."""
        return self.frames

    @property
    def backbone_frames(self) -> int:
        """Frames per input of the backbone."""
        return self.frames

    @property
    def smaller(self) -> str:
        """The settings to reduce when memory is short."""
        return f"input.frames (now {self.frames}) or input.size smaller (now {self.size})"


class Clip(SampledFrames):
    """View of a video as clips. See `inputs.view.View`.

    Args:
        config: frames, size and sampling.
        augment: augmentation in training, the same for all frames of a clip.
    """

    def __init__(self, config: VideoConfig, augment: AugmentConfig) -> None:
        super().__init__(config)
        self.config = config
        self._augmented = Augmenter((*augment.tile, *augment.image), augment, config.frame_size)

    def training_input(self, frames: Frames) -> Frames:
        """Return an augmented clip, uint8 (3, frames, height, width), of `frames` (frames, height, width, 3)."""
        clip = self._augmented(channels_first(frames))
        if self.config.shuffle:
            clip = shuffled(clip)
        return clip.transpose(1, 0, 2, 3)

    def evaluation_input(self, frames: Frames) -> Frames:
        """Return the clip in order of time, uint8 (3, frames, height, width)."""
        return frames.transpose(3, 0, 1, 2)


class VideoMethod(Method[VideoConfig]):
    """One clip per video, for a video network."""

    config_type = VideoConfig

    def view(self, config: VideoConfig, augment: AugmentConfig) -> Clip:
        """Return the view that cuts clips."""
        return Clip(config, augment)
