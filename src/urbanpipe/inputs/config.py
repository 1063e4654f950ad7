"""Settings of the inputs; importable without torch."""

import re
from typing import ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from urbanpipe.settings import Section

AugmentationName = Literal[
    "horizontal_flip", "vertical_flip", "rotation", "crop", "colour_jitter", "rand_augment", "auto_augment"
]


class _Pictures(Section):
    """What every input has: pictures of one size.

    Attributes:
        aspect: `square`, `W:H`, or `frame` (the commonest shape in the catalog, fixed when a run starts). A picture is
            as high as the method's `tile` or `size` says and as wide as this says, rounded to a multiple of 8.
        many_segments: whether a video's segments are of different moments, so that the scores of each are worth keeping.
    """

    many_segments: ClassVar[bool] = False
    aspect: str = "square"

    @property
    def train_segments(self) -> int:
        """Segments of a video in a step."""
        return 1

    @field_validator("aspect")
    @classmethod
    def _known_aspect(cls, value: str) -> str:
        if value in ("square", "frame") or re.fullmatch(r"[1-9]\d*:[1-9]\d*", value):
            return value
        raise ValueError(f'{value!r} is not an aspect; give "square", "frame" or "W:H", for example "4:3"')

    def _sized(self, height: int) -> tuple[int, int]:
        """Width and height in pixels of a picture `height` pixels high."""
        if self.aspect == "square":
            return height, height
        assert self.aspect != "frame", "aspect = frame is replaced by W:H when a run starts"
        across, down = map(int, self.aspect.split(":"))
        return max(8, round(height * across / down / 8) * 8), height


class _OneSize(_Pictures):
    """Pictures that a network sees as they are.

    Attributes:
        size: height of a frame in pixels.
    """

    size: int = Field(448, ge=16, le=2048)

    @property
    def frame_size(self) -> tuple[int, int]:
        """Width and height of a frame in pixels."""
        return self._sized(self.size)

    @property
    def image_size(self) -> tuple[int, int]:
        """Width and height of what the backbone sees, in pixels."""
        return self.frame_size


class _Sampled(_Pictures):
    """An input of N frames taken from the whole video.

    Attributes:
        sampling: `uniform` (centres of equal segments), `jittered` (in training a random frame of each segment; centres
            otherwise) or `sequence` (consecutive frames; in training from a random start, from the middle otherwise).
        candidates: frames kept a segment for `jittered`, starts kept for `sequence`, spread evenly and odd in number,
            so that training draws from a cache. 0 draws from all frames and decodes the video anew each time.
        test_draws: candidates that are judged, spread evenly; their probabilities are averaged. 1 is the middle one.
        test_flips: at validation and prediction each input is seen mirrored so as well; the logits are averaged.
    """

    sampling: Literal["uniform", "jittered", "sequence"] = "uniform"
    candidates: int = Field(3, ge=0, le=31)
    test_draws: int = Field(1, ge=1, le=31)
    test_flips: tuple[Literal["horizontal", "vertical"], ...] = ()

    @model_validator(mode="after")
    def _drawn_from_the_candidates(self) -> Self:
        if self.candidates and self.candidates % 2 == 0:
            raise ValueError(f"candidates = {self.candidates}: must be odd (tests take the middle one) or 0")
        most = 1 if self.sampling == "uniform" else max(1, self.candidates)
        if self.test_draws > most:
            raise ValueError(
                f"test_draws = {self.test_draws}: {self.sampling} sampling, candidates = {self.candidates}, has {most}"
            )
        return self


class SuperImageConfig(_Sampled):
    """N frames of the whole video as tiles of one image.

    Attributes:
        rows: rows of tiles.
        columns: columns of tiles.
        tile: height of a tile in pixels.
        test_shuffles: random layouts of the tiles that are judged beside the one in order of time; their probabilities
            are averaged.
    """

    method: Literal["super-image"] = "super-image"
    rows: int = Field(3, ge=1, le=8)
    columns: int = Field(3, ge=1, le=8)
    tile: int = Field(448, ge=16, le=2048)
    test_shuffles: int = Field(0, ge=0, le=31)

    @property
    def frames(self) -> int:
        """Frames a super-image holds."""
        return self.rows * self.columns

    @property
    def smaller(self) -> str:
        """What to turn where memory is short."""
        return f"input.tile smaller (now {self.tile})"

    @property
    def frame_size(self) -> tuple[int, int]:
        """Width and height of a tile in pixels."""
        return self._sized(self.tile)

    @property
    def image_size(self) -> tuple[int, int]:
        """Width and height of the whole input in pixels."""
        width, height = self.frame_size
        return width * self.columns, height * self.rows


class _AtInterval(_OneSize):
    """Single frames at an interval.

    Attributes:
        every_seconds: from one frame to the next; every one of them is judged.
    """

    many_segments: ClassVar[bool] = True
    every_seconds: float = Field(1.0, gt=0, le=3600)

    @property
    def frames(self) -> int:
        """Frames a segment holds."""
        return 1


class FrameConfig(_AtInterval):
    """Single frames at an interval; a video is the pool of them.

    Attributes:
        train_frames: frames of a video in an epoch, one drawn from each of as many equal parts of it, so that a long
            video weighs no more than a short one.
        pooling: what the probabilities of a video's frames become: their `mean`, `max` or `median`.
    """

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


class VideoConfig(_Sampled, _OneSize):
    """One clip of N frames from the whole video, for a video network.

    Attributes:
        frames: how many.
        shuffle: bring them into a random order in training.
    """

    method: Literal["video"] = "video"
    size: int = Field(224, ge=16, le=1024)
    frames: int = Field(32, ge=2, le=128)
    shuffle: bool = False

    @property
    def smaller(self) -> str:
        """What to turn where memory is short."""
        return f"input.frames (now {self.frames}) or input.size smaller (now {self.size})"


class DenseConfig(_OneSize):
    """Every moment of the video: clips of consecutive frames side by side over its whole length.

    Attributes:
        frames: L, frames a clip.
        stride: from one frame of a clip to the next; a clip spans L * stride frames of the video.
        encoder: how a clip becomes a feature: `pool` (an image backbone on each frame, pooled over time), `super-image`
            (an image backbone on the clip's frames as tiles, so that it can see water move) or `video` (a video
            network).
        rows: rows of tiles of the `super-image` encoder; its columns are frames / rows.
        fraction: share of a video's clips that a step encodes with gradient, as a walk over a permutation: every clip
            is visited once in ceil(1 / fraction) epochs, so .6 is .5.
        max_clips: at most so many of them, whatever the length of the video, which bounds memory; 0 is no bound.
        mode: `stale` (the rest of the clips from the feature memory), `exact-sampled` (the rest encoded without
            gradient) or `exact` (every clip with gradient, recomputed in the backward pass).
    """

    many_segments: ClassVar[bool] = True
    method: Literal["dense"] = "dense"
    size: int = Field(112, ge=16, le=1024)
    frames: int = Field(8, ge=1, le=64)
    stride: int = Field(2, ge=1, le=64)
    encoder: Literal["pool", "super-image", "video"] = "pool"
    rows: int = Field(2, ge=1, le=8)
    fraction: float = Field(0.25, gt=0, le=1)
    max_clips: int = Field(0, ge=0)
    mode: Literal["stale", "exact-sampled", "exact"] = "stale"

    @model_validator(mode="after")
    def _whole_rows(self) -> Self:
        if self.encoder == "super-image" and self.frames % self.rows:
            raise ValueError(f"frames = {self.frames} do not fill rows = {self.rows} of tiles; give a multiple")
        return self

    @property
    def train_segments(self) -> int:
        """Clips of a video in a step, about."""
        return self.max_clips or 16

    @property
    def smaller(self) -> str:
        """What to turn where memory is short."""
        return f"input.max_clips (now {self.max_clips}), input.frames or input.size smaller (now {self.size})"

    @property
    def image_size(self) -> tuple[int, int]:
        """Width and height of what the backbone sees, in pixels."""
        width, height = self.frame_size
        if self.encoder != "super-image":
            return width, height
        return width * (self.frames // self.rows), height * self.rows


class BagConfig(_AtInterval):
    """All frames at an interval as one bag, in training too and without augmentation: they are encoded once."""

    method: Literal["bag"] = "bag"
    size: int = Field(224, ge=16, le=2048)

    @property
    def train_segments(self) -> int:
        """Frames of a video that are encoded at once, about."""
        return 4

    @property
    def smaller(self) -> str:
        """What to turn where memory is short."""
        return f"input.size smaller (now {self.size}) or input.every_seconds larger (now {self.every_seconds:g})"


InputConfig = SuperImageConfig | FrameConfig | VideoConfig | DenseConfig | BagConfig
METHODS: dict[str, type[InputConfig]] = {
    "super-image": SuperImageConfig,
    "frame": FrameConfig,
    "video": VideoConfig,
    "dense": DenseConfig,
    "bag": BagConfig,
}


def has_clips(config: InputConfig) -> bool:
    """Whether the network sees frames one behind the other, not one image."""
    return isinstance(config, VideoConfig) or (isinstance(config, DenseConfig) and config.encoder != "super-image")


class AugmentConfig(Section):
    """What is done to training inputs; nothing of it at validation or prediction.

    Attributes:
        tile: augmentations in this order: of each frame of a super-image by itself, of all frames of a clip alike.
        image: augmentations of the whole input, after it was put together.
        tile_shuffle: lay the frames of a super-image out in random order.
        flip_probability: of either flip.
        rotation_degrees: largest angle, either way.
        crop_scale: smallest share of the area that a random crop keeps; it is resized back.
        colour_strength: largest relative change of brightness, contrast and saturation; hue a quarter of it.
        rand_augment_operations, rand_augment_magnitude: N and M of RandAugment (arXiv 1909.13719), M of 0-30.
    """

    tile: tuple[AugmentationName, ...] = ("horizontal_flip",)
    image: tuple[AugmentationName, ...] = ()
    tile_shuffle: bool = True
    flip_probability: float = Field(0.5, ge=0, le=1)
    rotation_degrees: float = Field(10.0, ge=0, le=180)
    crop_scale: float = Field(0.6, gt=0, le=1)
    colour_strength: float = Field(0.2, ge=0, le=1)
    rand_augment_operations: int = Field(2, ge=1, le=8)
    rand_augment_magnitude: int = Field(9, ge=0, le=30)
