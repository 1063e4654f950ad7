"""Input settings that several methods share; importable without torch."""

import re
from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from urbanpipe.errors import RecipeError
from urbanpipe.settings import Section

AugmentationName = Literal[
    "horizontal_flip", "vertical_flip", "rotation", "crop", "colour_jitter", "rand_augment", "auto_augment"
]

FlipName = Literal["horizontal", "vertical"]
MOMENT_SECONDS = 2.5
_FLIP_AXIS = {"horizontal": -1, "vertical": -2}


def flip_axes(flips: tuple[FlipName, ...]) -> tuple[tuple[int, ...], ...]:
    """Return the axes of each view of an input: the input itself, then one mirrored view per flip."""
    return ((), *((_FLIP_AXIS[flip],) for flip in flips))


class InputConfig(Section):
    """How a video becomes network inputs; the base of every method's own config.

    Attributes:
        method: name of the method.
        aspect: `square`, `W:H`, or `frame` (the most common shape in the catalog, fixed when a run starts). The height
            of a picture is the method's `tile` or `size`; the width follows from the aspect and is a multiple of 8.
        many_segments: whether segments show different moments of a video, so that the scores of each are kept.
        frozen_backbone: whether the backbone is never trained.
        compares_pools: whether cross-validation compares ways to pool segment scores.
        not_pixels: settings that do not affect the pixels of evaluated inputs.
    """

    many_segments: ClassVar[bool] = False
    frozen_backbone: ClassVar[bool] = False
    compares_pools: ClassVar[bool] = False
    not_pixels: ClassVar[frozenset[str]] = frozenset()
    method: str
    aspect: str = "square"

    if TYPE_CHECKING:  # a setting of some methods, fixed in others

        @property
        def frames(self) -> int:
            """Frames per segment."""

    @property
    @abstractmethod
    def frame_size(self) -> tuple[int, int]:
        """Width and height of a frame in pixels."""

    @property
    @abstractmethod
    def image_size(self) -> tuple[int, int]:
        """Width and height of the backbone's input in pixels."""

    @property
    @abstractmethod
    def smaller(self) -> str:
        """The settings to reduce when memory is short."""

    @property
    def summary(self) -> str:
        """The network input in a few words."""
        return f"frames of {self.frame_size[1]} px"

    @property
    def train_segments(self) -> int:
        """Segments per video in a step."""
        return 1

    @property
    def moment_window(self) -> float:
        """Largest distance, in seconds, of a positive segment to a moment; 0 where moments are not used."""
        return 0.0

    @property
    def flip_axes(self) -> tuple[tuple[int, ...], ...]:
        """Axes along which each evaluated view of an input is mirrored; the first view is not mirrored."""
        return ((),)

    @property
    def tile_grid(self) -> tuple[int, int]:
        """Rows and columns of frames in one image."""
        return 1, 1

    @property
    def clip_frames(self) -> int | None:
        """Frames per clip; None where a segment is one image."""
        return None

    @property
    def backbone_frames(self) -> int | None:
        """Frames per input of the backbone; None for an image backbone."""
        return None

    @property
    def segment_shape(self) -> tuple[int, ...]:
        """Shape of a segment: (3, height, width), or (3, frames, height, width)."""
        frames = () if self.clip_frames is None else (self.clip_frames,)
        return (3, *frames, *self.image_size[::-1])

    @property
    def backbone_size(self) -> tuple[int, ...]:
        """Size of the backbone's input: (height, width), or (frames, height, width)."""
        frames = () if self.backbone_frames is None else (self.backbone_frames,)
        return (*frames, *self.image_size[::-1])

    def pixels(self) -> str:
        """Return the settings that determine the pixels of evaluated inputs, as JSON."""
        return self.model_dump_json(exclude=set(self.not_pixels))

    @field_validator("aspect")
    @classmethod
    def _known_aspect(cls, value: str) -> str:
        if value in ("square", "frame") or re.fullmatch(r"[1-9]\d*:[1-9]\d*", value):
            return value
        raise ValueError(f'{value!r} is not an aspect; give "square", "frame" or "W:H", for example "4:3"')

    def _sized(self, height: int) -> tuple[int, int]:
        """Return width and height in pixels of a picture `height` pixels high."""
        if self.aspect == "square":
            return height, height
        if self.aspect == "frame":
            raise RecipeError('input.aspect = "frame" is replaced by W:H when a run starts; give W:H here')
        across, down = map(int, self.aspect.split(":"))
        return max(8, round(height * across / down / 8) * 8), height


class SizedConfig(InputConfig):
    """Frames of one size, which are not tiled.

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
        """Width and height of the backbone's input in pixels."""
        return self.frame_size


class SampledConfig(InputConfig):
    """An input of N frames sampled from the whole video.

    Attributes:
        sampling: `uniform` (centres of N equal parts), `jittered` (a random frame of each part in training, the centres
            otherwise) or `sequence` (consecutive frames, from a random start in training, from the middle otherwise).
        candidates: number of cached candidates, evenly spaced and odd: frames per part for `jittered`, starts for
            `sequence`. 0 samples from all frames and decodes the video again each time.
        test_draws: number of candidates that are predicted, evenly spaced; their probabilities are averaged. 1 takes
            the middle one.
        test_flips: mirrored copies of each input that validation and prediction add; the logits are averaged.
    """

    sampling: Literal["uniform", "jittered", "sequence"] = "uniform"
    candidates: int = Field(3, ge=0, le=31)
    test_draws: int = Field(1, ge=1, le=31)
    test_flips: tuple[FlipName, ...] = ()

    @property
    def flip_axes(self) -> tuple[tuple[int, ...], ...]:
        """Axes along which each evaluated view of an input is mirrored; the first view is not mirrored."""
        return flip_axes(self.test_flips)

    @model_validator(mode="after")
    def _drawn_from_the_candidates(self) -> Self:
        if self.candidates and self.candidates % 2 == 0:
            raise ValueError(f"candidates = {self.candidates}: must be odd (evaluation takes the middle one) or 0")
        most = 1 if self.sampling == "uniform" else max(1, self.candidates)
        if self.test_draws > most:
            raise ValueError(
                f"test_draws = {self.test_draws}: {self.sampling} sampling, candidates = {self.candidates}, has {most}"
            )
        return self


class IntervalConfig(SizedConfig):
    """Single frames at an interval.

    Attributes:
        every_seconds: interval between frames; all of them are predicted.
        moment_seconds: where labels have moments, a frame within so many seconds of one shows its class, and a frame
            further away need not; 0 trains with the labels of videos alone.
    """

    many_segments: ClassVar[bool] = True
    every_seconds: float = Field(1.0, ge=0.001, le=3600)
    moment_seconds: float = Field(MOMENT_SECONDS, ge=0, le=3600)

    @property
    def moment_window(self) -> float:
        """Largest distance, in seconds, of a positive frame to a moment, so large that a moment has such a frame."""
        return max(self.moment_seconds, self.every_seconds / 2) if self.moment_seconds else 0.0

    @property
    def frames(self) -> int:
        """Frames per segment."""
        return 1


class AugmentConfig(Section):
    """Augmentation of training inputs; validation and prediction use none.

    Attributes:
        tile: augmentations in this order: of each frame of a super-image separately, of all frames of a clip alike.
        image: augmentations of the whole input, after it is assembled.
        tile_shuffle: whether to lay out the frames of a super-image in random order.
        flip_probability: probability of each flip.
        rotation_degrees: largest angle in either direction.
        crop_scale: smallest share of the area that a random crop keeps; the crop is resized to the original size.
        colour_strength: largest relative change of brightness, contrast and saturation; a quarter of it for hue.
        rand_augment_operations: N of RandAugment (arXiv 1909.13719).
        rand_augment_magnitude: M of RandAugment, 0 to 30.
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
