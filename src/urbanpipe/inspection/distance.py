"""The distance that a camera writes into its picture, read by a person's leave from the region that they name."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from urbanpipe.errors import InspectionError
from urbanpipe.inspection.video_pass import Region

SURE = 0.8  # least confidence of what is read
_NUMBERS = re.compile(r"\d[\d.,]*")
# A distance: at the start or after a space or colon; with a unit, or with decimals that are no thousands.
_DISTANCE = re.compile(
    r"(?:^|[\s:=])(?P<number>[-+]?\d{1,4}(?:[.,]\d{1,2}|\.\d{3})?)(?P<unit>\s*m)?\s*$", re.IGNORECASE
)


@dataclass(frozen=True)
class Distance:
    """A distance that was read: the text as it stood there, and its number in metres."""

    text: str
    metres: float


class DistanceReader:
    """Reads distances by optical character recognition (the extra `ocr`).

    Raises:
        InspectionError: the extra is not installed.
    """

    def __init__(self) -> None:
        try:
            from rapidocr_onnxruntime import RapidOCR
        except ImportError:
            raise InspectionError(
                "reading the on-screen distance needs the extra: pip install 'urbanpipe[ocr]'; or leave "
                "--distance-region out"
            ) from None
        self._engine: Any = RapidOCR()

    def read(self, region: NDArray[np.uint8]) -> Distance | None:
        """The distance in a region of a frame, uint8 (h, w, 3) RGB; None where none can be read for sure.

        One number must be there, no more: of several nobody knows which is the distance.
        """
        lines, _ = self._engine(np.ascontiguousarray(region[..., ::-1]))
        return distance_in([(str(text), float(score)) for _, text, score in lines or ()])


def distance_in(lines: list[tuple[str, float]]) -> Distance | None:
    """The distance in lines of text with their confidence; None where there is none, more than one number, or doubt.

    The number stands last, in metres: a unit other than m, or a whole number without one, is in doubt.
    """
    if not lines or min(score for _, score in lines) < SURE:
        return None
    text = " ".join(text.strip() for text, _ in lines)
    found = _DISTANCE.search(text)
    if len(_NUMBERS.findall(text)) != 1 or found is None:
        return None
    number = found["number"].replace(",", ".")
    return Distance(text, float(number)) if found["unit"] or "." in number else None


def region_of(text: str) -> Region:
    """A region from `left,top,width,height`, shares of the picture's width and height.

    Raises:
        InspectionError: it is no such region.
    """
    try:
        left, top, width, height = (float(part) for part in text.split(","))
    except ValueError:
        raise InspectionError(
            f"--distance-region {text}: want left,top,width,height, for example 0.6,0,0.4,0.1"
        ) from None
    if not (left >= 0 and top >= 0 and width > 0 and height > 0 and left + width <= 1 and top + height <= 1):
        raise InspectionError(f"--distance-region {text} is not inside the picture; all four are shares of it, 0 to 1")
    return left, top, width, height
