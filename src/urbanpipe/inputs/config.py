"""Settings that the inputs of several methods share; importable without torch."""

import re
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from urbanpipe.settings import Section

AugmentationName = Literal[
    "horizontal_flip", "vertical_flip", "rotation", "crop", "colour_jitter", "rand_augment", "auto_augment"
]

_FLIP_AXIS = {"horizontal": -1, "vertical": -2}


class InputConfig(Section):
    """What a network sees of a video; the base of every method's own config.

    Attributes:
        method: name of the method.
        aspect: `square`, `W:H`, or `frame` (the commonest shape in the catalog, fixed when a run starts). A picture is
            as high as the method's `tile` or `size` says and as wide as this says, rounded to a multiple of 8.
        many_segments: whether a video's segments are of different moments, so that the scores of each are worth keeping.
        frozen_backbone: whether the backbone never learns.
        compares_pools: whether cross-validation compares the pools of segment scores.
        not_pixels: settings that change no pixel that is evaluated.
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
            """Frames of a segment."""

    @property
    def frame_size(self) -> tuple[int, int]:
        """Width and height of a frame in pixels."""
        raise NotImplementedError

    @property
    def image_size(self) -> tuple[int, int]:
        """Width and height in pixels of what the backbone sees."""
        raise NotImplementedError

    @property
    def smaller(self) -> str:
        """Which settings to lower where memory is short."""
        raise NotImplementedError

    @property
    def summary(self) -> str:
        """What the network sees, in a few words."""
        return f"frames of {self.frame_size[1]} px"

    @property
    def train_segments(self) -> int:
        """Segments of a video in a step."""
        return 1

    @property
    def flip_axes(self) -> tuple[tuple[int, ...], ...]:
        """Axes along which each evaluated view of an input is mirrored; the first view is plain."""
        return ((),)

    @property
    def tile_grid(self) -> tuple[int, int]:
        """Rows and columns of frames in one image."""
        return 1, 1

    @property
    def clip_frames(self) -> int | None:
        """Frames of a segment that is a clip; None where a segment is one image."""
        return None

    @property
    def backbone_frames(self) -> int | None:
        """Frames that the backbone sees at once; None for an image backbone."""
        return None

    @property
    def segment_shape(self) -> tuple[int, ...]:
        """Shape of a segment: (3, height, width), or (3, frames, height, width)."""
        frames = () if self.clip_frames is None else (self.clip_frames,)
        return (3, *frames, *self.image_size[::-1])

    @property
    def backbone_size(self) -> tuple[int, ...]:
        """What the backbone sees at once: (height, width), or (frames, height, width)."""
        frames = () if self.backbone_frames is None else (self.backbone_frames,)
        return (*frames, *self.image_size[::-1])

    def pixels(self) -> str:
        """Settings that decide which pixels are evaluated, as JSON."""
        return self.model_dump_json(exclude=set(self.not_pixels))

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


class SizedConfig(InputConfig):
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


class SampledConfig(InputConfig):
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

    @property
    def flip_axes(self) -> tuple[tuple[int, ...], ...]:
        """Axes along which each evaluated view of an input is mirrored; the first view is plain."""
        return ((), *((_FLIP_AXIS[flip],) for flip in self.test_flips))

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


class IntervalConfig(SizedConfig):
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
