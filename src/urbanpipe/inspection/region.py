"""A part of the picture."""

from typing import Literal

from urbanpipe.errors import InspectionError
from urbanpipe.video.resizing import Pixels

Region = tuple[float, float, float, float]
"""Left, top, width and height of a part of the picture, as shares of its width and height."""

AUTO: Literal["auto"] = "auto"
DistanceRegion = Region | Literal["auto"]
"""Where the on-screen distance is: a region for all videos, or `auto`, which looks for it in each."""


def distance_region_of(text: str) -> DistanceRegion:
    """Parse a region `left,top,width,height`, given as shares of the picture's width and height, or `auto`.

    Raises:
        InspectionError: the text is not a valid region.
    """
    if text.strip().lower() == AUTO:
        return AUTO
    try:
        left, top, width, height = (float(part) for part in text.split(","))
    except ValueError:
        raise InspectionError(
            f"--distance-region {text}: expected left,top,width,height, for example 0.6,0,0.4,0.1, or auto"
        ) from None
    if not (left >= 0 and top >= 0 and width > 0 and height > 0 and left + width <= 1 and top + height <= 1):
        raise InspectionError(f"--distance-region {text} is not inside the picture; give four shares from 0 to 1")
    return left, top, width, height


def region_text(region: Region) -> str:
    """Return a region as `distance_region_of` reads it, with four decimals, inside the picture.

    >>> region_text((0.25, 0.9, 0.5, 0.1))
    '0.25,0.9,0.5,0.1'
    """
    left, top = (round(share, 4) for share in region[:2])
    width, height = min(round(region[2], 4), 1 - left), min(round(region[3], 4), 1 - top)
    return ",".join(f"{share:.4f}".rstrip("0").rstrip(".") for share in (left, top, width, height))


def cut(picture: Pixels, region: Region) -> Pixels:
    """Return a copy of a part of a picture, at least one pixel large."""
    height, width = picture.shape[:2]
    left, top, wide, high = region
    x, y = min(round(left * width), width - 1), min(round(top * height), height - 1)
    right, bottom = max(x + 1, round((left + wide) * width)), max(y + 1, round((top + high) * height))
    return picture[y:bottom, x:right].copy()
