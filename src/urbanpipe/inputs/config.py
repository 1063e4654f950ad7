"""Settings of the inputs; importable without torch."""

import re
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from urbanpipe.settings import Section

AugmentationName = Literal[
    "horizontal_flip", "vertical_flip", "rotation", "crop", "colour_jitter", "rand_augment", "auto_augment"
]


class InputConfig(Section):
    """Which frames of a video a model sees, and at what size.

    Attributes:
        rows: rows of tiles in the super-image.
        columns: columns of tiles.
        tile: height of a tile in pixels.
        aspect: `square`, `W:H`, or `frame` (the commonest shape in the catalog, fixed when a run starts). A tile is
            `tile` pixels high and as wide as this says, rounded to a multiple of 8.
        sampling: `uniform` (centres of equal segments), `jittered` (in training a random frame of each segment; centres
            otherwise) or `sequence` (consecutive frames; in training from a random start, from the middle otherwise).
        candidates: frames kept a tile for `jittered`, starts kept for `sequence`, spread evenly and odd in number, so
            that training draws from a cache. 0 draws from all frames and decodes the video anew each time.
    """

    method: Literal["super-image"] = "super-image"
    rows: int = Field(3, ge=1, le=8)
    columns: int = Field(3, ge=1, le=8)
    tile: int = Field(448, ge=16, le=2048)
    aspect: str = "square"
    sampling: Literal["uniform", "jittered", "sequence"] = "uniform"
    candidates: int = Field(3, ge=0, le=31)

    @field_validator("aspect")
    @classmethod
    def _known_aspect(cls, value: str) -> str:
        if value in ("square", "frame") or re.fullmatch(r"[1-9]\d*:[1-9]\d*", value):
            return value
        raise ValueError(f'{value!r} is not an aspect; give "square", "frame" or "W:H", for example "4:3"')

    @model_validator(mode="after")
    def _odd_candidates(self) -> Self:
        if self.candidates and self.candidates % 2 == 0:
            raise ValueError(f"candidates = {self.candidates}: must be odd (tests take the middle one) or 0")
        return self

    @property
    def frames(self) -> int:
        """Frames a super-image holds."""
        return self.rows * self.columns

    @property
    def tile_size(self) -> tuple[int, int]:
        """Width and height of a tile in pixels."""
        if self.aspect == "square":
            return self.tile, self.tile
        assert self.aspect != "frame", "aspect = frame is replaced by W:H when a run starts"
        width, height = map(int, self.aspect.split(":"))
        return max(8, round(self.tile * width / height / 8) * 8), self.tile

    @property
    def image_size(self) -> tuple[int, int]:
        """Width and height of the whole input in pixels."""
        width, height = self.tile_size
        return width * self.columns, height * self.rows


class AugmentConfig(Section):
    """What is done to training inputs; nothing of it at validation or prediction.

    Attributes:
        tile: augmentations of each frame by itself, in this order.
        image: augmentations of the whole super-image, after it was put together.
        tile_shuffle: lay the frames out in random order.
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
