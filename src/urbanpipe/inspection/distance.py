"""Reading of the on-screen distance from a region of the picture that the user specifies."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from urbanpipe.errors import InspectionError
from urbanpipe.inspection.region import Region

SURE = 0.8  # minimum confidence of recognised text
_NUMBERS = re.compile(r"\d[\d.,]*")
# A distance: at the start or after a space or colon; with a unit, or with decimals that are not thousands.
_DISTANCE = re.compile(
    r"(?:^|[\s:=])(?P<number>[-+]?\d{1,4}(?:[.,]\d{1,2}|\.\d{3})?)(?P<unit>\s*m)?\s*$", re.IGNORECASE
)


@dataclass(frozen=True)
class Distance:
    """A distance that was read: the original text, and its value in metres."""

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
                "reading the on-screen distance needs the extra: pip install 'urbanpipe[ocr]'; or omit "
                "--distance-region"
            ) from None
        self._engine: Any = RapidOCR()

    def read(self, region: NDArray[np.uint8]) -> Distance | None:
        """Read the distance in a region of a frame, uint8 (h, w, 3) RGB; None if it cannot be read reliably.

        The region must contain exactly one number, because it is unknown which of several is the distance.
        """
        lines, _ = self._engine(np.ascontiguousarray(region[..., ::-1]))
        return distance_in([(str(text), float(score)) for _, text, score in lines or ()])


def distance_in(lines: list[tuple[str, float]]) -> Distance | None:
    """Return the distance in lines of text with their confidence; None if it is missing, ambiguous or uncertain.

    The number must come last, in metres. A unit other than m, or a whole number without unit, is ambiguous.
    """
    if not lines or min(score for _, score in lines) < SURE:
        return None
    text = " ".join(text.strip() for text, _ in lines)
    match = _DISTANCE.search(text)
    if len(_NUMBERS.findall(text)) != 1 or match is None:
        return None
    number = match["number"].replace(",", ".")
    return Distance(text, float(number)) if match["unit"] or "." in number else None


def region_of(text: str) -> Region:
    """Parse a region `left,top,width,height`, given as shares of the picture's width and height.

    Raises:
        InspectionError: the text is not a valid region.
    """
    try:
        left, top, width, height = (float(part) for part in text.split(","))
    except ValueError:
        raise InspectionError(
            f"--distance-region {text}: expected left,top,width,height, for example 0.6,0,0.4,0.1"
        ) from None
    if not (left >= 0 and top >= 0 and width > 0 and height > 0 and left + width <= 1 and top + height <= 1):
        raise InspectionError(f"--distance-region {text} is not inside the picture; give four shares from 0 to 1")
    return left, top, width, height
